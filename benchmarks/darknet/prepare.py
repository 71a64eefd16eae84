"""Makes the files of one network, for every engine, and what else has to be compiled.

    python prepare.py NETWORK FOLDER

Weights are drawn by seed. What the folder already has is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import build_fma
from networks import Case, make_checkpoint

import mgn_convert
from mgn_convert.architecture import architecture
from mgn_convert.formats import Source, formats
from mgn_convert.formats.darknet.build import library
from mgn_convert.formats.darknet.cache import lock
from mgn_convert.formats.darknet.upstream import orig_tarball, unpack
from mgn_convert.graph import Graph, GraphBuilder, Node, Value, rewrite
from mgn_convert.passes.constants import fold_constants
from mgn_convert.passes.legalize import legalize

NETWORKS = {
    "mgn": Case("mgn", {"pool": "max", "activation": "relu"}),
    "fastreid-bagtricks": Case("fastreid-bagtricks", {"vintage": "1.2"}),
}


def prepare(name: str, folder: Path) -> None:
    """Writes NAME.json, last of all: what the engines have to know of the network."""
    case = NETWORKS[name]
    checkpoint = folder / f"{name}.pth"
    make_checkpoint(case, checkpoint)
    options = {key: str(value) for key, value in case.options.items()}
    source = Source(checkpoint, architecture=case.arch, options=options)
    for form in ("darknet", "caffe", "onnx"):
        mgn_convert.convert(source, form, folder, verify=False)
    graph = _read(source)
    write_stock(graph, folder, f"{name}-stock")
    files = {suffix: f"{name}.{suffix}" for suffix in ("cfg", "weights", "prototxt", "caffemodel", "onnx")}
    files |= {"checkpoint": checkpoint.name, "fma": "fma.so"}
    files |= {"stock_cfg": f"{name}-stock.cfg", "stock_weights": f"{name}-stock.weights"}
    files |= {"stock": "stock/libdarknet.so", "stock_openmp": "stock-openmp/libdarknet.so"}
    preprocessing = architecture(case.arch).preprocessing
    known = {
        "title": str(case),
        "architecture": case.arch,
        "options": dict(case.options),
        "shape": graph.inputs[0].shape[1:],
        "input": {key: getattr(preprocessing, key) for key in ("scale", "mean", "std")},
        "gflop": gflop(graph),
        "files": {key: str(folder / file) for key, file in files.items()},
    }
    (folder / f"{name}.json").write_text(json.dumps(known, indent=1))


def _read(source: Source) -> Graph:
    read = formats()["pytorch"].read
    assert read is not None
    return fold_constants(read(source))


def gflop(graph: Graph) -> float:
    """Two operations per multiply-add of the convolutions and linear layers, for one image."""
    found = 0
    for node in graph.nodes:
        if node.op in ("conv", "linear"):
            pixels = int(np.prod(node.shape[2:])) if node.op == "conv" else 1
            found += 2 * node.params["weight"].size * pixels
    return found / 1e9


def write_stock(graph: Graph, folder: Path, stem: str) -> None:
    """The network for upstream Darknet, which cannot cut: rows are picked by depthwise convolutions."""
    darknet = formats()["darknet"]
    assert darknet.target is not None
    assert darknet.write is not None
    target = darknet.target("stock")
    darknet.write(legalize(rewrite(graph, _row_by_convolution), target), folder, stem, target)


def _row_by_convolution(builder: GraphBuilder, node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """One row of a map (N, C, H, 1): a kernel that reaches over all of it, with a single 1."""
    if node.op != "slice" or node.attrs["axis"] != 2 or node.shape[2:] != (1, 1):
        return None
    channels, height = inputs[0].shape[1:3]
    reach = height - 1
    weight = np.zeros((channels, 1, 2 * reach + 1, 2 * reach + 1), np.float32)
    weight[:, :, reach + node.attrs["start"], reach] = 1
    return builder.add(
        "conv",
        inputs[0],
        name=node.name,
        origin=node.origin,
        weight=weight,
        stride=(height, height),
        padding=(reach, reach),
        groups=channels,
    )


def build_stock(tree: Path, *, openmp: bool) -> None:
    """Upstream's source, unpacked into `tree` and built by its own Makefile, without a change."""
    with lock():
        tarball = orig_tarball()
    unpack(tarball, tree)
    with tarfile.open(tarball) as archive:
        makefile = next(member for member in archive if Path(member.name).parts[1:] == ("Makefile",))
        content = archive.extractfile(makefile)
        assert content is not None
        (tree / "Makefile").write_bytes(content.read())
    command = ["make", "-C", str(tree), f"OPENMP={int(openmp)}", "obj", "libdarknet.so"]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    library()
    if not (folder / "fma.so").exists():
        build_fma(folder / "fma.so")
    for kind in ("stock", "stock-openmp"):
        if not (folder / kind / "libdarknet.so").exists():
            build_stock(folder / kind, openmp=kind == "stock-openmp")
    if not (folder / f"{name}.json").exists():
        prepare(name, folder)


if __name__ == "__main__":
    main()
