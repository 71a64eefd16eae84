import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_networks import small_mgn

import mgn_convert
from mgn_convert.cli import main
from mgn_convert.embed import EmbeddingError, embed_files, open_embedder
from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.formats import Source
from mgn_convert.packaging import Wishes
from mgn_convert.preprocess import Preprocessing, read_picture

SIZE = Preprocessing(12, 6)
FACTORY = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
OPTIONS = ["--factory", FACTORY["factory"], "--input-shape", "3,48,16", "--output", "0"]


@pytest.fixture
def pictures(tmp_path):
    """Eleven pictures, each of another colour; they are 20 x 10, the last three 24 x 9."""
    random = np.random.default_rng(0)
    paths = []
    for i in range(11):
        size = (10, 20) if i < 8 else (9, 24)
        path = tmp_path / f"{i:02d}.png"
        Image.fromarray(random.integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)
        paths.append(path)
    return paths


class Sums:
    """A network whose embedding is the weighted sum of the columns; remembers what shapes it was given."""

    def __init__(self):
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(images.shape)
        return (images * np.arange(images.shape[3])).sum(axis=3)[:, :, :5, None]


def test_rows_come_in_the_order_of_the_pictures_whatever_the_batch(pictures):
    network, seen = Sums(), []
    found = embed_files(network, SIZE, pictures, batch=4, advance=lambda *state: seen.append(state))
    expected = [Sums()(SIZE.tensor(path)[None]).ravel() for path in pictures]
    np.testing.assert_array_equal(found.rows, np.array(expected, np.float32))
    assert found.rows.dtype == np.float32
    assert found.kept.tolist() == list(range(11))
    assert network.shapes == [(4, 3, 12, 6), (4, 3, 12, 6), (3, 3, 12, 6)]
    assert seen == [(4, 11), (8, 11), (11, 11)]


def test_a_flip_adds_the_mirror_image_and_ends_at_unit_length(pictures):
    found = embed_files(Sums(), SIZE, pictures, batch=3, flip=True).rows
    images = SIZE.tensors(pictures)
    total = (Sums()(images) + Sums()(images[..., ::-1])).reshape(11, -1)
    np.testing.assert_allclose(found, total / np.linalg.norm(total, axis=1)[:, None], atol=1e-6)
    assert np.abs(found - embed_files(Sums(), SIZE, pictures).rows).max() > 0.1


def test_files_that_resize_get_the_pictures_as_they_are(pictures):
    network = Sums()
    found = embed_files(network, None, pictures, batch=5)
    assert network.shapes == [(5, 3, 20, 10), (3, 3, 20, 10), (3, 3, 24, 9)]
    last = read_picture(pictures[-1]).astype(np.float32).transpose(2, 0, 1)
    np.testing.assert_array_equal(found.rows[-1], Sums()(last[None]).ravel())


def test_a_bad_picture_is_named_and_left_out_only_on_demand(pictures, caplog):
    pictures[5].write_bytes(pictures[5].read_bytes()[:60])
    with pytest.raises(FileFormatError, match=r"05.png is not a picture"):
        embed_files(Sums(), SIZE, pictures)
    found = embed_files(Sums(), SIZE, pictures, batch=3, skip_bad=True)
    assert found.kept.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    others = [path for path in pictures if path != pictures[5]]
    np.testing.assert_array_equal(found.rows, embed_files(Sums(), SIZE, others).rows)
    assert "05.png" in caplog.text
    assert "skipped 1 of 11 pictures" in caplog.text
    with pytest.raises(UsageError, match="no picture to embed"):
        embed_files(Sums(), SIZE, [pictures[5]], skip_bad=True)


def test_what_is_not_finite_is_refused_with_the_pictures_name(pictures):
    def network(images):
        rows = Sums()(images)
        rows[-1] = np.nan
        return rows

    with pytest.raises(EmbeddingError, match=r"embedding of .*03.png is not finite"):
        embed_files(network, SIZE, pictures, batch=4)
    with pytest.raises(EmbeddingError, match="is not finite"):
        embed_files(lambda images: np.zeros((len(images), 4)), SIZE, pictures, flip=True)


def test_a_networks_own_error_comes_through(pictures):
    def network(images):
        raise ZeroDivisionError("of the network")

    with pytest.raises(ZeroDivisionError, match="of the network"):
        embed_files(network, SIZE, pictures * 20, batch=2)


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """A checkpoint, and an ONNX file of it with everything inside."""
    folder = tmp_path_factory.mktemp("embed")
    torch.save(small_mgn().state_dict(), folder / "small.pth")
    wishes = Wishes(postprocessing=True)
    source = Source(folder / "small.pth", **FACTORY)
    mgn_convert.convert(source, "onnx", folder, name="mirrored", wishes=wishes, verify=False)
    return folder


def test_a_file_with_the_mirror_image_inside_says_so_and_refuses_another(mirrored, pictures, tmp_path):
    with open_embedder(Source(mirrored / "mirrored.onnx")) as made:
        assert made.mirrored
        inside = embed_files(made.run, made.preprocessing, pictures).rows
    for name, options, code in (("small.pth", OPTIONS, 0), ("mirrored.onnx", [], 2)):
        target = tmp_path / f"{name}.npy"
        arguments = ["embed", mirrored / name, tmp_path, *options, "--flip", "-o", target]
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == code, result.output
    assert "adds the mirror image itself" in result.output
    np.testing.assert_allclose(np.load(tmp_path / "small.pth.npy"), inside, atol=1e-5)


def test_embed_skips_bad_files_on_demand(mirrored, pictures, tmp_path):
    pictures[2].write_text("no picture")
    command = ["embed", mirrored / "mirrored.onnx", tmp_path, "-o", tmp_path / "e.npy"]
    result = CliRunner().invoke(main, [str(a) for a in command])
    assert result.exit_code == 4
    assert "02.png is not a picture" in result.output
    result = CliRunner().invoke(main, [str(a) for a in [*command, "--skip-bad"]])
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "e.npy").shape == (10, 24)


def test_a_network_must_take_pictures_and_give_one_embedding(mirrored):
    both = {**FACTORY, "output": None}
    with pytest.raises(UsageError, match="has 2 outputs") as caught, open_embedder(Source(None, **both)):
        pass
    assert "--output" in caught.value.remedy
    grey = Source(None, factory="torch.nn:Flatten", input_shape=(1, 8, 4))
    with pytest.raises(UsageError, match="does not take pictures"), open_embedder(grey):
        pass
