"""[activation], and the activation= of other sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.formats.darknet.cfg import Section
from mgn_convert.formats.darknet.fusion import ACTIVATIONS, Unit, activation_of
from mgn_convert.formats.darknet.reader import Reading
from mgn_convert.formats.darknet.registry import reads, writes
from mgn_convert.formats.darknet.writer import Writing
from mgn_convert.graph import Graph, Node, Value

Steps = tuple[tuple[str, Mapping[str, Any]], ...]

_HARD: Steps = (
    ("power", {"shift": 3.0}),
    ("clip", {"min": 0.0, "max": 6.0}),
    ("power", {"scale": 1 / 6}),
)
_STEPS: dict[str, Steps] = {
    "linear": (),
    "relu": (("relu", {}),),
    "leaky": (("leaky_relu", {"slope": 0.1}),),
    "relie": (("leaky_relu", {"slope": 0.01}),),
    "elu": (("elu", {"alpha": 1.0}),),
    "logistic": (("sigmoid", {}),),
    "tanh": (("tanh", {}),),
    "hardtan": (("clip", {"min": -1.0, "max": 1.0}),),
    "loggy": (("sigmoid", {}), ("power", {"scale": 2.0, "shift": -1.0})),
    "selu": (("elu", {"alpha": 1.6732632423543772}), ("power", {"scale": 1.0507009873554805})),
    "relu6": (("clip", {"min": 0.0, "max": 6.0}),),
    "swish": (("gate", {"steps": (("sigmoid", {}),)}),),
    "hardsigmoid": _HARD,
    "hardswish": (("gate", {"steps": _HARD}),),
    "gelu": (("gelu", {}),),
    "gelu_tanh": (("gelu", {"approximate": "tanh"}),),
    "softplus": (("softplus", {}),),
    "exp": (("exp", {}),),
    "log": (("log", {}),),
    "abs": (("abs", {}),),
}


def activation_steps(s: Section, default: str, *, alpha: bool = True) -> Steps:
    """The nodes that activation= of a section stands for, with its slope= or alpha=.

    default: what Darknet takes without the key. alpha: whether the key is elu's, not the section's own.
    """
    word = s.text("activation", default)
    if word not in _STEPS:
        raise s.error(
            f"no rule reads the activation {word}",
            key="activation",
            because="upstream takes any word that it does not know for relu",
            remedy="one of " + ", ".join(_STEPS),
        )
    for key, owner, field in (("slope", "leaky", "leaky_relu"), ("alpha", "elu", "elu")):
        if (key == "slope" or alpha) and key in s.options:
            number = s.number(key, 0)
            if s.text("activation", "") != owner:
                raise s.error(f"{key} needs activation={owner}", key=key, remedy=f"remove {key}")
            return ((field, {key: number}),)
    return _STEPS[word]


@reads("activation")
def read_activation(r: Reading, s: Section) -> Value:
    """Any shape; the result has that of the input."""
    value = r.chain(r.previous, *activation_steps(s, "linear"))
    return value if r.is_image(r.previous) else r.mark_vector(value)


@reads("dropout")
def read_dropout(r: Reading, s: Section) -> Value:
    """Nothing, in a trained network."""
    s.skip(("probability",))
    return r.previous


def _lacks(graph: Graph, node: Node, dialect: Mapping[str, Any]) -> str | None:
    if activation_of(node, own=dialect["own_layers"]) is None:
        return "upstream's activations have no numbers: leaky has slope 0.1, relie 0.01, elu alpha 1"
    return None


@writes(*(a for a in ACTIVATIONS if a != "clip"), lacks=_lacks, sections=("activation",))
def write_activation(w: Writing, unit: Unit) -> None:
    """An activation that no section before it can take in."""
    value = unit.head.inputs[0]
    w.use(value)
    options = activation_of(unit.head, own=w.own)
    assert options is not None
    w.section("activation", unit, options, shape=w.shape(value))
