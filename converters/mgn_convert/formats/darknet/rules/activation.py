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

_STEPS: dict[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "linear": (),
    "relu": (("relu", {}),),
    "leaky": (("leaky_relu", {"slope": 0.1}),),
    "relie": (("leaky_relu", {"slope": 0.01}),),
    "elu": (("elu", {"alpha": 1.0}),),
    "logistic": (("sigmoid", {}),),
    "tanh": (("tanh", {}),),
    "hardtan": (("clip", {"min": -1.0, "max": 1.0}),),
    "loggy": (("sigmoid", {}), ("power", {"scale": 2.0, "shift": -1.0})),
    "selu": (("elu", {"alpha": 1.6732}), ("power", {"scale": 1.0507})),
}


def activation_steps(s: Section, default: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """The nodes that activation= of a section stands for. `default` is what Darknet takes without the key."""
    word = s.text("activation", default)
    if word not in _STEPS:
        raise s.error(
            f"no rule reads the activation {word}",
            key="activation",
            because="upstream takes any word that it does not know for relu",
            remedy="one of " + ", ".join(_STEPS),
        )
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
    if activation_of(node) is None:
        return f"Darknet's activations are {', '.join(_STEPS)}; leaky has slope 0.1, relie 0.01, elu alpha 1"
    return None


@writes(*ACTIVATIONS, lacks=_lacks)
def write_activation(w: Writing, unit: Unit) -> None:
    """An activation that no section before it can take in."""
    w.use(unit.head.inputs[0])
    w.section("activation", unit, {"activation": activation_of(unit.head)})
