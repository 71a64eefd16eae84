"""Which tensor of the first graph a blob holds, as the manifest beside the prototxt records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mgn_convert.graph import Origin
from mgn_convert.manifest import find_manifest


@dataclass(frozen=True)
class Provenance:
    """origins: blob -> origin, or None where no manifest belongs to the file.

    outputs: the network's outputs in the order of the first graph, by tensor name.
    input: what the first graph calls its input.
    """

    origins: Mapping[str, Origin] | None = None
    outputs: tuple[str, ...] = ()
    input: str = ""

    @classmethod
    def beside(cls, prototxt: Path) -> Provenance:
        """The record of this very prototxt; of one that was changed since, only its input's name."""
        manifest, artefact = find_manifest(prototxt, "caffe")
        if manifest is None:
            return cls()
        if artefact is None:
            return cls(input=manifest.input_name)
        origins = {}
        for entry in artefact.tensors:
            covered = {origin.tensor: origin for origin in entry.covers}
            origins[str(entry.place["blob"])] = covered.get(entry.tensor, Origin(entry.tensor))
        return cls(origins, artefact.outputs, manifest.input_name)

    def origin(self, blob: str, fallback: Origin) -> Origin:
        """The origin of what a blob holds. A blob that the record does not name has no tensor name."""
        if self.origins is None:
            return fallback
        return self.origins.get(blob, Origin("", fallback.module, fallback.source))

    def tensor(self, blob: str) -> str:
        """The tensor name of a blob; empty for one that the record does not name."""
        return self.origin(blob, Origin(blob)).tensor

    def value(self, blob: str) -> str:
        """What a graph calls the value in a blob: its tensor name, else the blob's, kept apart from those."""
        return self.tensor(blob) or (f"{blob}.inner" if blob in self._tensors else blob)

    @cached_property
    def _tensors(self) -> frozenset[str]:
        return frozenset(origin.tensor for origin in (self.origins or {}).values())

    def ordered(self, blobs: Sequence[str]) -> list[str]:
        """The output blobs in the recorded order; those without a record keep their place at the end."""
        rank = {name: i for i, name in enumerate(self.outputs)}
        return sorted(blobs, key=lambda blob: rank.get(self.tensor(blob), len(rank)))
