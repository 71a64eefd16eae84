"""The way from one format to another: read, passes, legalize, write, verify, publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgn_convert.architecture import architectures
from mgn_convert.embed import preprocessing_of
from mgn_convert.errors import ParityError, UsageError
from mgn_convert.files import staged
from mgn_convert.formats import Format, Source, Written, complete, format_of, formats
from mgn_convert.graph import Graph
from mgn_convert.manifest import (
    Artefact,
    Manifest,
    file_entry,
    find_manifest,
    manifest_path,
    tensors_of,
)
from mgn_convert.packaging import Clients, Packaging, Wishes, in_order
from mgn_convert.parity.report import Report
from mgn_convert.parity.verify import verify_sources
from mgn_convert.passes.constants import fold_constants
from mgn_convert.passes.fold import fold_batch_norm as fold
from mgn_convert.passes.legalize import Target, legalize


@dataclass(frozen=True)
class Conversion:
    """What a conversion made. `report` is None when it was not verified."""

    files: tuple[Path, ...]
    graph: Graph
    report: Report | None


def convert(
    source: Source,
    to: str,
    folder: Path,
    *,
    name: str | None = None,
    dialect: str | None = None,
    fold_batch_norm: bool = False,
    verify: bool = True,
    tolerance: float = 1e-4,
    images: Path | None = None,
    wishes: Wishes | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Conversion:
    """Convert `source` into the format `to` inside `folder`; see `mgn_convert.convert`."""
    destination = _writable(to)
    source = complete(source)
    reader = format_of(source)
    if reader.read is None or destination.target is None or destination.write is None:
        raise UsageError(f"{reader.name} cannot be converted to {to}")
    progress(f"reading {source}")
    graph = fold_constants(reader.read(source))
    if fold_batch_norm:
        graph = fold(graph)
    target = destination.target(dialect)
    if destination.packages or wishes is not None:
        packaging = _packaging(source, graph, wishes or Wishes(), destination)
        target = replace(target, packaging=packaging)
        graph = in_order(graph, packaging.blocks)
    legal = legalize(graph, target)
    stem = name or (source.path.stem if source.path else graph.name)
    with staged(folder) as (scratch, publish):
        progress(f"writing {to}")
        written = destination.write(legal, scratch, stem, target)
        main = next(p for p in written.files if p.suffix in destination.suffixes)
        place = folder / main.relative_to(scratch)
        artefact = _artefact(to, target, legal, written, main)
        _manifest(source, graph, stem, place, artefact).save(manifest_path(main))
        report = None
        if verify:
            labels = {main: str(place)}
            report = verify_sources(
                source, [Source(main)], tolerance=tolerance, images=images, labels=labels, progress=progress
            )
            if not report.passed:
                raise UnfaithfulError(report)
        publish()
    files = (*(folder / p.relative_to(scratch) for p in written.files), manifest_path(place))
    return Conversion(files, legal, report)


class UnfaithfulError(ParityError):
    """The written files do not compute what the source does; they were not put in place."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(
            f"{report.candidates[0].name} was not written: it does not compute what {report.reference} does",
            because=_why_not(report),
            got=f"{report.max_error:.3g}, lowest cosine {report.cosine_min:.8f}",
            remedy="--no-verify keeps the files; then `mgn-convert verify --layers` names the layer",
        )


def _why_not(report: Report) -> str:
    worst = max(report.candidates[0].inputs, key=lambda row: row.error)
    if worst.problem:
        return worst.problem
    reason = f"the error is above the tolerance of {report.tolerance:g}"
    if worst.reference_own_error <= report.tolerance:
        return reason
    own = f"{report.reference_engine} itself errs by {worst.reference_own_error:.3g} in float32"
    return f"{reason}; but on {worst.input} {own}, so rounding decides there"


def _writable(name: str) -> Format:
    known = formats()
    if name not in known:
        raise UsageError(f"there is no format {name!r}", remedy="one of " + ", ".join(known))
    return known[name]


def _packaging(source: Source, graph: Graph, wishes: Wishes, destination: Format) -> Packaging:
    """What to put around the network, by the wishes and by what the clients of its architecture expect."""
    if not destination.packages:
        raise UsageError(
            f"{destination.name} holds a network and nothing else",
            because="names, order and processing are for formats that hold any computation",
            remedy="one of " + ", ".join(f.name for f in formats().values() if f.packages),
        )
    record = _provenance(source).get("architecture")
    known = architectures().get(record) if isinstance(record, str) else None
    clients = known.clients if known else Clients()
    shape = graph.inputs[0].shape[1:]
    own = preprocessing_of([source], shape) if len(shape) == 3 else None
    return wishes.packaging(graph, own, clients, destination.name)


def _artefact(to: str, target: Target, graph: Graph, written: Written, main: Path) -> Artefact:
    """What the manifest records of the files that were written."""
    files = {p.relative_to(main.parent).as_posix(): file_entry(p, main=p == main) for p in written.files}
    tensors = tensors_of(graph, written.tensors)
    ends = _output_tensors(graph)
    outputs = tuple(t.tensor for t in tensors if t.tensor in ends)
    blocks = {"blocks": list(target.packaging.blocks)} if target.packaging.blocks else {}
    if blocks:
        tensors = tuple(replace(t, place={**t.place, **blocks}) if t.tensor in ends else t for t in tensors)
    result = {**written.result, **blocks} if written.result else {}
    processing = target.packaging.processing
    return Artefact(to, target.name, files, tensors, outputs, written.input, result, processing)


def _output_tensors(graph: Graph) -> set[str]:
    return {graph.node(n).origin.tensor or n for n in graph.outputs if n in graph} | set(graph.outputs)


def _manifest(source: Source, graph: Graph, stem: str, main: Path, artefact: Artefact) -> Manifest:
    """The manifest for `main`, keeping what is still true of the one that is already in its place."""
    artefacts: dict[str, Artefact] = {}
    present, _ = find_manifest(main, artefact.format)
    if present is not None:
        for kind, part in present.artefacts.items():
            files = [main.with_name(n) for n, entry in part.files.items() if "sha256" in entry]
            if kind != artefact.format and all(f.is_file() and part.is_of(f) for f in files):
                artefacts[kind] = part
    artefacts[artefact.format] = artefact
    value = graph.inputs[0]
    return Manifest(
        stem,
        value.name,
        value.shape[1:],
        preprocessing_of([source], value.shape[1:]),
        _provenance(source),
        artefacts,
    )


def _provenance(source: Source) -> dict[str, Any]:
    """Where the network first came from: for a converted file, what the manifest beside it says of that."""
    found: dict[str, Any] = {"model": source.path.name if source.path else source.factory}
    if source.architecture:
        return {**found, "architecture": source.architecture, "options": dict(source.options)}
    before = None if source.path is None else find_manifest(source.path, format_of(source).name)[0]
    return dict(before.source) if before is not None and before.source else found


__all__ = ["Conversion", "Target", "UnfaithfulError", "convert"]
