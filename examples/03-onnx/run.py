"""MGN from PyTorch to ONNX, with and without the way from pictures to embeddings; and from ONNX to Caffe.

    python run.py [FOLDER]        # FOLDER takes the files; ./out by default

One file takes pictures of any size and gives embeddings of unit length: it is run here with onnxruntime
alone, as a program would that has never heard of this tool.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import mgn_convert
from mgn_convert.console import show_report
from mgn_convert.packaging import Wishes

FIRST = Path(__file__).parents[1] / "01-mgn-to-caffe-and-darknet"
PICTURES = FIRST / "images"


def embedding(session: onnxruntime.InferenceSession, picture: Path) -> np.ndarray:
    """The embedding of one picture, of unit length."""
    pixels = np.asarray(Image.open(picture).convert("RGB"), np.float32)
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]})
    return found[0]


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "mgn.pth"
    print("making a checkpoint ...")
    runpy.run_path(str(FIRST / "run.py"))["make_checkpoint"](checkpoint, depth=18)

    pytorch = dict(architecture="mgn", options={"pool": "max"})
    print("PyTorch -> ONNX, twice ...")  # all are verified together, below
    mgn_convert.convert(checkpoint, "onnx", folder, verify=False, **pytorch)
    inside = dict(name="mgn_pictures", wishes=Wishes(preprocessing=True, postprocessing=True))
    mgn_convert.convert(checkpoint, "onnx", folder, verify=False, **inside, **pytorch)
    print("ONNX -> Caffe ...")
    mgn_convert.convert(folder / "mgn.onnx", "caffe", folder, verify=False)

    files = [folder / name for name in ("mgn.onnx", "mgn_pictures.onnx", "mgn.prototxt")]
    report = mgn_convert.verify(checkpoint, *files, exact=True, **pytorch)
    show_report(report)

    session = onnxruntime.InferenceSession(files[1], providers=["CPUExecutionProvider"])
    ada, other_ada, ben = (
        embedding(session, PICTURES / f"{name}.png") for name in ("ada_1", "ada_2", "ben_1")
    )
    print(f"distance of two pictures of Ada: {np.linalg.norm(ada - other_ada):.4f}")
    print(f"distance of Ada and Ben:         {np.linalg.norm(ada - ben):.4f}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")))
