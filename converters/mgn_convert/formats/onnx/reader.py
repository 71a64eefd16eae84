"""An ONNX file -> Graph, by the rules of reading/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx

from mgn_convert.errors import UnsupportedError, UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx.model import Entry, Model, load
from mgn_convert.formats.onnx.reading.walk import Walk
from mgn_convert.formats.onnx.target import METADATA
from mgn_convert.formats.provenance import Provenance
from mgn_convert.graph import Graph, Shape
from mgn_convert.manifest import find_manifest


def read(source: Source) -> Graph:
    """The network of an ONNX file, for one image and by nodes that hold for any number of them.

    Takes `source.input_shape` where the file leaves height and width open, and `source.output`, a name or an
    index, to read but the part that makes this output.

    Raises FileFormatError for a damaged file, UnsupportedError listing every node that cannot be read, and
    UsageError for an unknown output or a shape that is missing or contradicts the file.
    """
    assert source.path is not None
    model = load(source.path)
    if METADATA in model.metadata:
        raise _packaged(model.source, "preprocessing inside")
    entry = _only_input(model)
    outputs = _chosen(model.outputs, source.output)
    provenance = _provenance(source.path)
    shape = _image_shape(model, entry, source.input_shape)
    fixed = entry.shape[0] if entry.shape else None
    nodes = _needed(model, outputs)
    return Walk(model, nodes, entry.name, shape, fixed, outputs, provenance).graph()


def _provenance(path: Path) -> Provenance:
    """Which tensor of the first graph each ONNX value is, as the manifest beside the file records it.

    Raises UnsupportedError for a file whose embedding has its parts in another order.
    """
    _, artefact = find_manifest(path, "onnx")
    if artefact is not None and any("blocks" in entry.place for entry in artefact.tensors):
        raise _packaged(path.name, "the parts of its embedding in another order")
    return Provenance.beside(path, "onnx", "value")


def _packaged(name: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name} cannot be read", because=f"it has {what}", remedy="convert the file without it"
    )


def _only_input(model: Model) -> Entry:
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    floats.add(onnx.TensorProto.BFLOAT16)
    names = ", ".join(entry.name for entry in model.inputs)
    if len(model.inputs) != 1:
        raise UnsupportedError(
            f"{model.source} cannot be read",
            because="a network takes images, and nothing else",
            got=f"the inputs {names}" if names else "no input",
        )
    if model.inputs[0].dtype not in floats:
        kinds = {number: name for name, number in onnx.TensorProto.DataType.items()}
        raise UnsupportedError(
            f"{model.source} cannot be read",
            because="it takes images as floating point numbers",
            got=f"{names} of {kinds.get(model.inputs[0].dtype, 'no known type')}",
            remedy="the model without the preprocessing inside",
        )
    return model.inputs[0]


def _chosen(outputs: Sequence[str], wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        return tuple(dict.fromkeys(outputs))
    if wanted in outputs:
        return (wanted,)
    if wanted.isdecimal() and int(wanted) < len(outputs):
        return (outputs[int(wanted)],)
    raise UsageError(
        f"there is no output {wanted!r}",
        because="an output is named by its name or its index",
        got=", ".join(outputs),
        remedy=f"--output {outputs[0]}",
    )


def _image_shape(model: Model, entry: Entry, given: Shape | None) -> Shape:
    """(C, H, W), or what the network takes of one image."""
    known = entry.shape[1:] if entry.shape is not None else (None,) * len(given or ())
    if entry.shape is not None and not 2 <= len(entry.shape) <= 4:
        raise UnsupportedError(
            f"{model.source} cannot be read",
            because="its input has images along axis 0, and one to three axes of each",
            got=f"{entry.name} of {len(entry.shape)} axes",
        )
    text = "x".join("?" if n is None else str(n) for n in known) or "no shape"
    if given is None:
        if not known or None in known:
            raise UsageError(
                f"{model.source} leaves the size of its images open",
                because="a converted network has one size",
                got=f"{entry.name} of {text}",
                remedy="--input-shape 3,384,128",
            )
        return tuple(n for n in known if n is not None)
    fits = len(given) == len(known) and all(a in (None, b) for a, b in zip(known, given, strict=True))
    if not fits:
        raise UsageError(
            f"{model.source} does not take images of {'x'.join(map(str, given))}",
            because=f"its input {entry.name} has {text}",
            remedy="leave out --input-shape",
        )
    return given


def _needed(model: Model, outputs: Iterable[str]) -> tuple[onnx.NodeProto, ...]:
    """The nodes that the outputs need."""
    wanted, kept = set(outputs), []
    for node in reversed(model.nodes):
        if not wanted.isdisjoint(filter(None, node.output)):
            wanted.update(node.input)
            kept.append(node)
    return tuple(reversed(kept))
