"""What stands around the network inside a file: preprocessing before it, mirror images, and the result."""

from __future__ import annotations

import numpy as np

from mgn_convert.formats.tensorflow import pillow
from mgn_convert.formats.tensorflow.layout import ANY
from mgn_convert.formats.tensorflow.network import NetWriter
from mgn_convert.packaging import Processing
from mgn_convert.preprocess import Preprocessing

RESIZED = "resize_image"
"""The node that makes the resized pictures."""

RESERVED = (RESIZED, "image_norm", "original_embedding", "flip_embedding", "embedding_norm")


def before(net: NetWriter, images: str, processing: Processing) -> str:
    """What the network takes, of what the file takes; see `Processing.before`."""
    if processing.preprocessing is not None:
        resized = _resized(net, images, processing.preprocessing)
        images = _normalised(net, resized, processing.preprocessing)
    if not processing.mirrored:
        return images
    mirrored = net.add("ReverseV2", "flip_image", images, net.ints("flip_image/axis", [2]))
    return net.add("ConcatV2", "images", images, mirrored, net.ints("images/axis", 0), N=2)


def _resized(net: NetWriter, pictures: str, made: Preprocessing) -> str:
    if made.resize in pillow.REACH:
        return pillow.resize(net, pictures, made.height, made.width, made.resize, RESIZED)
    size = net.ints(f"{RESIZED}/size", [made.height, made.width])
    centers = made.resize == "bilinear-half-pixel"
    return net.add("ResizeBilinear", RESIZED, pictures, size, half_pixel_centers=centers, exact=True)


def _normalised(net: NetWriter, pixels: str, made: Preprocessing) -> str:
    """(pixel * scale - mean) / std, each step in float32."""
    if made.color == "BGR":
        pixels = net.add("ReverseV2", "image_norm/bgr", pixels, net.ints("image_norm/bgr/axis", [3]))
    scaled = net.add("Mul", "image_norm/scaled", pixels, net.number("image_norm/scale", made.scale))
    mean, std = np.array(made.mean, np.float32), np.array(made.std, np.float32)
    centred = net.add("Sub", "image_norm/centred", scaled, net.small("image_norm/mean", mean))
    return net.add("RealDiv", "image_norm", centred, net.small("image_norm/std", std), exact=True)


def after(net: NetWriter, output: str, name: str) -> str:
    """The result (N, D) of the embeddings of images and mirror images; see `Processing.after`."""
    embeddings, sizes = net.tensor(output), net.sizes(output)
    if len(sizes) != 2:
        count = int(np.prod(sizes[1:]))
        embeddings = net.reshape(net.plain(output), (ANY, count), "flat_embedding")
    axis = net.ints("split_embedding/axis", 0)
    both = net.add("Split", "split_embedding", axis, embeddings, num_split=2)
    halves = [
        net.add("Identity", part, tensor, exact=True)
        for part, tensor in (("original_embedding", both), ("flip_embedding", f"{both}:1"))
    ]
    total = net.add("AddV2", "sum_embedding", *halves)
    square = net.add("Square", "embedding_norm/square", total)
    sums = net.add("Sum", "embedding_norm/sum", square, net.ints("embedding_norm/axis", [1]), keep_dims=True)
    norm = net.add("Sqrt", "embedding_norm", sums, exact=True)
    return net.add("RealDiv", name, total, norm, exact=True)
