"""Pictures to features: an open network, and the record of which one it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgn_convert.datasets import identity_and_camera
from mgn_convert.embed import Advance, Embedder, EmbeddingError, embed_files, unseen
from mgn_convert.errors import UsageError
from mgn_convert.formats import Source, complete, format_of, with_companion
from mgn_convert.graph.types import Array
from mgn_convert.preprocess import find_images
from mgn_reid.evaluation.device import open_on
from mgn_reid.matching.features import UNKNOWN, Features, Record


@dataclass(frozen=True)
class Network:
    """A network that is open. sha256, description: see `Record`."""

    embedder: Embedder
    sha256: str
    description: str

    def features(
        self,
        pictures: Sequence[Path],
        *,
        flip: bool = False,
        batch: int = 32,
        skip_bad: bool = False,
        advance: Advance = unseen,
    ) -> Features:
        """The features of pictures and of those in folders, in the order given, a folder's sorted.

        flip: add the embedding of the mirror image. Raises UsageError where there is no picture,
        FileFormatError for a file that is none (skip_bad: leaves it out with a warning instead),
        EmbeddingError for an embedding without a direction.
        """
        paths, root = found_pictures(pictures)
        embedded = embed_files(
            self.embedder.run,
            self.embedder.preprocessing,
            paths,
            batch=batch,
            flip=flip and not self.embedder.mirrored,
            skip_bad=skip_bad,
            advance=advance,
        )
        kept = [paths[row] for row in embedded.kept]
        names = tuple(path.relative_to(root).as_posix() for path in kept)
        identities, cameras = labels_of(names)
        return Features(_unit(embedded.rows, kept), names, identities, cameras, root, self.record(flip))

    def record(self, flip: bool) -> Record:
        """What is recorded of embeddings that this network makes."""
        made = self.embedder
        name = Path(made.name).name
        return Record(name, self.sha256, self.description, flip or made.mirrored, made.preprocessing)


@contextmanager
def open_network(source: Source, device: str = "cpu") -> Iterator[Network]:
    """Any runnable model in its engine; PyTorch's on `device`.

    Raises UsageError unless it makes one embedding a picture.
    """
    with open_on(source, device) as embedder:
        yield Network(embedder, digest(source), _description(complete(source)))


def digest(source: Source) -> str:
    """SHA-256 over the files that the model is made of, in hexadecimal; of nothing for a bare factory."""
    state = hashlib.sha256()
    for path in _files(source):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                state.update(block)
    return state.hexdigest()


def _files(source: Source) -> list[Path]:
    if source.path is None:
        return [source.weights] if source.weights is not None else []
    kind = format_of(source)
    if kind.folder_main == source.path.name:
        return sorted(path for path in source.path.parent.rglob("*") if path.is_file())
    companions = [with_companion(source, suffix).weights for suffix in kind.companions] or [source.weights]
    beside = source.path.with_name(source.path.name + ".data")  # weights of an ONNX file past 2 GiB
    return [source.path, *(path for path in (*companions, beside) if path is not None and path.is_file())]


def _description(source: Source) -> str:
    options = [f"{key}={value}" for key, value in sorted(source.options.items())]
    ends = [f"{key}={text}" for key in ("output", "signature") if (text := getattr(source, key))]
    return " ".join(part for part in (source.architecture, source.factory, *options, *ends) if part)


def found_pictures(pictures: Sequence[Path]) -> tuple[list[Path], Path]:
    """The absolute paths of pictures and of those in folders, each once, and the folder they have in common.

    Raises UsageError for a path that is not there, and for a folder without pictures.
    """
    paths: dict[Path, None] = {}
    roots = []
    for given in pictures:
        if not given.exists():
            raise UsageError(f"there is no picture {given}")
        whole = given.resolve() if given.is_dir() else given.parent.resolve() / given.name
        roots.append(whole if given.is_dir() else whole.parent)
        paths.update(dict.fromkeys(find_images(whole) if given.is_dir() else [whole]))
    return list(paths), Path(os.path.commonpath(roots))


def labels_of(names: Sequence[str]) -> tuple[Array, Array]:
    """Identities and cameras (N,) int64 that names like Market-1501's tell; UNKNOWN where they do not.

    Such a name begins with the identity, "_c" and the camera: 0002_c1s1_000451_03.jpg.
    """
    found = [identity_and_camera(Path(name).name) for name in names]
    pairs = [(max(told[0], UNKNOWN), told[1]) if told else (UNKNOWN, UNKNOWN) for told in found]
    labels = np.array(pairs, np.int64).reshape(len(pairs), 2)
    return labels[:, 0].copy(), labels[:, 1].copy()


def _unit(rows: Array, paths: Sequence[Path]) -> Array:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not lengths.all():
        raise EmbeddingError(
            f"the embedding of {paths[int(np.argmin(lengths))]} is zero",
            because="it has no direction to compare; the network's last activations are all dead",
        )
    unit: Array = (rows / lengths).astype(np.float32)
    return unit
