"""What runs beside Caffe: loads a network, then answers requests. Needs nothing but caffe and NumPy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from mgn_convert.child import serve


def main() -> None:
    """sys.argv: prototxt, caffemodel. A request is (feeds, blobs)."""

    def start() -> Callable[[Any], Any]:
        import caffe

        caffe.set_mode_cpu()
        net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)
        return lambda request: forward(net, *request)

    serve(start)


def forward(net: Any, feeds: dict[str, Any], blobs: list[str]) -> dict[str, Any]:
    """Those blobs for these inputs, as copies."""
    for name, array in feeds.items():
        net.blobs[name].reshape(*array.shape)
    net.reshape()
    for name, array in feeds.items():
        net.blobs[name].data[...] = array
    net.forward()
    return {name: net.blobs[name].data.copy() for name in blobs}
