"""What runs beside Caffe: loads a network, then answers requests. Needs nothing but caffe and NumPy."""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

COMMAND = "from mgn_convert.formats.caffe.pycaffe_child import main; main()"


def main() -> None:
    """sys.argv: prototxt, caffemodel. Answers ("ok", content) or ("error", text), pickled, on what was
    standard output; what Caffe prints there goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(kind: str, content: Any) -> None:
        pickle.dump((kind, content), answers)
        answers.flush()

    try:
        import caffe

        caffe.set_mode_cpu()
        net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)
        answer("ok", None)
        while True:
            feeds, blobs = pickle.load(sys.stdin.buffer)
            answer("ok", forward(net, feeds, blobs))
    except EOFError:
        pass  # the parent is done
    except Exception as error:
        answer("error", f"{type(error).__name__}: {error}")


def forward(net: Any, feeds: dict[str, Any], blobs: list[str]) -> dict[str, Any]:
    """Those blobs for these inputs, as copies."""
    for name, array in feeds.items():
        net.blobs[name].reshape(*array.shape)
    net.reshape()
    for name, array in feeds.items():
        net.blobs[name].data[...] = array
    net.forward()
    return {name: net.blobs[name].data.copy() for name in blobs}
