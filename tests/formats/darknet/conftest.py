"""Small networks into Darknet's files and back."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT, engine
from mgn_convert.graph import Graph, GraphBuilder, Value
from mgn_convert.passes.legalize import legalize

LIMIT = 2e-6
Layers = Callable[[GraphBuilder, Value], Value]


class Maker:
    """Seeded weights for the nodes of a test."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)

    def numbers(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape).astype(np.float32)

    def conv(self, b: GraphBuilder, x: Value, out: int, kernel=(1, 1), *, bias=False, **fields: Any) -> Value:
        inside = x.shape[1] // fields.get("groups", 1)
        weight = self.numbers(out, inside, *kernel) / np.sqrt(
            inside * kernel[0] * kernel[1], dtype=np.float32
        )
        return b.add("conv", x, weight=weight, bias=self.numbers(out) if bias else None, **fields)

    def norm(self, b: GraphBuilder, x: Value, *, low=0.3, high=2.0, **fields: Any) -> Value:
        count = x.shape[1]
        var = self.random.uniform(low, high, count).astype(np.float32)
        params = {"mean": self.numbers(count), "weight": self.numbers(count), "bias": self.numbers(count)}
        return b.add("batch_norm", x, var=var, **{**params, **fields})


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def network() -> Callable[..., Graph]:
    """network(layers, shape): the graph of one function over an input called data."""

    def build(layers: Layers, shape=(1, 5, 9, 6)) -> Graph:
        builder = GraphBuilder("net")
        return builder.graph([layers(builder, builder.input("data", shape))])

    return build


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(graph, dialect): legalize and write it; the path of the cfg."""

    def run(graph: Graph, dialect: str | None = None) -> Path:
        target = FORMAT.target(dialect)
        return FORMAT.write(legalize(graph, target), tmp_path, "net", target).files[0]

    return run


@pytest.fixture
def images() -> Callable[..., np.ndarray]:
    """images(graph, count): float32 input."""

    def draw(graph: Graph, count: int = 1) -> np.ndarray:
        random = np.random.default_rng(7)
        return random.standard_normal((count, *graph.inputs[0].shape[1:])).astype(np.float32)

    return draw


@pytest.fixture
def read_output() -> Callable[..., np.ndarray]:
    """read_output(cfg, images): the interpreter's float64 output of what the files say."""

    def run(cfg: Path, values: np.ndarray) -> np.ndarray:
        graph = FORMAT.read(Source(cfg))
        return graph.run({graph.inputs[0].name: values})[graph.outputs[0]]

    return run


@pytest.fixture(params=[False, True], ids=["prepared", "plain"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., np.ndarray]:
    """run(sections, images, weights): output of a network, whose last layer must give the same alone."""

    def run(sections: str, images: np.ndarray, weights: Sequence[Any] = ()) -> np.ndarray:
        cfg, file = tmp_path / "net.cfg", tmp_path / "net.weights"
        channels, height, width = images.shape[1:]
        cfg.write_text(f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n" + sections)
        body = b"".join(np.asarray(array, np.float32).tobytes() for array in weights)
        file.write_bytes(struct.pack("<iiiq", 0, 2, 0, 0) + body)
        with engine.Network(cfg, file, batch=len(images), plain=request.param) as net:
            last = net.layers[-1].index
            outputs = net(images, range(last))
            inputs = {s: images if s < 0 else outputs[str(s)] for s in net.sources(last)}
            np.testing.assert_array_equal(net.forward_layer(last, inputs), outputs[str(last)])
            np.testing.assert_array_equal(net(images[:1])[str(last)], outputs[str(last)][:1])
            return outputs[str(last)].astype(np.float64)

    return run


def error_of(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, relative to the largest value or 1. Shapes may differ in axes of size 1."""
    assert found.size == wanted.size
    return float(np.abs(found.reshape(wanted.shape) - wanted).max() / max(1, np.abs(wanted).max()))


@pytest.fixture
def difference() -> Callable[..., float]:
    return error_of


@pytest.fixture
def check(write, images) -> Callable[..., Path]:
    """check(graph): its files mean the graph, in the interpreter and in the engine, for 1 and 3 images, and
    every tensor alone from reference values; the path of the cfg.
    """

    def run(graph: Graph) -> Path:
        cfg = write(graph)
        again = FORMAT.read(Source(cfg))
        with FORMAT.open_runner(Source(cfg)) as runner:
            for count in (1, 3):
                values = images(graph, count)
                taps = [n.name for n in graph.nodes if n.shape[:1] == (1,) and n.op != "constant"]
                reference = graph.run({"data": values}, taps=taps)
                wanted = reference[graph.outputs[0]]
                # float32 weights: what an expansion or a batch norm computes in float64 is rounded once.
                assert error_of(again.run({"data": values})[again.outputs[0]], wanted) <= 2e-7
                (found,) = runner.run(values).values()
                # The engine sums in double, or in float32 by blocks of 256: some 1e-7 for each layer.
                assert error_of(found, wanted) <= LIMIT
                for name in set(runner.tensors) & set(reference):
                    alone = runner.run_isolated(name, {"data": values, **reference})
                    assert error_of(alone, reference[name]) <= LIMIT, name
        return cfg

    return run
