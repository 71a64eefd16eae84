"""MGN from PyTorch to a SavedModel that takes JPEG files, called as TensorFlow Serving calls it.

    python run.py [FOLDER]        # FOLDER takes the files; ./out by default

The SavedModel has the names of an existing system: `reid_mgn_serving`, from `input_image` to
`reid_embedding`. A fresh process loads it by name, sends the signature for encoded pictures two JPEG strings,
and prints how far apart their embeddings are.
"""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from pathlib import Path

from PIL import Image

import mgn_convert
from mgn_convert.console import show_report
from mgn_convert.packaging import Wishes

FIRST = Path(__file__).parents[1] / "01-mgn-to-caffe-and-darknet"
PICTURES = FIRST / "images"

CLIENT = """
import sys
import numpy as np
import tensorflow as tf

model, *pictures = sys.argv[1:]
signature = tf.saved_model.load(model).signatures["reid_mgn_serving_encoded"]
strings = tf.constant([open(picture, "rb").read() for picture in pictures])
ada, other = signature(input_image=strings)["reid_embedding"].numpy()
print(f"distance of {len(pictures)} JPEG pictures: {np.linalg.norm(ada - other):.4f}")
"""


def as_jpeg(picture: Path, target: Path) -> Path:
    """The picture as a JPEG file."""
    content = io.BytesIO()
    Image.open(picture).convert("RGB").save(content, "JPEG", quality=92)
    target.write_bytes(content.getvalue())
    return target


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "mgn.pth"
    print("making a checkpoint ...")
    runpy.run_path(str(FIRST / "run.py"))["make_checkpoint"](checkpoint, depth=18)

    pytorch = dict(architecture="mgn", options={"pool": "max"})
    print("PyTorch -> frozen graph, PyTorch -> SavedModel ...")  # both are verified together, below
    mgn_convert.convert(checkpoint, "tensorflow", folder, verify=False, **pytorch)
    inside = dict(dialect="saved-model", wishes=Wishes(preprocessing=True, postprocessing=True))
    mgn_convert.convert(checkpoint, "tensorflow", folder, verify=False, **inside, **pytorch)

    report = mgn_convert.verify(checkpoint, folder / "mgn.pb", folder / "mgn", exact=True, **pytorch)
    show_report(report)

    pictures = [as_jpeg(PICTURES / f"{name}.png", folder / f"{name}.jpg") for name in ("ada_1", "ben_1")]
    command = [sys.executable, "-c", CLIENT, folder / "mgn" / "1", *pictures]
    subprocess.run(command, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")))
