"""Processing inside a frozen graph against the same outside: Pillow, and NumPy in float32."""

import numpy as np
import PIL
import pytest
from PIL import Image

from mgn_convert.graph import GraphBuilder
from mgn_convert.packaging import Names, Packaging, Processing
from mgn_convert.preprocess import RESIZES, Preprocessing
from mgn_convert.resize import resize

random = np.random.default_rng(5)
SIZES = [(24, 9), (7, 50), (3, 4), (61, 33), (200, 100), (12, 5), (24, 33), (1, 1), (50, 22), (24, 8)]
TALL = [(200, 90), (51, 22), (25, 8), (61, 9)]
"""Of which Pillow takes the columns first, since version 13."""


def identity(height: int, width: int):
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, height, width))
    return b.graph([b.add("reshape", x, name="embedding", shape=(0, -1))])


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Noise in RGB, a part of it black and white, so that bicubic sums go past the ends of 0..255."""
    found = random.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    found[:, : height // 2] = np.where(found[:, : height // 2] > 127, 255, 0)
    return found


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
def test_pictures_are_resized_as_by_pillow_to_the_last_bit(method, written, engine):
    inside = Processing(Preprocessing(24, 9, resize=method), False)
    path = str(written(identity(24, 9), Packaging(processing=inside)).files[0])
    since_13 = int(PIL.__version__.split(".")[0]) >= 13
    for height, width in SIZES + since_13 * TALL:
        given = pictures(2, height, width)
        (got,) = engine(path, {"x:0": given.astype(np.float32)}, ["resize_image:0"])
        way = Image.Resampling[method.upper()]
        wanted = np.stack([np.asarray(Image.fromarray(each).resize((9, 24), way)) for each in given])
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("method", ["bilinear-tf1", "bilinear-half-pixel"])
def test_pictures_are_resized_as_by_tensorflow(method, written, engine):
    inside = Processing(Preprocessing(24, 9, resize=method), False)
    path = str(written(identity(24, 9), Packaging(processing=inside)).files[0])
    for height, width in SIZES:
        given = pictures(2, height, width).astype(np.float32)
        (got,) = engine(path, {"x:0": given}, ["resize_image:0"])
        np.testing.assert_allclose(got, resize(given, 24, 9, method), rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", RESIZES)
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_preprocessing_inside_is_that_outside(method, color, written, engine):
    scale = 1 / 255 if color == "RGB" else 1.0
    inside = Processing(Preprocessing(12, 7, method, color, scale, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), False)
    made = written(identity(12, 7), Packaging(Names(input="image_tensor"), inside))
    given = pictures(3, 31, 18).astype(np.float32)
    (got,) = engine(str(made.files[0]), {"image_tensor:0": given}, [made.input["value"]])
    wanted = inside.before(given.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * 255 / min(inside.preprocessing.std))


def test_a_result_is_the_sum_over_mirror_images_at_unit_length(small_mgn, written, engine):
    inside = Processing(None, True)
    made = written(small_mgn, Packaging(processing=inside))
    (output,) = small_mgn.outputs
    images = random.normal(size=(3, 3, 48, 16)).astype(np.float32)
    feeds, place = {"x:0": images.transpose(0, 2, 3, 1)}, made.tensors[-1][1]["value"]
    fed, embeddings, result = engine(
        str(made.files[0]), feeds, [made.input["value"], place, made.result["value"]]
    )
    np.testing.assert_array_equal(fed.transpose(0, 3, 1, 2), inside.before(images))
    wanted = small_mgn.run({"x": inside.before(images)})[output]
    np.testing.assert_allclose(embeddings, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    np.testing.assert_allclose(result, inside.after(wanted), rtol=0, atol=1e-6)


def test_an_embedding_of_maps_is_flattened_as_outside(written, engine):
    b = GraphBuilder("net")
    graph = b.graph([b.add("relu", b.input("x", (1, 3, 4, 5)))])
    inside = Processing(None, True)
    made = written(graph, Packaging(processing=inside))
    images = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    (got,) = engine(str(made.files[0]), {"x:0": images.transpose(0, 2, 3, 1)}, [made.result["value"]])
    wanted = inside.after(np.maximum(inside.before(images), 0))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6)
