"""How a file presents a network to those who load it: what its ends are called, and how much is inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mgn_convert.errors import UsageError
from mgn_convert.graph import Array, Graph, GraphBuilder, Node, Origin, Value, rewrite
from mgn_convert.preprocess import RESIZES, Preprocessing


@dataclass(frozen=True)
class Names:
    """What the ends of a file are called; empty where the network's own names will do.

    result: the output where the postprocessing is inside. The last three are for SavedModels.
    """

    input: str = ""
    output: str = ""
    result: str = ""
    signature: str = ""
    signature_input: str = ""
    signature_output: str = ""

    def over(self, others: Names) -> Names:
        """These names, and those of `others` where these are empty."""
        return Names(*(mine or theirs for mine, theirs in zip(_texts(self), _texts(others), strict=True)))


def _texts(names: Names) -> tuple[str, ...]:
    return tuple(getattr(names, key) for key in Names.__dataclass_fields__)


@dataclass(frozen=True)
class Clients:
    """What those who load a network's files expect: names by format, and orders of the embedding's parts.

    orders: part i of the written embedding is part order[i] of the network's.
    """

    names: Mapping[str, Names] = field(default_factory=dict)
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Processing:
    """What is inside a file beside the network.

    preprocessing: from RGB pictures (N, 3, h, w) of 0..255 to what the network takes; None if outside.
    mirrored: the result is the sum of the embeddings of each image and its mirror image, at unit length.
    """

    preprocessing: Preprocessing | None
    mirrored: bool

    def before(self, images: Array, dtype: type[np.floating[Any]] = np.float32) -> Array:
        """What the network is fed for `images`; with mirror images, they are the second half of the batch."""
        if self.preprocessing is not None:
            images = self.preprocessing.applied(images.transpose(0, 2, 3, 1), dtype)
        return np.concatenate([images, images[..., ::-1]]) if self.mirrored else images

    def after(self, embeddings: Array) -> Array:
        """The result (N, D) from the embeddings of what `before` made."""
        if not self.mirrored:
            return embeddings
        flat = embeddings.reshape(len(embeddings), -1)
        total = flat[: len(flat) // 2] + flat[len(flat) // 2 :]
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as the manifest's schema wants them."""
        inside = self.preprocessing.to_json() if self.preprocessing else None
        return {"preprocessing": inside, "mirrored": self.mirrored}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Processing:
        """The inverse of `to_json`."""
        inside = fields["preprocessing"]
        return cls(Preprocessing.from_json(inside) if inside else None, fields["mirrored"])


@dataclass(frozen=True)
class Packaging:
    """What a writer puts around a network. blocks: see `Clients.orders`; empty for its own order."""

    names: Names = Names()
    processing: Processing | None = None
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What a conversion is asked to put around a network; the options of the command line.

    resize: how the preprocessing resizes, one of RESIZES; None is the network's own way.
    embedding_order: one of the orders that the network's architecture has.
    """

    names: Names = Names()
    preprocessing: bool = False
    postprocessing: bool = False
    resize: str | None = None
    embedding_order: str | None = None

    def packaging(self, graph: Graph, known: Preprocessing | None, clients: Clients, to: str) -> Packaging:
        """What to put around `graph` in the format `to`, by the network's own preprocessing and its clients.

        Raises UsageError where it is not known how, or does not fit.
        """
        processing = None
        if self.preprocessing or self.postprocessing:
            inside = self._preprocessing(graph, known) if self.preprocessing else None
            processing = Processing(inside, self.postprocessing)
        elif self.resize is not None:
            raise UsageError("--resize belongs to the preprocessing", remedy="--with-preprocessing")
        names = self.names.over(clients.names.get(to, Names()))
        if self.names.output:
            names = replace(names, result=self.names.output)
        blocks = self._blocks(clients)
        if (self.postprocessing or blocks or self.names.output) and len(graph.outputs) != 1:
            raise UsageError(
                f"{graph.name} has {len(graph.outputs)} outputs",
                because="names, order and postprocessing are for one embedding",
                got=", ".join(graph.outputs),
                remedy="--output picks the embedding",
            )
        size = math.prod(graph.value(graph.outputs[0]).shape[1:])
        if blocks and size % len(blocks):
            raise UsageError(
                f"the embedding of {graph.name} has no {len(blocks)} equal parts", got=f"{size} numbers"
            )
        if len(graph.outputs) > 1:
            names = replace(names, output="", result="")
        return Packaging(names, processing, blocks)

    def _preprocessing(self, graph: Graph, known: Preprocessing | None) -> Preprocessing:
        shape = graph.inputs[0].shape
        if known is None:
            raise UsageError(
                f"the preprocessing of {graph.name} is not known",
                because="no manifest lies beside the model, and no architecture is named",
                remedy="--arch NAME, or convert without --with-preprocessing",
            )
        if len(shape) != 4 or shape[1] != len(known.mean):
            raise UsageError("the preprocessing makes maps of 3 channels", got=f"an input of {list(shape)}")
        chosen = replace(known, height=shape[2], width=shape[3], resize=self.resize or known.resize)
        if chosen.resize not in RESIZES:
            raise UsageError(
                f"resizing by {chosen.resize!r} cannot be inside a file",
                remedy="--resize with one of " + ", ".join(RESIZES),
            )
        return chosen

    def _blocks(self, clients: Clients) -> tuple[int, ...]:
        if self.embedding_order is None:
            return ()
        if self.embedding_order not in clients.orders:
            raise UsageError(
                f"there is no embedding order {self.embedding_order!r}",
                because="orders belong to an architecture, by its name or the manifest's record of it",
                got=", ".join(clients.orders) or "no orders here",
                remedy="--arch mgn has the order tensorflow",
            )
        return clients.orders[self.embedding_order]


def in_order(graph: Graph, blocks: Sequence[int]) -> Graph:
    """The graph with the parts of its one output (N, D) in the order `blocks`, if there is one.

    The new output takes over the tensor name of the old one.
    """
    if not blocks:
        return graph
    (output,) = graph.outputs
    size = graph.value(output).shape[1] // len(blocks)

    def rule(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
        if node.name != output:
            return None
        plain = replace(node, origin=replace(node.origin, tensor=""))
        whole = builder.copy(plain, inputs)
        parts = [
            builder.add(
                "slice",
                whole,
                name=f"{output}.part{block}",
                origin=Origin("", node.origin.module, node.origin.source),
                axis=1,
                start=block * size,
                stop=(block + 1) * size,
            )
            for block in blocks
        ]
        origin = replace(node.origin, tensor=node.origin.tensor or output)
        return builder.add("concat", *parts, name=f"{output}.ordered", origin=origin, axis=1)

    return rewrite(graph, rule)


def out_of_order(embeddings: Array, blocks: Sequence[int]) -> Array:
    """Embeddings (N, D) of a file in the order of the network that it was made from."""
    if not blocks:
        return embeddings
    parts = embeddings.reshape(len(embeddings), len(blocks), -1)
    return np.asarray(parts[:, np.argsort(blocks)].reshape(embeddings.shape))
