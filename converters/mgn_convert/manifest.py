"""NAME.manifest.json: where a stem's artefacts come from, how to feed them, and which value is where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError
from mgn_convert.graph.types import Graph, Origin
from mgn_convert.packaging import Processing
from mgn_convert.preprocess import Preprocessing
from mgn_convert.resources import resource

SCHEMA = "mgn-convert/manifest/1"


@dataclass(frozen=True)
class Tensor:
    """One value of an artefact: its name in the first graph, where it is here, and what was fused into it."""

    tensor: str
    place: Mapping[str, Any]
    covers: tuple[Origin, ...]


@dataclass(frozen=True)
class Artefact:
    """The part of a manifest that belongs to one format.

    files: by their paths inside the artefact's folder. processing: what is inside beside the network.
    input, result: places of the network's own input and of what the postprocessing makes.
    """

    format: str
    dialect: str
    files: Mapping[str, Mapping[str, Any]]
    tensors: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    input: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    processing: Processing | None = None

    def is_of(self, main: Path) -> bool:
        """Whether the artefact was written together with this very file."""
        recorded = self.files.get(main.name)
        return recorded is not None and recorded.get("sha256") == _sha256(main)


@dataclass(frozen=True)
class Manifest:
    """The whole file. `artefacts` has one entry per format."""

    name: str
    input_name: str
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    source: Mapping[str, Any] = field(default_factory=dict)
    artefacts: Mapping[str, Artefact] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the manifest as JSON with stable order."""
        path.write_text(json.dumps(_to_json(self), indent=1) + "\n", encoding="utf8")

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read and check a manifest. Raises FileFormatError when it breaks the schema."""
        try:
            return _parsed(path.read_text(encoding="utf8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path} is not JSON", because=str(error)) from None
        except _SchemaError as error:
            raise FileFormatError(f"{path} is not a manifest", at=error.place, because=error.rule) from None


class _SchemaError(Exception):
    def __init__(self, place: str, rule: str) -> None:
        self.place, self.rule = place, rule


@lru_cache(maxsize=8)
def _parsed(text: str) -> Manifest:
    """Checking takes longer than reading, and a conversion asks for the same manifest several times."""
    from jsonschema.exceptions import best_match

    content = json.loads(text)
    error = best_match(_validator().iter_errors(content))
    if error is not None:
        raise _SchemaError(error.json_path, error.message)
    return _from_json(content)


def manifest_path(artefact: Path) -> Path:
    """Where the manifest of an artefact's file is: beside it, by stem."""
    return artefact.with_suffix(".manifest.json")


def find_manifest(artefact: Path, format_name: str) -> tuple[Manifest | None, Artefact | None]:
    """The manifest beside `artefact`, and its part written with this very file; None where absent."""
    path = manifest_path(artefact)
    if not path.is_file():
        return None, None
    manifest = Manifest.load(path)
    part = manifest.artefacts.get(format_name)
    return manifest, part if part is not None and part.is_of(artefact) else None


def file_entry(path: Path, *, main: bool) -> dict[str, Any]:
    """Size of a file and, for the main file, which identifies an artefact, its digest."""
    entry: dict[str, Any] = {"bytes": path.stat().st_size}
    return {**entry, "sha256": _sha256(path)} if main else entry


def tensors_of(
    graph: Graph, places: Sequence[tuple[str, Mapping[str, Any], tuple[str, ...]]]
) -> tuple[Tensor, ...]:
    """Manifest entries for what a writer placed; names become those of the first graph."""
    found = []
    for name, place, covered in places:
        origins = tuple(_origin(graph, each) for each in covered)
        found.append(Tensor(_origin(graph, name).tensor, place, origins))
    return tuple(found)


def _origin(graph: Graph, name: str) -> Origin:
    origin = graph.node(name).origin if name in graph else Origin()
    return Origin(origin.tensor or name, origin.module, origin.source)


def _sha256(path: Path) -> str:
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _digest(path: Path, changed: int, size: int) -> str:
    """A file with its weights inside takes a while, and a verification asks several times."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(
        json.loads(resource("schemas/manifest.schema.json").read_text(encoding="utf8"))
    )


def _to_json(manifest: Manifest) -> dict[str, Any]:
    artefacts: dict[str, dict[str, Any]] = {}
    for name, part in manifest.artefacts.items():
        rows = [
            {
                "tensor": t.tensor,
                **t.place,
                "covers": [{"tensor": o.tensor, "module": o.module, "source": o.source} for o in t.covers],
            }
            for t in part.tensors
        ]
        artefacts[name] = {
            "dialect": part.dialect,
            "files": dict(part.files),
            "outputs": list(part.outputs),
            "tensors": rows,
        }
        if part.input:
            artefacts[name]["input"] = dict(part.input)
        if part.result:
            artefacts[name]["result"] = dict(part.result)
        if part.processing is not None:
            artefacts[name]["processing"] = part.processing.to_json()
    return {
        "schema": SCHEMA,
        "name": manifest.name,
        "input": {"name": manifest.input_name, "shape": list(manifest.input_shape)},
        "preprocessing": manifest.preprocessing.to_json() if manifest.preprocessing else None,
        "source": dict(manifest.source),
        "artefacts": artefacts,
    }


def _from_json(content: Mapping[str, Any]) -> Manifest:
    artefacts = {}
    for name, part in content["artefacts"].items():
        rows = tuple(
            Tensor(
                row["tensor"],
                {k: v for k, v in row.items() if k not in ("tensor", "covers")},
                tuple(Origin(**origin) for origin in row["covers"]),
            )
            for row in part["tensors"]
        )
        inside = part.get("processing")
        artefacts[name] = Artefact(
            name,
            part["dialect"],
            part["files"],
            rows,
            tuple(part["outputs"]),
            part.get("input", {}),
            part.get("result", {}),
            Processing.from_json(inside) if inside else None,
        )
    fields = content["preprocessing"]
    return Manifest(
        content["name"],
        content["input"]["name"],
        tuple(content["input"]["shape"]),
        Preprocessing.from_json(fields) if fields else None,
        content["source"],
        artefacts,
    )
