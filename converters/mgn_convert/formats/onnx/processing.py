"""What goes before and behind the network in ONNX, on maps in the order N, C, H, W."""

from __future__ import annotations

import numpy as np

from mgn_convert.formats.onnx.resizing import resized
from mgn_convert.formats.onnx.writing.spec import ModelNodes
from mgn_convert.graph import Shape
from mgn_convert.packaging import Processing
from mgn_convert.preprocess import Preprocessing

_END = -(2**63)


def before(model: ModelNodes, images: str, inside: Processing) -> str:
    """Nodes from the file's input to the network's; returns the name of the latter."""
    x = images
    if inside.preprocessing is not None:
        own = inside.preprocessing
        x = resized(model, x, (own.height, own.width), own.resize, "resize_image")
        x = _normalised(model, x, own)
    if inside.mirrored:
        ends = [model.whole(f"mirror/{key}", n) for key, n in (("start", -1), ("stop", _END), ("axis", 3))]
        step = model.whole("mirror/step", -1)
        mirror = model.add("Slice", (x, *ends, step), model.fresh("mirror_images"))
        x = model.add("Concat", (x, mirror), model.fresh("image_and_mirror"), axis=0)
    return x


def _normalised(model: ModelNodes, x: str, inside: Preprocessing) -> str:
    """(x * scale - mean) / std, in the order of colours that the network takes."""
    if inside.color == "BGR":
        x = model.add("Gather", (x, model.whole("bgr/order", 2, 1, 0)), model.fresh("bgr"), axis=1)
    for operator, key in (("Mul", "scale"), ("Sub", "mean"), ("Div", "std")):
        number = np.array(getattr(inside, key), np.float32).reshape(-1, 1, 1)
        name = "image_norm" if key == "std" else f"image_norm/{key}"
        x = model.add(operator, (x, model.weight(f"image_norm/{key}.value", number)), model.fresh(name))
    return x


def after(model: ModelNodes, embeddings: str, shape: Shape, result: str) -> None:
    """Nodes from the network's output, of images and then of their mirror images, to the file's."""
    if len(shape) != 2:
        flat = model.whole("flat_embedding/shape", 0, -1)
        embeddings = model.add("Reshape", (embeddings, flat), model.fresh("flat_embedding"))
    parts = model.fresh("original_embedding"), model.fresh("flip_embedding")
    model.add("Split", (embeddings,), *parts, axis=0, num_outputs=2)
    total = model.add("Add", parts, model.fresh("embedding_sum"))
    axes = model.whole("embedding_norm/axes", 1)
    norm = model.add("ReduceL2", (total, axes), model.fresh("embedding_norm"), keepdims=1)
    model.add("Div", (total, norm), result)
