"""MGN from PyTorch to Caffe to Darknet, verified on the pictures beside this file.

    python run.py [FOLDER]        # FOLDER takes the files; ./out by default

The network has seeded weights, and batch-norm statistics that were calibrated by forward passes, so its
activations behave as a trained network's do.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import mgn_convert
from mgn_convert.console import show_report
from mgn_convert.preprocess import find_images
from mgn_reid.models.mgn import ARCHITECTURE

PICTURES = Path(__file__).parent / "images"


def make_checkpoint(path: Path, depth: int = 50) -> None:
    """An MGN with seeded weights and calibrated batch norms, saved as an ordinary state_dict.

    depth: layers of its ResNet, 50 or 18.
    The last gamma of each residual block is small, as training leaves it; with gammas of one, a network this
    deep is chaotic, and rounding errors grow a hundredfold on their way through it.
    """
    torch.manual_seed(0)
    network = ARCHITECTURE.build(pool="max", depth=depth)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the running statistics become plain averages
            if name.endswith("bn3" if depth == 50 else "bn2"):
                torch.nn.init.constant_(module.weight, 0.1)
    pictures = torch.from_numpy(ARCHITECTURE.preprocessing.tensors(find_images(PICTURES)))
    blurs = torch.nn.functional.interpolate(torch.randn(6, 3, 12, 4), pictures.shape[2:], mode="bilinear")
    with torch.no_grad():
        network.train()
        network(torch.cat([pictures, blurs]))
    torch.save(network.state_dict(), path)


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "mgn.pth"
    print("making a checkpoint ...")
    make_checkpoint(checkpoint)

    pytorch = dict(architecture="mgn", options={"pool": "max"})
    print("PyTorch -> Caffe ...")
    mgn_convert.convert(checkpoint, "caffe", folder, **pytorch)
    print("Caffe -> Darknet ...")
    mgn_convert.convert(folder / "mgn.prototxt", "darknet", folder)

    print("PyTorch -> Caffe, PyTorch -> Darknet, on noise, patterns and pictures ...")
    report = mgn_convert.verify(
        checkpoint,
        folder / "mgn.prototxt",
        folder / "mgn.cfg",
        images=PICTURES,
        exact=True,
        **pytorch,
    )
    show_report(report)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")))
