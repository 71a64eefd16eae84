"""Choices that depend on values."""

from __future__ import annotations

from mgn_convert.formats.onnx.writing.spec import NodeWriter, writes


@writes("max_unpool", "MaxPool", "MaxUnpool", "Slice", "Pad")
def max_unpool(net: NodeWriter) -> None:
    """The operator's indices are of a map that the windows cover exactly: what is left over is cut off, and
    padded again. Only maps of whole windows side by side can be unpooled in ONNX.
    """
    values, source = net.inputs
    kernel, stride = net.attrs["kernel"], net.attrs["stride"]
    size = net.shape(1)[2:]
    covered = [(n - 1) * s + k for n, s, k in zip(net.shape(0)[2:], stride, kernel, strict=True)]
    rest = [n - c for n, c in zip(size, covered, strict=True)]
    if any(rest):
        begin, end, axes = net.whole("begin", 0, 0), net.whole("end", *covered), net.whole("axes", 2, 3)
        source = net.step("Slice", source, begin, end, axes, suffix="covered")
    window = {"kernel_shape": kernel, "strides": stride}
    indices = net.step("MaxPool", source, suffix="indices", outputs=2, **window)
    if not any(rest):
        net.result("MaxUnpool", values, indices, **window)
        return
    put = net.step("MaxUnpool", values, indices, suffix="unpooled", **window)
    net.result("Pad", put, net.whole("pads", 0, 0, 0, 0, 0, 0, *rest))


@writes("top_channels", "TopK", "Unsqueeze", "GatherND")
def top_channels(net: NodeWriter) -> None:
    """Of equal scores TopK takes the lower index first, as the op does."""
    values, scores = net.inputs
    best = net.step("TopK", scores, net.whole("k", net.attrs["k"]), suffix="best", outputs=2, axis=1)
    which = net.step("Unsqueeze", best, net.whole("axes", 2), suffix="which")
    net.result("GatherND", values, which, batch_dims=1)
