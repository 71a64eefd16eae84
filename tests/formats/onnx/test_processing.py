"""Pre- and postprocessing inside the file is what they are outside."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

import mgn_convert
from mgn_convert.errors import UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.onnx import FORMAT
from mgn_convert.graph import Graph, GraphBuilder
from mgn_convert.packaging import Names, Packaging, Processing
from mgn_convert.parity.inputs import picture_batches
from mgn_convert.preprocess import RESIZES, Preprocessing

OWN = Preprocessing(24, 16)
SIZES = [(40, 25), (24, 16), (48, 32), (11, 50), (97, 16), (60, 33), (61, 36)]


@pytest.fixture
def through() -> Graph:
    """Gives the map that it is fed."""
    b = GraphBuilder("through")
    return b.graph([b.add("power", b.input("x", (1, 3, 24, 16)), name="y")])


@pytest.fixture
def embedding() -> Graph:
    b = GraphBuilder("embedding")
    x = b.input("x", (1, 3, 24, 16))
    weight = np.random.default_rng(3).standard_normal((11, 3, 5, 3)).astype(np.float32) / 5
    y = b.add("relu", b.add("conv", x, weight=weight, stride=(2, 2)), name="map")
    return b.graph([b.add("reduce", y, kind="mean", axes=(2, 3), name="embedding")])


def pictures(count: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.integers(0, 256, (count, 3, height, width)).astype(np.float32)


@pytest.fixture
def run(written, tmp_path):
    """run(graph, packaging, images): what the file gives."""

    def call(graph: Graph, packaging: Packaging, images: np.ndarray) -> np.ndarray:
        with FORMAT.open_runner(Source(written(graph, packaging))) as runner:
            assert runner.processing == packaging.processing
            (found,) = runner.run(images).values()
            return found

    return call


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_preprocessing_equals_the_same_outside(resize, size, through, run):
    inside = Processing(replace(OWN, resize=resize), mirrored=False)
    images = pictures(2, *size)
    expected = inside.before(images)
    found = run(through, Packaging(processing=inside), images)
    # Three roundings of numbers below 3. One level of 255 is 0.017 here: every pixel is Pillow's.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_order_of_colours_scale_mean_and_deviation(through, run):
    own = Preprocessing(24, 16, "bilinear", "BGR", 0.5, (3.0, 20.0, 5.5), (7.0, 0.1, 2.0))
    images = pictures(1, 30, 31)
    found = run(through, Packaging(processing=Processing(own, False)), images)
    expected = own.applied(images.transpose(0, 2, 3, 1), np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("resize", [None, "bicubic", "bilinear-tf1"])
def test_postprocessing_joins_an_image_and_its_mirror_image(resize, embedding, run):
    inside = Processing(replace(OWN, resize=resize) if resize else None, mirrored=True)
    images = pictures(3, 33, 21) if resize else np.random.default_rng(2).standard_normal((3, 3, 24, 16))
    expected = inside.after(embedding.run({"x": inside.before(images, np.float64)})["embedding"])
    found = run(embedding, Packaging(processing=inside), images.astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_file_says_what_is_inside(embedding, written):
    inside = Processing(OWN, mirrored=True)
    proto = onnx.load(written(embedding, Packaging(Names(input="pictures", result="unit"), inside)))
    assert [v.name for v in proto.graph.input] == ["pictures"]
    dims = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["N", 3, "H", "W"]
    assert [v.name for v in proto.graph.output] == ["unit"]
    assert proto.metadata_props[0].key == "mgn-convert.processing"


def wishes(**fields) -> mgn_convert.packaging.Wishes:
    return mgn_convert.packaging.Wishes(**fields)


SMALL = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (dict(preprocessing=True), "the preprocessing of .* is not known"),
        (dict(resize="bicubic"), "--resize belongs to the preprocessing"),
        (dict(embedding_order="tensorflow"), "there is no embedding order 'tensorflow'"),
        (dict(postprocessing=True), "has 2 outputs"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(fields, what, tmp_path):
    with pytest.raises(UsageError, match=what):
        mgn_convert.convert(Source(None, **SMALL), "onnx", tmp_path / "out", wishes=wishes(**fields))
    assert not (tmp_path / "out").exists()


def test_formats_that_hold_a_network_alone_say_so(tmp_path):
    with pytest.raises(UsageError, match="caffe holds a network and nothing else"):
        mgn_convert.convert(Source(None, **SMALL), "caffe", tmp_path, wishes=wishes())


def test_pictures_of_a_verification_are_of_another_size():
    sizes = [batch.shape for _, batch in picture_batches((3, 384, 128), 0, None)]
    assert sizes[0][0] == 1
    assert sizes[1][0] == 3
    assert all(shape[2:] != (384, 128) for shape in sizes)
