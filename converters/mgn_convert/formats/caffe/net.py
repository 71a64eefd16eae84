"""A prototxt as the network that runs at test time: layers in order, each version of a blob under a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError, UnsupportedError
from mgn_convert.formats.caffe import text
from mgn_convert.formats.caffe.proto import layer_parameter

_V1_TYPES = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "BNLL": "BNLL",
    "DATA": "Data",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
_V1_ONLY = {"layer", "type", "blobs_lr", "weight_decay", "param", "blob_share_mode"}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer. `bottoms` and `tops` are names of values: of the blob, or where a later layer writes the
    same blob in place, of this version of it. `message` is the LayerParameter as the file has it.
    """

    message: Any
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    source: str
    line: int = 0

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def type(self) -> str:
        return str(self.message.type)

    def __str__(self) -> str:
        return f'{self.type} "{self.name}"'

    @property
    def place(self) -> str:
        """For error messages: the layer and where it stands."""
        return f"{self} ({self.source}:{self.line})" if self.line else f"{self} ({self.source})"


@dataclass(frozen=True, eq=False)
class Net:
    """The layers that run at test time. `outputs`: the tops that no layer reads, in the file's order.

    is_new: the file says `layer`, not `layers`.
    """

    name: str
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    is_new: bool = True


def load(path: Path) -> Net:
    """The network of a prototxt, whatever the age of its syntax.

    Raises FileFormatError for text that is no prototxt, a bottom that no layer makes, a name used twice.
    """
    message, lines = text.read_text(path)
    return resolve(message, lines, path.name, path.stem)


def resolve(message: Any, lines: list[int], source: str, fallback_name: str = "net") -> Net:
    """As `load`, for a NetParameter that is already here."""
    if len(message.layer) and len(message.layers):
        raise FileFormatError(
            f"{source} has `layer` and `layers` entries",
            because="a network is written in one syntax",
            remedy="name all of them `layer`, the newer spelling",
        )
    entries = list(message.layer) or [_upgraded(old, source) for old in message.layers]
    numbered = [*((layer, 0) for layer in _legacy_inputs(message)), *zip(entries, lines, strict=True)]
    kept = [(m, line) for m, line in numbered if _runs_at_test(m) and not _is_idle(m)]
    layers = _resolved(kept, source)
    read = {name for layer in layers for name in layer.bottoms}
    outputs = tuple(t for layer in layers if layer.type != "Input" for t in layer.tops if t not in read)
    return Net(str(message.name) or fallback_name, tuple(layers), outputs, not len(message.layers))


def _resolved(kept: list[tuple[Any, int]], source: str) -> list[Layer]:
    versions = Counter(top for message, _ in kept for top in dict.fromkeys(message.top))
    taken = set(versions)
    seen: Counter[str] = Counter()
    names: set[str] = set()
    current: dict[str, str] = {}
    layers = []
    for message, line in kept:
        layer = Layer(message, (), (), source, line)
        if message.name in names:
            raise _broken(layer, "a second layer has this name", "Caffe finds weights by layer name")
        names.add(message.name)
        for bottom in message.bottom:
            if bottom not in current:
                raise _broken(layer, f"nobody makes the bottom {bottom!r}", "a bottom is an earlier top")
        bottoms = tuple(current[bottom] for bottom in message.bottom)
        tops: list[str] = []
        for top in message.top:
            if (top in current and top not in message.bottom) or top in message.top[: len(tops)]:
                raise _broken(layer, f"a second layer makes the top {top!r}", "a blob is made once")
            seen[top] += 1
            last = seen[top] == versions[top]
            current[top] = top if last else _fresh(f"{top}.{message.name}", taken)
            tops.append(current[top])
        layers.append(Layer(message, bottoms, tuple(tops), source, line))
    return layers


def _fresh(name: str, taken: set[str]) -> str:
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate


def _broken(layer: Layer, what: str, rule: str) -> FileFormatError:
    return FileFormatError(f"{layer.source}: {what}", at=layer.place, because=rule)


def _is_idle(message: Any) -> bool:
    """An in-place Dropout does nothing at test time."""
    return message.type == "Dropout" and list(message.bottom) == list(message.top)


def _runs_at_test(message: Any) -> bool:
    if len(message.include):
        return any(_met(rule) for rule in message.include)
    return not any(_met(rule) for rule in message.exclude)


def _met(rule: Any) -> bool:
    """Whether a NetStateRule holds for phase TEST, level 0 and no stage."""
    if rule.HasField("phase") and rule.phase != 1:
        return False
    if (rule.HasField("min_level") and rule.min_level > 0) or (
        rule.HasField("max_level") and rule.max_level < 0
    ):
        return False
    return not len(rule.stage)


def _legacy_inputs(message: Any) -> Iterable[Any]:
    """The layer "input" that Caffe makes of `input:` with `input_dim:` or `input_shape`."""
    if not len(message.input):
        return []
    layer = layer_parameter()
    layer.name, layer.type = "input", "Input"
    layer.top.extend(message.input)
    shapes = [list(shape.dim) for shape in message.input_shape]
    dims = list(message.input_dim)
    shapes = shapes or [dims[i : i + 4] for i in range(0, len(dims), 4)]
    for dims in shapes:
        layer.input_param.shape.add().dim.extend(dims)
    return [layer]


def _upgraded(old: Any, source: str) -> Any:
    """A V1 layer as a LayerParameter; parameters keep their names."""
    if old.HasField("layer"):
        raise UnsupportedError(
            f"{source} is written in the syntax of 2013",
            at=f'layer "{old.layer.name}"',
            because="such files (V0) nest `layer` inside `layers`",
            remedy="run Caffe's own upgrade_net_proto_text on it first",
        )
    new = layer_parameter()
    kind = old.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[old.type].name
    new.type = _V1_TYPES.get(kind) or "".join(word.capitalize() for word in kind.split("_"))
    for name in old.param:
        new.param.add().name = name
    for field, value in old.ListFields():
        if field.name in _V1_ONLY:
            continue
        if field.name in ("name",):
            new.name = value
        elif field.name in ("bottom", "top"):
            getattr(new, field.name).extend(value)
        elif field.name in ("blobs", "include", "exclude"):
            getattr(new, field.name).MergeFrom(value)
        else:
            getattr(new, field.name).CopyFrom(value)
    return new
