"""Pictures to embeddings, with any artefact and its own preprocessing."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mgn_convert import open_runner
from mgn_convert.architecture import architecture
from mgn_convert.errors import FileFormatError, MgnConvertError, UsageError
from mgn_convert.files import staged
from mgn_convert.formats import Runner, Source, complete, format_of
from mgn_convert.graph.types import Array, Shape
from mgn_convert.manifest import find_manifest
from mgn_convert.packaging import Processing
from mgn_convert.preprocess import Preprocessing, find_images, read_picture

log = logging.getLogger("mgn_convert")

DECODERS = 8
"""Threads that decode pictures, at most; Pillow lets others run while it works."""

Run = Callable[[Array], Array]
"""Images (n, 3, H, W) float32 -> embeddings (n, D); any further axes are flattened."""

Advance = Callable[[int, int], None]
"""advance(done, total), called after each batch."""


def unseen(done: int, total: int) -> None:
    """An `Advance` for those who show no progress."""


class EmbeddingError(MgnConvertError):
    """A network gave NaN or Inf for a picture: it diverged, or has the weights of another one."""


@dataclass(frozen=True)
class Embedded:
    """Rows (N, D) float32, and of which of the paths given: ascending indices (N,)."""

    rows: Array
    kept: NDArray[np.int64]


@dataclass(frozen=True)
class Embedder:
    """A network ready for pictures.

    preprocessing: None where the file has its own inside, and takes RGB pictures of 0..255 as they are.
    mirrored: the file itself adds the embedding of the mirror image.
    """

    name: str
    engine: str
    run: Run
    preprocessing: Preprocessing | None
    mirrored: bool = False


def embed_files(
    run: Run,
    preprocessing: Preprocessing | None,
    paths: Sequence[Path],
    *,
    batch: int = 32,
    flip: bool = False,
    skip_bad: bool = False,
    advance: Advance = unseen,
) -> Embedded:
    """The embeddings of the pictures at `paths`, in their order; threads decode them ahead of the network.

    preprocessing: None passes pictures on as they are, RGB of 0..255, neighbours of one size together.
    flip: f(x) + f(mirrored x), to unit length. skip_bad: leave out what is no picture, with a warning each.
    Raises FileFormatError for a file that is no picture, UsageError where none is left, EmbeddingError for
    NaN or Inf.
    """
    mirror = Processing(None, flip)
    kept: list[int] = []
    rows = np.empty((0, 0), np.float32)
    with closing(_decoded(paths, _reader(preprocessing), 2 * batch, skip_bad)) as decoded:
        for indices, images in _batches(decoded, batch):
            with np.errstate(invalid="ignore", divide="ignore"):  # of a zero vector; refused below
                found = mirror.after(_flat(run(mirror.before(images))))
            _check_finite(found, [paths[i] for i in indices])
            if not kept:
                rows = np.empty((len(paths), found.shape[1]), np.float32)
            rows[len(kept) : len(kept) + len(found)] = found
            kept += indices
            advance(indices[-1] + 1, len(paths))
    if not kept:
        raise UsageError("there is no picture to embed", got=f"{len(paths)} files" if paths else "")
    if len(kept) < len(paths):
        log.warning("skipped %d of %d pictures", len(paths) - len(kept), len(paths))
    return Embedded(rows[: len(kept)], np.array(kept))


@contextmanager
def open_embedder(source: Source) -> Iterator[Embedder]:
    """Any runnable model as an Embedder, in its engine. For what it raises see `embedder_of`."""
    with open_runner(source) as net:
        yield embedder_of(source, net, preprocessing_of([source], net.input_shape))


def embedder_of(source: Source, net: Runner, preprocessing: Preprocessing | None) -> Embedder:
    """An open model as an Embedder. preprocessing: as recorded; where nothing is, the usual one is assumed.

    Raises UsageError for a network with several outputs, and for one that does not take colour pictures.
    """
    if len(net.outputs) != 1:
        raise UsageError(
            f"{source} has {len(net.outputs)} outputs",
            because="one of them must be the embedding",
            got=", ".join(net.outputs),
            remedy="--output picks the embedding",
        )
    shape = net.input_shape
    if len(shape) != 3 or shape[0] != 3:
        raise UsageError(
            f"{source} does not take pictures",
            because="a picture is 3xHxW, one channel for each of red, green and blue",
            got="x".join(map(str, shape)),
        )
    inside = net.processing
    if inside is not None and inside.preprocessing is not None:
        preprocessing = None
    elif preprocessing is None:
        preprocessing = Preprocessing(shape[1], shape[2])
        log.warning("nothing tells how %s wants its pictures; RGB with ImageNet's mean is assumed", source)

    def run(images: Array) -> Array:
        return net.run(images)[net.outputs[0]]

    return Embedder(str(source), net.engine, run, preprocessing, inside is not None and inside.mirrored)


def preprocessing_of(sources: Sequence[Source], shape: Shape) -> Preprocessing | None:
    """The first preprocessing that a source's file, a manifest beside it or its architecture records.

    An architecture's is for the size that it has by default; `shape` (C, H, W) is the network's own.
    """
    for source in map(complete, sources):
        found = source.preprocessing
        if found is None and source.path is not None:
            manifest, _ = find_manifest(source.path, format_of(source).name)
            if manifest is not None and manifest.preprocessing is not None:
                return manifest.preprocessing
        if found is None and source.architecture is not None:
            found = architecture(source.architecture).preprocessing
        if found is not None:
            return replace(found, height=shape[1], width=shape[2])
    return None


def embed_pictures(
    source: Source,
    pictures: Sequence[Path],
    target: Path,
    batch: int,
    advance: Advance,
    *,
    flip: bool = False,
    skip_bad: bool = False,
) -> tuple[int, int]:
    """Save (pictures, embedding size) float32 at `target`, rows in the order given; returns that shape.

    pictures: files, or folders that are searched. Raises what `embed_files` and `embedder_of` raise, and
    UsageError for a path that is not there or `flip` where the file does this itself.
    """
    paths = [found for each in pictures for found in (find_images(each) if each.is_dir() else [each])]
    lost = [path for path in paths if not path.is_file()]
    if lost:
        raise UsageError(f"there is no picture {lost[0]}")
    with open_embedder(source) as net:
        if flip and net.mirrored:
            raise UsageError(f"{source} adds the mirror image itself", remedy="no --flip")
        found = embed_files(
            net.run, net.preprocessing, paths, batch=batch, flip=flip, skip_bad=skip_bad, advance=advance
        )
    with staged(target.parent) as (scratch, publish):
        with (scratch / target.name).open("wb") as file:
            np.save(file, found.rows)
        publish()
    return len(found.rows), found.rows.shape[1]


def _reader(preprocessing: Preprocessing | None) -> Callable[[Path], Array]:
    """How one picture becomes (3, H, W) float32."""
    if preprocessing is not None:
        return preprocessing.tensor
    return lambda path: read_picture(path).transpose(2, 0, 1).astype(np.float32)


def _decoded(
    paths: Sequence[Path], read: Callable[[Path], Array], ahead: int, skip_bad: bool
) -> Generator[tuple[int, Array]]:
    """(index, image) of each path in order; up to `ahead` of them are read before they are asked for."""
    waiting: deque[tuple[int, Future[Array]]] = deque()
    with ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1)) as pool:
        try:
            for index in range(len(paths) + ahead):
                if index < len(paths):
                    waiting.append((index, pool.submit(read, paths[index])))
                if index < ahead or not waiting:
                    continue
                first, future = waiting.popleft()
                try:
                    yield first, future.result()
                except FileFormatError as error:
                    if not skip_bad:
                        raise
                    log.warning("skipped: %s (%s)", error.what, error.because)
        finally:
            for _, future in waiting:
                future.cancel()


def _batches(decoded: Iterator[tuple[int, Array]], batch: int) -> Iterator[tuple[list[int], Array]]:
    """(indices, images) of up to `batch` neighbours of one size."""
    indices: list[int] = []
    waiting: list[Array] = []
    for index, image in decoded:
        if waiting and (len(waiting) == batch or waiting[0].shape != image.shape):
            yield indices, np.stack(waiting)
            indices, waiting = [], []
        indices.append(index)
        waiting.append(image)
    if waiting:
        yield indices, np.stack(waiting)


def _flat(embeddings: Array) -> Array:
    return np.asarray(embeddings).reshape(len(embeddings), -1)


def _check_finite(rows: Array, paths: Sequence[Path]) -> None:
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise EmbeddingError(
            f"the embedding of {paths[int(bad.argmax())]} is not finite",
            because="the network diverged, or its weights are another network's",
            got=f"{int(bad.sum())} such of {len(rows)} pictures",
        )
