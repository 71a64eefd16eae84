"""The features file: embeddings with the names of their pictures, and the record of what made them.

An .npz archive without pickles. MUST hold

    embeddings   float32 (N, D), rows of unit length
    names        text (N,), paths of the pictures below the root, with "/", none of them twice
    identities   int64 (N,), of the people, -1 where the name does not tell
    cameras      int64 (N,), likewise
    record       JSON text: schema, root, model, sha256, network, flip, preprocessing
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.files import staged
from mgn_convert.graph.types import Array
from mgn_convert.preprocess import Preprocessing

SCHEMA = "mgn-reid/features/1"
SUFFIX = ".npz"
_ARRAYS = ("embeddings", "names", "identities", "cameras", "record")
_DAMAGES = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What zipfile and NumPy raise for damaged archives; encrypted ones are a RuntimeError."""

UNKNOWN = -1
"""Identity or camera of a picture whose name does not tell; Market-1501 calls its junk so, too."""
DISTRACTOR = 0
"""Identity of the many people in Market-1501's gallery whom no query shows."""


@dataclass(frozen=True)
class Record:
    """What made embeddings. Those of equal `sha256`, `network`, `flip` and `preprocessing` can be compared.

    model: the file's name, for people. sha256: of the model's files. network: the options that its files do
    not tell, such as "mgn pool=max". flip: whether the mirror image's embedding was added.
    preprocessing: None where the model has its own inside.
    """

    model: str
    sha256: str
    network: str
    flip: bool
    preprocessing: Preprocessing | None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Record:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        model, sha256, network = (fields[key] for key in ("model", "sha256", "network"))
        if not all(isinstance(text, str) for text in (model, sha256, network)):
            raise TypeError("model, sha256 and network are text")
        if not isinstance(fields["flip"], bool):
            raise TypeError("flip is true or false")
        outside = fields["preprocessing"]
        preprocessing = None if outside is None else Preprocessing.from_json(outside)
        return cls(model, sha256, network, fields["flip"], preprocessing)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "model": self.model,
            "sha256": self.sha256,
            "network": self.network,
            "flip": self.flip,
            "preprocessing": self.preprocessing.to_json() if self.preprocessing is not None else None,
        }

    def check_comparable(self, other: Record, *, other_model: bool = False) -> None:
        """Raise UsageError unless embeddings of the two records can be compared.

        other_model: allow another model file, as one network has in several formats.
        """
        if not other_model and (self.sha256, self.network) != (other.sha256, other.network):
            raise UsageError(
                "the embeddings come from different models",
                because="only embeddings of one network can be compared",
                got=f"{_described(self)} and {_described(other)}",
                remedy="extract both with one model, or --other-model if the files hold the same network",
            )
        if self.flip != other.flip:
            raise UsageError(
                "one side has the mirror images' embeddings added, the other has not",
                got=f"flip {self.flip} from {self.model}, flip {other.flip} from {other.model}",
                remedy="extract both with --flip, or both without",
            )
        if not other_model and self.preprocessing != other.preprocessing:
            raise UsageError(
                "the pictures were preprocessed differently",
                got=f"{self.preprocessing} and {other.preprocessing}",
                remedy="extract both again with the same model file",
            )


def _described(record: Record) -> str:
    return " ".join(part for part in (record.model, record.network, f"({record.sha256[:12]})") if part)


@dataclass(frozen=True, eq=False)
class Features:
    """What a features file holds.

    embeddings: float32 (N, D), unit length. identities, cameras: int64 (N,). root: the folder that the names
    are relative to, absolute.
    """

    embeddings: Array
    names: tuple[str, ...]
    identities: Array
    cameras: Array
    root: Path
    record: Record

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dimension(self) -> int:
        """D, the length of an embedding."""
        return int(self.embeddings.shape[1])

    def picture(self, row: int) -> Path:
        """Where the picture of `row` was when its embedding was made."""
        return self.root / self.names[row]

    def check_comparable(self, other: Features, *, other_model: bool = False) -> None:
        """Raise UsageError unless the embeddings of both can be compared; see `Record`."""
        self.record.check_comparable(other.record, other_model=other_model)
        check_dimensions(self.dimension, other.dimension)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all. Raises UsageError when its folder cannot be written."""
        record = {"schema": SCHEMA, "root": str(self.root), **self.record.to_json()}
        with staged(path.parent) as (scratch, publish):
            with (scratch / path.name).open("wb") as file:
                np.savez(
                    file,
                    embeddings=self.embeddings,
                    names=np.array(self.names, np.str_),
                    identities=self.identities,
                    cameras=self.cameras,
                    record=np.array(json.dumps(record)),
                )
            publish()

    @classmethod
    def load(cls, path: Path) -> Features:
        """Read and check a file; no code in it is run.

        Raises UsageError where there is none, FileFormatError for one that is damaged or of another kind.
        """
        if not path.is_file():
            raise UsageError(f"there is no features file {path}")
        try:
            return _parsed(_arrays_in(path))
        except _BrokenError as error:
            raise FileFormatError(
                f"{path} is not a features file",
                because=str(error),
                remedy="make one with mgn-reid extract",
            ) from None


class _BrokenError(Exception):
    """The rule that a file breaks."""


def _arrays_in(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise _BrokenError("it is no .npz archive, or its end is cut off")
    try:
        with np.load(path, allow_pickle=False) as loaded:
            lost = [key for key in _ARRAYS if key not in loaded.files]
            if lost:
                raise _BrokenError(f"it has no {lost[0]}")
            return {key: loaded[key] for key in _ARRAYS}
    except _DAMAGES as error:
        raise _BrokenError(str(error) or type(error).__name__) from None


def _parsed(arrays: Mapping[str, Array]) -> Features:
    try:
        record = json.loads(str(arrays["record"]))
        if record["schema"] != SCHEMA:
            raise _BrokenError(f"its schema is {record['schema']!r}, not {SCHEMA!r}")
        root, made = Path(record["root"]), Record.from_json(record)
    except (KeyError, TypeError, ValueError) as error:
        raise _BrokenError(f"its record is broken: {type(error).__name__}: {error}") from None
    embeddings, names = arrays["embeddings"], arrays["names"]
    _check_embeddings(embeddings)
    for key in ("names", "identities", "cameras"):
        if arrays[key].shape != embeddings.shape[:1]:
            raise _BrokenError(f"it has {len(embeddings)} embeddings, and {key} of shape {arrays[key].shape}")
    for key in ("identities", "cameras"):
        if arrays[key].dtype != np.int64 or arrays[key].min() < UNKNOWN:
            raise _BrokenError(f"{key} are int64 and at least {UNKNOWN}")
    return Features(embeddings, _checked_names(names), arrays["identities"], arrays["cameras"], root, made)


def _check_embeddings(embeddings: Array) -> None:
    if embeddings.ndim != 2 or embeddings.dtype != np.float32 or not embeddings.size:
        raise _BrokenError(f"embeddings are float32 (N, D), not {embeddings.dtype} {embeddings.shape}")
    squared = np.einsum("nd,nd->n", embeddings, embeddings)
    others = np.flatnonzero(~(np.abs(squared - 1) < 1e-3))  # so put, NaN is one of them
    if len(others):
        row = others[0]
        raise _BrokenError(f"the squared length of embedding {row} is {squared[row]:.6g}, not 1")


def _checked_names(names: Array) -> tuple[str, ...]:
    if names.dtype.kind != "U":
        raise _BrokenError(f"names are text, not {names.dtype}")
    found = tuple(names.tolist())
    if len(set(found)) != len(found):
        raise _BrokenError("a name is there twice")
    for name in found:
        path = PurePosixPath(name)
        if not path.parts or ".." in path.parts or path.is_absolute() or str(path) != name or "\0" in name:
            raise _BrokenError(f"{name!r} is no path below a root")
    return found


def check_dimensions(first: int, second: int) -> None:
    """Raise UsageError unless both embeddings have the same length."""
    if first != second:
        raise UsageError(
            "the embeddings have different lengths",
            because="only embeddings of one network can be compared",
            got=f"{first} and {second}",
            remedy="extract both with one model",
        )
