"""Pictures to embeddings, with any artefact and its own preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mgn_convert import open_runner
from mgn_convert.errors import UsageError
from mgn_convert.files import staged
from mgn_convert.formats import Runner, Source
from mgn_convert.graph.types import Array
from mgn_convert.parity.verify import preprocessing_of
from mgn_convert.preprocess import Preprocessing, find_images, read_picture


def embed_pictures(
    source: Source,
    pictures: Sequence[Path],
    target: Path,
    batch: int,
    advance: Callable[[int, int], None],
) -> tuple[int, int]:
    """Save (pictures, embedding size) float32 at `target`, rows in the order given; returns that shape.

    pictures: files, or folders that are searched. advance(done, total) is called after each batch.
    Raises UsageError when the network has several outputs, FileFormatError for a file that is no picture.
    """
    paths = [found for each in pictures for found in (find_images(each) if each.is_dir() else [each])]
    lost = [path for path in paths if not path.is_file()]
    if lost:
        raise UsageError(f"there is no picture {lost[0]}")
    with open_runner(source) as net:
        if len(net.outputs) != 1:
            raise UsageError(
                f"{source} has {len(net.outputs)} outputs",
                got=", ".join(net.outputs),
                remedy="--output picks the embedding",
            )
        rows: list[Array] = []
        for images in _batches(source, net, paths, batch):
            rows.append(net.run(images)[net.outputs[0]].reshape(len(images), -1))
            advance(sum(map(len, rows)), len(paths))
    embeddings = np.concatenate(rows)
    with staged(target.parent) as (scratch, publish):
        with (scratch / target.name).open("wb") as file:
            np.save(file, embeddings)
        publish()
    return len(embeddings), embeddings.shape[1]


def _batches(source: Source, net: Runner, paths: Sequence[Path], batch: int) -> Iterator[Array]:
    """The pictures as the file takes them: where it resizes itself, as they are."""
    if net.processing is None or net.processing.preprocessing is None:
        _, height, width = net.input_shape
        preprocessing = preprocessing_of([source], net.input_shape) or Preprocessing(height, width)
        for start in range(0, len(paths), batch):
            yield preprocessing.tensors(paths[start : start + batch])
        return
    waiting: list[Array] = []
    for path in paths:
        picture = read_picture(path).transpose(2, 0, 1).astype(np.float32)
        if waiting and (len(waiting) == batch or waiting[0].shape != picture.shape):
            yield np.stack(waiting)
            waiting = []
        waiting.append(picture)
    if waiting:
        yield np.stack(waiting)
