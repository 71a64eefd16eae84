"""prototxt + caffemodel -> Graph, by the rules of rules/."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mgn_convert.errors import FileFormatError, GraphError, UnsupportedError
from mgn_convert.formats import Source, with_companion
from mgn_convert.formats.caffe import binary, net, registry
from mgn_convert.formats.provenance import Provenance
from mgn_convert.graph import Array, Graph, GraphBuilder, Origin, Shape, Value
from mgn_convert.passes.scale import join_scale

Blobs = Mapping[str, tuple[binary.Blob, ...]]


class LayerReader:
    """What a reading rule sees: one layer, the values of its bottoms, its weights, and where nodes go."""

    def __init__(self, layer: net.Layer, inputs: tuple[Value, ...], reading: _Reading) -> None:
        self.layer, self.inputs = layer, inputs
        self._reading = reading

    @property
    def x(self) -> Value:
        """The first bottom."""
        return self.inputs[0]

    def param(self, name: str) -> Any:
        """The parameter message called `name`, with defaults where the file has none."""
        return getattr(self.layer.message, name)

    def result(self, op: str, *inputs: Value, top: int = 0, **fields: Any) -> Value:
        """Add the node that computes a top, under the top's name."""
        blob, reading = self.layer.tops[top], self._reading
        origin = reading.provenance.origin(blob, Origin(blob, self.layer.name, self._source))
        return reading.builder.add(op, *inputs, name=reading.provenance.value(blob), origin=origin, **fields)

    def step(self, op: str, *inputs: Value, suffix: str, **fields: Any) -> Value:
        """Add a node on the way to a top, named after the top and `suffix`."""
        name = f"{self.layer.tops[0]}.{suffix}"
        origin = Origin("", self.layer.name, self._source)
        return self._reading.builder.add(op, *inputs, name=name, origin=origin, **fields)

    def input(self, name: str, shape: Shape) -> Value:
        """Add a network input."""
        return self._reading.builder.input(self._reading.input_name or name, shape)

    def blob(self, index: int, shape: Shape) -> Array:
        """Weight `index` of the layer, which must have `shape`. Raises FileFormatError if it has not."""
        return self._reading.blob(self.layer, index, shape)

    def take(self, count: int) -> None:
        """Check that the layer has `count` bottoms. Raises FileFormatError."""
        if len(self.inputs) != count:
            raise FileFormatError(
                f"{self.layer} has {len(self.inputs)} bottoms",
                at=self.layer.place,
                because=f"it reads {count}",
            )

    def refuse(self, reason: str, *, got: str = "", remedy: str = "") -> NoReturn:
        """Refuse the layer: raises UnsupportedError."""
        raise UnsupportedError(
            f"the layer {self.layer} cannot be read",
            at=self.layer.place,
            because=reason,
            got=got,
            remedy=remedy,
        )

    @property
    def _source(self) -> str:
        return f"{self.layer.source}:{self.layer.line}" if self.layer.line else self.layer.source


class _Reading:
    """What the layers of one network share."""

    def __init__(self, name: str, blobs: Blobs, weights: str, provenance: Provenance) -> None:
        self.builder = GraphBuilder(name)
        self.blobs, self.weights, self.provenance = blobs, weights, provenance
        self.input_name = ""
        self._shared: dict[str, Array] = {}

    def blob(self, layer: net.Layer, index: int, shape: Shape) -> Array:
        specs = layer.message.param
        shared = specs[index].name if index < len(specs) else ""
        if shared and shared in self._shared:
            array = self._shared[shared]
            if array.shape != shape:
                self._misfit(layer, f"the weight {shared!r} that it shares", shape, array.shape)
            return array
        found = self.blobs.get(layer.name, ())
        if index >= len(found):
            raise FileFormatError(
                f"{self.weights} lacks weights of {layer}",
                at=layer.place,
                because=f"it needs blob {index} of shape {_by(shape)}; Caffe would run with random numbers",
                got=f"{len(found)} blobs under this name",
                remedy="the caffemodel that was saved with this very prototxt",
            )
        blob = found[index]
        same = blob.array.shape == shape
        if blob.legacy:
            same = _squeezed(blob.array.shape) == _squeezed(shape) and blob.array.ndim <= 4
        if not same:
            self._misfit(layer, f"blob {index}", shape, blob.array.shape)
        array = blob.array.reshape(shape)
        if shared:
            self._shared[shared] = array
        return array

    def _misfit(self, layer: net.Layer, which: str, wanted: Shape, got: Shape) -> NoReturn:
        raise FileFormatError(
            f"{self.weights} does not fit {layer}",
            at=layer.place,
            because=f"{which} has shape {_by(wanted)}",
            got=_by(got),
            remedy="the caffemodel that was saved with this very prototxt",
        )


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "(one number)"


def _squeezed(shape: Shape) -> Shape:
    """A shape without leading ones: how old files, which always have four dimensions, are compared."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def read(source: Source) -> Graph:
    """The network of a prototxt and the caffemodel beside it (or `source.weights`).

    Raises FileFormatError for damaged or unfitting files, UnsupportedError listing every layer that has no
    rule.
    """
    source = with_companion(source, ".caffemodel")
    assert source.path is not None
    assert source.weights is not None
    network = net.load(source.path)
    return read_net(
        network,
        _load_blobs(source.weights),
        source.weights.name,
        Provenance.beside(source.path, "caffe", "blob"),
    )


def _load_blobs(path: Path) -> Blobs:
    if not path.is_file():
        raise FileFormatError(
            f"there is no {path}",
            because="the weights of a prototxt are in a caffemodel",
            remedy="name the caffemodel behind the prototxt, or give both the same stem",
        )
    return binary.read_caffemodel(path)


def read_net(network: net.Net, blobs: Blobs, weights: str, provenance: Provenance) -> Graph:
    """As `read`, for files that are already loaded; `weights` is what errors call the caffemodel."""
    registry.load_rules()
    _refuse_unknown(network)
    reading = _Reading(network.name, blobs, weights, provenance)
    if sum(len(layer.tops) for layer in network.layers if layer.type == "Input") == 1:
        reading.input_name = provenance.input
    made: dict[str, Value] = {}
    refusals: list[UnsupportedError] = []
    for layer in network.layers:
        if any(bottom not in made for bottom in layer.bottoms):
            continue  # behind a layer that is refused already
        reader = LayerReader(layer, tuple(made[name] for name in layer.bottoms), reading)
        try:
            results = registry.READ[layer.type](reader)
        except GraphError as error:
            raise FileFormatError(
                f"{layer} does not fit its bottoms",
                at=layer.place,
                because=error.because or error.what,
                got=error.got or ", ".join(_by(v.shape) for v in reader.inputs),
            ) from None
        except UnsupportedError as error:
            refusals.append(error)
            continue
        values = results if isinstance(results, tuple) else (results,)
        if len(values) != len(layer.tops):
            rule = f"{layer.type} makes {len(values)} tops here"
            raise FileFormatError(f"{layer} has {len(layer.tops)} tops", at=layer.place, because=rule)
        made.update(zip(layer.tops, values, strict=True))
    if refusals:
        raise _listing(refusals)
    if not network.outputs:
        raise FileFormatError(
            f"{network.name} has no output", because="an output is a top that no layer reads"
        )
    graph = reading.builder.graph([made[name] for name in provenance.ordered(network.outputs)])
    return join_scale(graph.pruned())


def _refuse_unknown(network: net.Net) -> None:
    unknown = [layer for layer in network.layers if layer.type not in registry.READ]
    if unknown:
        raise _listing([_no_rule(layer) for layer in unknown])


def _no_rule(layer: net.Layer) -> UnsupportedError:
    remedy = 'add a rule: CONTRIBUTING.md, "Add an op"'
    if layer.type.endswith(("Data", "Loss", "WithLoss")) or layer.type == "Accuracy":
        remedy = "the deploy prototxt, which begins with an Input layer and ends without a loss"
    return UnsupportedError(
        f"the layer {layer} cannot be read",
        at=layer.place,
        because=f"there is no rule for layers of type {layer.type or '(none)'}",
        remedy=remedy,
    )


def _listing(refusals: list[UnsupportedError]) -> UnsupportedError:
    return UnsupportedError.listing(f"{len(refusals)} layers cannot be read", refusals)
