"""cfg and weights to a graph, one rule of rules/ per section.

A layer's value is called by its section's `name`, else by index and type, as in 12.convolutional. Values are
(N, C, H, W), and (N, K) after layers that Darknet itself sees as vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgn_convert.errors import GraphError
from mgn_convert.formats import Source, with_companion
from mgn_convert.formats.darknet.cfg import Section, read_cfg
from mgn_convert.formats.darknet.registry import readers
from mgn_convert.formats.darknet.weights import WeightsFile
from mgn_convert.graph import Array, Graph, GraphBuilder, Origin, Shape, Value
from mgn_convert.manifest import Artefact, Manifest, find_manifest

_EVERYWHERE = ("learning_rate", "smooth", "truth", "onlyforward", "stopbackward", "dontsave")
_NOT_LOADED = ("dontload", "dontloadscales", "numload")
_TRAINING = (
    *("subdivisions", "time_steps", "notruth", "name", "random", "adam", "B1", "B2", "eps", "momentum"),
    *("decay", "learning_rate", "policy", "max_batches", "burn_in", "power", "step", "scale", "steps"),
    *("scales", "gamma", "max_crop", "min_crop", "max_ratio", "min_ratio", "center", "clip", "angle"),
    *("aspect", "saturation", "exposure", "hue", "batch"),
)


@dataclass(frozen=True)
class Network:
    """A graph, the value that each layer gives, and by name the first layer that gives a value.

    Values on the way inside of a layer are in the graph alone.
    """

    graph: Graph
    values: tuple[Value, ...]
    layers: Mapping[str, int]


class Reading:
    """What a reading rule works with: the layers so far, the weights, and the graph being built."""

    def __init__(
        self,
        sections: list[Section],
        weights: WeightsFile,
        name: str,
        found: tuple[Manifest | None, Artefact | None],
    ) -> None:
        net = sections[0]
        shape = tuple(net.integer(key, None, least=1) for key in ("channels", "height", "width"))
        net.skip(_TRAINING)
        self.weights = weights
        self.builder = GraphBuilder(name)
        manifest, self._part = found
        self._names = _names(sections[1:])
        name = manifest.input_name if manifest else "data"
        while name in self._names:
            name += "_"
        self.input = self.builder.input(name, (1, *shape))
        check_size(net, (1, *shape))
        if net.integer("inputs", math.prod(shape)) != math.prod(shape):
            raise net.error("inputs is channels * height * width", key="inputs", remedy="remove inputs")
        self.made: list[Value] = []
        self.pools: dict[int, tuple[Value, Mapping[str, Any]]] = {}
        self.index = -1
        self.section = net
        self._vectors: set[str] = set()

    def begin(self, section: Section) -> None:
        """Turn to the next section."""
        self.index, self.section = self.index + 1, section
        section.skip((*_EVERYWHERE, "name"))
        section.refuse(_NOT_LOADED, "a trained network has all its weights in the file")

    @property
    def name(self) -> str:
        """What this section's value is called."""
        return self._names[self.index]

    @property
    def previous(self) -> Value:
        """What the section reads unless it says otherwise."""
        return self.made[-1] if self.made else self.input

    def layer(self, number: int) -> Value:
        """The value of a layer, counted from the start or, when negative, back from here."""
        return self.made[self.layer_index(number)]

    @property
    def source(self) -> Value:
        """The value of the layer that `from` names."""
        if len(self.section.integers("from")) != 1:
            raise self.section.error("from names one layer", key="from", remedy="one section per layer")
        return self.layer(self.section.integers("from")[0])

    def layer_index(self, number: int) -> int:
        """The number of a layer, counted from the start, of one that `layer` takes."""
        index = number if number >= 0 else self.index + number
        if not 0 <= index < self.index:
            raise self.section.error(
                f"there is no layer {number} before this one",
                because=f"this is layer {self.index}; the net input is no layer",
                remedy=f"a number from {-self.index} to {self.index - 1}"
                if self.index
                else "an [activation] before it, which copies the input",
            )
        return index

    def image(self, value: Value | None = None) -> Value:
        """`value`, or the previous one, as (N, C, H, W). Raises FileFormatError when Darknet has no such."""
        value = self.previous if value is None else value
        if value.name in self._vectors:
            raise self.section.error(
                f"[{self.section.type}] needs channels, height and width",
                because="the layer before it gives a vector",
                remedy="[connected] is what reads vectors",
            )
        return value if len(value.shape) == 4 else self.add("reshape", value, shape=(0, -1, 1, 1))

    def map(self, value: Value | None = None) -> Value:
        """`value`, or the previous one, as the layers of our engine see it: a vector is (N, K, 1, 1)."""
        value = self.previous if value is None else value
        return value if len(value.shape) == 4 else self.add("reshape", value, shape=(0, -1, 1, 1))

    def vector(self, value: Value | None = None) -> Value:
        """`value`, or the previous one, as (N, K)."""
        value = self.previous if value is None else value
        return value if len(value.shape) == 2 else self.add("reshape", value, shape=(0, -1))

    def is_image(self, value: Value) -> bool:
        """Whether Darknet knows channels, height and width of this value."""
        return value.name not in self._vectors

    def mark_vector(self, value: Value) -> Value:
        """Note that Darknet knows only the length of this value."""
        self._vectors.add(value.name)
        return value

    def take(self, what: str, *shape: int) -> Array:
        """The next numbers of the weights file."""
        return self.weights.take(shape, self.section, what)

    def add(self, op: str, *inputs: Value, **fields: Any) -> Value:
        """An inner node of this section, without a tensor name of its own."""
        name = f"{self.name}.{op}"
        while name in self._names or name != self.builder.unique(name):
            name += "_"
        origin = Origin("", self.name, self._line)
        return self.builder.add(op, *inputs, name=name, origin=origin, **fields)

    def result(self, op: str, *inputs: Value, **fields: Any) -> Value:
        """The node that gives this section's value, under its name."""
        return self.builder.add(op, *inputs, name=self.name, origin=self._origin(), **fields)

    def chain(self, value: Value, *steps: tuple[str, Mapping[str, Any]] | None) -> Value:
        """Nodes one after the other; the last one gives the section's value. None is no node.

        ("gate", {"steps": ...}) multiplies what goes in by what the steps make of it.
        """
        present = [step for step in steps if step is not None]
        for position, (op, fields) in enumerate(present, start=1):
            make = self.result if position == len(present) else self.add
            if op == "gate":
                gate = value
                for inner, its in fields["steps"]:
                    gate = self.add(inner, gate, **its)
                value = make("mul", value, gate)
            else:
                value = make(op, value, **fields)
        return value

    def _origin(self) -> Origin:
        """What the manifest records for this layer; without one, the section's name and line."""
        if self._part is None:
            return Origin(self.name, self.name, self._line)
        row = next((t for t in self._part.tensors if t.place.get("layer") == self.index), None)
        if row is None:
            return Origin("", self.name, self._line)
        return next((o for o in row.covers if o.tensor == row.tensor), Origin(row.tensor))

    @property
    def _line(self) -> str:
        return f"{Path(self.section.file).name}:{self.section.line}"


def read(source: Source) -> Graph:
    """The graph of a .cfg and its .weights. Raises FileFormatError."""
    return read_network(source).graph


def read_network(source: Source) -> Network:
    """The same, with the number of the layer behind each value."""
    source = with_companion(source, ".weights")
    assert source.path is not None
    assert source.weights is not None
    sections = read_cfg(source.path)
    rules = readers()
    _refuse_unknown_types(sections[1:])
    weights = WeightsFile(source.weights)
    reading = Reading(sections, weights, source.path.stem, find_manifest(source.path, "darknet"))
    for section in sections[1:]:
        reading.begin(section)
        try:
            value = rules[section.type](reading, section)
        except GraphError as error:
            raise section.error(error.what, because=error.because or error.got) from None
        check_size(section, value.shape)
        reading.made.append(value)
    if not reading.made:
        raise sections[0].error("the network has no layer", because="there is nothing after [net]")
    _refuse_unknown_keys(sections)
    weights.finish()
    graph = reading.builder.graph([reading.previous])
    layers: dict[str, int] = {}
    for index, value in enumerate(reading.made):
        layers.setdefault(value.name, index)
    return Network(graph, tuple(reading.made), layers)


def check_size(section: Section, shape: Shape) -> None:
    """Raise FileFormatError for a layer whose output Darknet cannot count."""
    if math.prod(shape) > 2**31 - 1:
        raise section.error(
            "the layer is larger than Darknet's counters", because=f"its output is {list(shape[1:])}"
        )


def _refuse_unknown_types(sections: list[Section]) -> None:
    rules = readers()
    unknown = [s for s in sections if s.type not in rules]
    if unknown:
        raise unknown[0].error(
            f"no rule reads {', '.join(dict.fromkeys(f'[{s.type}]' for s in unknown))}",
            because="known are " + ", ".join(f"[{name}]" for name in sorted(rules)),
            remedy="lines " + ", ".join(str(s.line) for s in unknown),
        )


def _refuse_unknown_keys(sections: list[Section]) -> None:
    unknown = [(s, key) for s in sections for key in s.unknown()]
    if unknown:
        section, key = unknown[0]
        others = ", ".join(f"{k} (line {s.options[k].line})" for s, k in unknown[1:])
        raise section.error(
            f"[{section.type}] has no key {key}",
            key=key,
            because="a key that nothing reads may change what the network means",
            remedy="remove it" + (f"; likewise {others}" if others else ""),
        )


def _names(sections: list[Section]) -> list[str]:
    """One name per layer, each only once."""
    seen: dict[str, Section] = {}
    names = []
    for index, section in enumerate(sections):
        name = section.text("name", f"{index}.{section.type}")
        if section.has("name") and not name.strip("+-0123456789"):
            raise section.error(
                "a layer's name is no number", key="name", because="it would mean the layer of that index"
            )
        if name in seen:
            raise section.error(
                "two layers have one name", key="name", because=f"{name} is taken", remedy="rename one"
            )
        seen[name] = section
        names.append(name)
    return names
