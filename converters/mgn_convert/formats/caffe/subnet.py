"""A part of a network as a network of its own, with Input layers where it was cut."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mgn_convert.errors import UsageError
from mgn_convert.formats.caffe import binary, net, text
from mgn_convert.formats.caffe.proto import net_parameter
from mgn_convert.graph import Shape


@dataclass(frozen=True)
class Part:
    """The layers that compute `target` from `inputs`, in order. All names are those of `net.Layer`."""

    inputs: tuple[str, ...]
    layers: tuple[net.Layer, ...]
    target: str

    def place(self) -> tuple[str, int]:
        """The layer that makes the target, and which of its tops it is."""
        layer = self.layers[-1]
        return layer.name, layer.tops.index(self.target)


def extract(network: net.Net, target: str, known: Collection[str]) -> Part:
    """What lies between the values `known` and `target`. Raises UsageError when it needs an unknown input."""
    needed, layers, inputs = {target}, [], []
    for layer in reversed(network.layers):
        if not needed.intersection(layer.tops):
            continue
        if layer.type == "Input":
            missing = sorted(needed.intersection(layer.tops))
            raise UsageError(
                f"{target} cannot be computed from these values alone",
                because=f"it depends on the input {missing[0]!r}, which is not among them",
            )
        layers.append(layer)
        for bottom in layer.bottoms:
            if bottom not in known:
                needed.add(bottom)
            elif bottom not in inputs:
                inputs.append(bottom)
    return Part(tuple(sorted(inputs)), tuple(reversed(layers)), target)


def files(
    part: Part, shapes: Mapping[str, Shape], weights: Mapping[str, tuple[binary.Blob, ...]]
) -> tuple[str, bytes]:
    """A prototxt and a caffemodel of the part. Every blob has a name of its own: nothing is in place."""
    message = net_parameter()
    message.name = "part"
    for name in part.inputs:
        layer = message.layer.add()
        layer.name, layer.type = f"{name}.input", "Input"
        layer.top.append(name)
        layer.input_param.shape.add().dim.extend(shapes[name])
    kept = []
    for part_layer in part.layers:
        layer = message.layer.add()
        layer.CopyFrom(part_layer.message)
        for field, names in (("bottom", part_layer.bottoms), ("top", part_layer.tops)):
            layer.ClearField(field)
            getattr(layer, field).extend(names)
        layer.ClearField("include")
        layer.ClearField("exclude")
        if blobs := weights.get(part_layer.name):
            arrays = tuple(blob.array for blob in blobs)
            kept.append(binary.Weights(part_layer.name, arrays, part_layer.type))
    caffemodel = io.BytesIO()
    binary.write_caffemodel(caffemodel, "part", kept)
    return text.print_text(message), caffemodel.getvalue()
