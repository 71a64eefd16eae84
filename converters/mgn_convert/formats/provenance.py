"""Which tensor of the first graph is where in a file, as the manifest beside it records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mgn_convert.graph import Origin
from mgn_convert.manifest import find_manifest


@dataclass(frozen=True)
class Provenance:
    """origins: place (a blob, an ONNX value) -> origin, or None where no manifest belongs to the file.

    outputs: the network's outputs in the order of the first graph, by tensor name.
    input: what the first graph calls its input.
    """

    origins: Mapping[str, Origin] | None = None
    outputs: tuple[str, ...] = ()
    input: str = ""

    @classmethod
    def beside(cls, path: Path, format_name: str, kind: str) -> Provenance:
        """The record of this very file; of one that was changed since, only its input's name.

        kind: the key of places in the records of that format.
        """
        manifest, artefact = find_manifest(path, format_name)
        if manifest is None:
            return cls()
        if artefact is None:
            return cls(input=manifest.input_name)
        origins = {}
        for entry in artefact.tensors:
            covered = {origin.tensor: origin for origin in entry.covers}
            origins[str(entry.place[kind])] = covered.get(entry.tensor, Origin(entry.tensor))
        return cls(origins, artefact.outputs, manifest.input_name)

    def origin(self, place: str, fallback: Origin) -> Origin:
        """The origin of what a place holds. A place that the record does not name has no tensor name."""
        if self.origins is None:
            return fallback
        return self.origins.get(place, Origin("", fallback.module, fallback.source))

    def tensor(self, place: str) -> str:
        """The tensor name of a place; empty for one that the record does not name."""
        return self.origin(place, Origin(place)).tensor

    def value(self, place: str) -> str:
        """What a graph calls what is in a place: its tensor name, else the place's, kept apart from those."""
        return self.tensor(place) or (f"{place}.inner" if place in self._tensors else place)

    @cached_property
    def _tensors(self) -> frozenset[str]:
        return frozenset(origin.tensor for origin in (self.origins or {}).values())

    def ordered(self, places: Sequence[str]) -> list[str]:
        """The output places in the recorded order; those without a record keep their place at the end."""
        rank = {name: i for i, name in enumerate(self.outputs)}
        return sorted(places, key=lambda place: rank.get(self.tensor(place), len(rank)))
