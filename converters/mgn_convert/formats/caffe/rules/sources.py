"""Where values come from and how they end: Input, Parameter, DummyData, Split, Silence, Dropout."""

from __future__ import annotations

import numpy as np

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.caffe.reader import LayerReader
from mgn_convert.formats.caffe.registry import Dialect, reads, writes
from mgn_convert.formats.caffe.writer import NetWriter
from mgn_convert.graph import Graph, Node, Value


@reads("Input")
def read_input(layer: LayerReader) -> tuple[Value, ...]:
    shapes = [tuple(shape.dim) for shape in layer.param("input_param").shape]
    tops = layer.layer.tops
    if len(shapes) == 1:
        shapes *= len(tops)
    if len(shapes) != len(tops) or not all(shape and min(shape) > 0 for shape in shapes):
        raise FileFormatError(
            f"{layer.layer} does not tell its shape",
            at=layer.layer.place,
            because="each input has a shape of positive dimensions (input_param, input_shape or input_dim)",
            got=str(shapes),
            remedy="write the shape into the prototxt: shape { dim: 1 dim: 3 dim: 384 dim: 128 }",
        )
    return tuple(layer.input(top, shape) for top, shape in zip(tops, shapes, strict=True))


@reads("Dropout")
def read_dropout(layer: LayerReader) -> Value:
    """At test time Dropout passes its bottom on: training scales instead."""
    layer.take(1)
    return layer.x


@reads("Split")
def read_split(layer: LayerReader) -> tuple[Value, ...]:
    layer.take(1)
    return (layer.x,) * len(layer.layer.tops)


@reads("Silence")
def read_silence(layer: LayerReader) -> tuple[Value, ...]:
    return ()


@reads("Parameter")
def read_parameter(layer: LayerReader) -> Value:
    shape = tuple(layer.param("parameter_param").shape.dim)
    return layer.result("constant", value=layer.blob(0, shape))


@reads("DummyData")
def read_dummy_data(layer: LayerReader) -> tuple[Value, ...]:
    param, count = layer.param("dummy_data_param"), len(layer.layer.tops)
    shapes = [tuple(shape.dim) for shape in param.shape]
    shapes = shapes or [*zip(param.num, param.channels, param.height, param.width, strict=False)]
    fillers = list(param.data_filler)
    if any(filler.type != "constant" for filler in fillers):
        layer.refuse("only constant filling gives the same numbers twice", got=fillers[0].type)
    if len(shapes) not in (1, count) or len(fillers) not in (0, 1, count):
        layer.refuse("it has one shape and one filler for all tops, or one for each")
    values = [np.float32(filler.value) for filler in fillers] or [np.float32(0)]
    return tuple(
        layer.result(
            "constant", top=i, value=np.broadcast_to(values[i % len(values)], shapes[i % len(shapes)])
        )
        for i in range(count)
    )


def _constant_fits(graph: Graph, node: Node, dialect: Dialect) -> str | None:
    """A constant needs no layer where its readers take it in; they say so themselves when they cannot."""
    if node.name in graph.outputs and "Parameter" not in dialect["layers"]:
        return "an output that is a constant needs a Parameter layer"
    return None


@writes("constant", fits=_constant_fits)
def write_constant(net: NetWriter, node: Node) -> None:
    value = node.params["value"]
    net.layer("Parameter", node, blobs=[value], parameter_param={"shape": {"dim": list(value.shape)}})
