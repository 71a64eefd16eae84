"""A small MGN learns to tell people apart, and is scored again in every format.

    python run.py [FOLDER]        # FOLDER takes the files; ./out by default

The people are drawn, so that nothing has to be downloaded: 128 to learn from, 32 others to be found among 448
pictures from four cameras. The network has two million weights, where MGN has seventy, and sees pictures of
96x32. Training takes a minute or two on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import mgn_convert
from mgn_convert.console import show_report
from mgn_convert.datasets import read_dataset
from mgn_convert.packaging import Wishes
from mgn_convert.parity.retrieval import Settings
from mgn_convert.parity.retrieval_check import RetrievalCheck
from mgn_reid.synthesis import make_dataset
from mgn_reid.training.config import load_config
from mgn_reid.training.network import assemble
from mgn_reid.training.scoring import score
from mgn_reid.training.sections import Config
from mgn_reid.training.trainer import train


def train_network(folder: Path, *overrides: str) -> Path:
    """Draw people into `folder` and train on them, unless that was done before; the best checkpoint."""
    people, out = folder / "people", folder / "training"
    if not people.exists():
        make_dataset(people)
    config = load_config("mgn-small", [f"data.folder={people}", "data.workers=0", *overrides])
    if not (out / "last.pth").exists():
        show_untrained(config, people)
    train(config, out, resume=True)
    return out / "best.pth"


def show_untrained(config: Config, people: Path) -> None:
    """The scores of the network before it has learned anything."""
    dataset = read_dataset(people)
    untrained = assemble(config, num_classes=len({picture.identity for picture in dataset.train}))
    scores = score(untrained, dataset, config.evaluation, torch.device("cpu"))
    print(f"before training: rank-1 {scores.rank(1):.1%}  mAP {scores.mean_ap:.1%}")


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    best = train_network(folder)

    print("PyTorch -> Caffe -> Darknet, PyTorch -> ONNX, PyTorch -> TensorFlow ...")  # verified below
    mgn_convert.convert(best, "caffe", folder, name="mgn", verify=False)
    mgn_convert.convert(folder / "mgn.prototxt", "darknet", folder, verify=False)
    mgn_convert.convert(best, "onnx", folder, name="mgn", verify=False)
    mgn_convert.convert(best, "tensorflow", folder, name="mgn", verify=False)
    mgn_convert.convert(best, "tensorflow", folder, name="mgn", dialect="saved-model", verify=False)
    inside = Wishes(preprocessing=True, postprocessing=True)
    mgn_convert.convert(best, "onnx", folder, name="mgn_pictures", wishes=inside, verify=False)

    files = ("mgn.prototxt", "mgn.cfg", "mgn.onnx", "mgn.pb", "mgn", "mgn_pictures.onnx")
    who = RetrievalCheck(read_dataset(folder / "people"), Settings(), flip=True)
    report = mgn_convert.verify(best, *(folder / name for name in files), exact=True, retrieval=who)
    show_report(report)
    learned = report.retrieval is not None and report.retrieval.reference_scores.mean_ap > 0.8
    return 0 if report.passed and learned else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")))
