"""mgn-reid rank."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mgn_convert.errors import UsageError
from mgn_reid.matching.command_line import PATH, Embedding, network_options, opened

if TYPE_CHECKING:
    from mgn_reid.matching.features import Features
    from mgn_reid.matching.index import GalleryIndex
    from mgn_reid.matching.ranking import Ranking

_VERDICTS = {True: ("hit", "green"), False: ("miss", "red"), None: ("", None)}


@click.command("rank")
@click.argument("queries", nargs=-1, required=True, type=PATH)
@click.option(
    "--gallery", required=True, help="Features file, folder of pictures, saved index, or qdrant:PLACE."
)
@click.option("--model", type=PATH, help="Network for pictures: a checkpoint or any converted file.")
@network_options
@click.option("-k", default=10, show_default=True, type=click.IntRange(1), help="Places to show.")
@click.option("--rerank", is_flag=True, help="Re-rank by k-reciprocal neighbours.")
@click.option(
    "--index", metavar="KIND", help="exact (default), faiss, faiss:hnsw, faiss:ivf, or qdrant:PLACE to fill."
)
@click.option("--save-index", type=PATH, help="Save a FAISS index as this folder, for --gallery.")
@click.option(
    "--exclude-same-camera", is_flag=True, help="Leave out the query's identity as its own camera saw it."
)
@click.option("--other-model", is_flag=True, help="Compare with features of another file of the network.")
@click.option("--sheet", type=PATH, help="Contact sheet: FILE.png, or a folder for one sheet a query.")
@click.option("--pictures", type=PATH, help="Where the pictures for sheets are, if they were moved.")
@click.option("--json", "json_file", type=PATH, help="Write the ranking here.")
def command(
    queries: tuple[Path, ...],
    gallery: str,
    model: Path | None,
    k: int,
    rerank: bool,
    index: str | None,
    save_index: Path | None,
    exclude_same_camera: bool,
    other_model: bool,
    sheet: Path | None,
    pictures: Path | None,
    json_file: Path | None,
    **options: Any,
) -> None:
    """List for each query who in the gallery is nearest, by cosine distance.

    QUERIES are pictures or folders of them (with --model), or one features file. PLACE of a database is a
    folder or a URL, with #COLLECTION for another than "gallery".
    """
    from mgn_convert.files import write_text
    from mgn_reid.matching.faiss_index import FaissIndex
    from mgn_reid.matching.ranking import rank
    from mgn_reid.matching.sheet import save_sheets

    if rerank and index is not None:
        raise UsageError("--rerank takes no --index", because="it compares with every entry of the gallery")
    if save_index is not None and not (index or "").startswith("faiss"):
        raise UsageError("only a FAISS index is saved as a folder", remedy="--index faiss:hnsw")
    with opened(model, options) as embedding:
        asked, found = _sides(embedding, queries, gallery, index, other_model)
    with closing(found):
        if save_index is not None and isinstance(found, FaissIndex):
            found.save(save_index)
        ranking = rank(
            asked, found, k, other_cameras=exclude_same_camera, rerank=rerank, other_model=other_model
        )
    _show(ranking)
    if sheet is not None:
        files = save_sheets(ranking, sheet, pictures)
        click.echo(f"{sheet}" if len(files) == 1 else f"{sheet}  {len(files)} sheets")
    if json_file is not None:
        write_text(json_file, json.dumps(ranking.to_json(), indent=1) + "\n")


def _sides(
    embedding: Embedding, queries: tuple[Path, ...], gallery: str, kind: str | None, other_model: bool
) -> tuple[Features, GalleryIndex]:
    """The queries' features, and the gallery's index, made once both are known to be comparable."""
    from mgn_reid.matching.gallery import index_of, stored_index

    make = index_of(kind or "exact")
    stored = stored_index(gallery)
    if stored is not None:
        if kind is not None:
            stored.close()
            raise UsageError("the gallery is an index already", got=gallery, remedy="no --index")
        try:
            if embedding.network is not None:
                made = embedding.network.record(stored.record.flip)
                made.check_comparable(stored.record, other_model=other_model)
            return embedding.features(queries, flip=stored.record.flip, other_model=other_model), stored
        except BaseException:
            stored.close()
            raise
    entries = embedding.features([Path(gallery)], other_model=other_model)
    asked = embedding.features(queries, flip=entries.record.flip, other_model=other_model)
    asked.check_comparable(entries, other_model=other_model)
    return asked, make(entries)


def _show(ranking: Ranking) -> None:
    from mgn_reid.matching.ranking import COSINE

    euclidean = ", 0 to 2; the Euclidean one of unit vectors is sqrt(2 x it)"
    click.echo(f"{ranking.distance} distance{euclidean if ranking.distance == COSINE else ''}")
    firsts = []
    for row, found in enumerate(ranking.matches):
        click.echo(f"\n{ranking.queries.names[row]}")
        if not found:
            click.echo("      nobody is left in the gallery")
        for place, match in enumerate(found, start=1):
            verdict, colour = _VERDICTS[ranking.hit(row, match)]
            click.echo(
                f"{place:6d}  {match.distance:.4f}  {click.style(f'{verdict:4}', fg=colour)}  {match.name}"
            )
        firsts += [ranking.hit(row, found[0])] if found else []
    if any(hit is not None for hit in firsts):
        click.echo(f"\nfirst places: {firsts.count(True)} hits, {firsts.count(False)} misses")
