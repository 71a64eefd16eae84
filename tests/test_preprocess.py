import numpy as np
import pytest
from PIL import Image

from mgn_convert.errors import FileFormatError
from mgn_convert.preprocess import Preprocessing, find_images


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    return tmp_path / "p.png", pixels


def test_tensor_is_the_formula(picture):
    path, pixels = picture
    plain = Preprocessing(6, 4, scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    expected = (pixels / 255.0 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    np.testing.assert_allclose(plain.tensor(path), expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)
    swapped = Preprocessing(6, 4, color="BGR", mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
    assert (swapped.tensor(path) == pixels[:, :, ::-1].transpose(2, 0, 1)).all()


def test_resize_is_pillows_with_antialiasing(picture):
    path, _ = picture
    small = Preprocessing(3, 2, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    expected = np.asarray(Image.open(path).resize((2, 3), Image.Resampling.BICUBIC))
    assert (small.tensor(path) == expected.transpose(2, 0, 1)).all()


def test_json_round_trip():
    recorded = Preprocessing(384, 128, color="BGR", mean=(1.0, 2.0, 3.0))
    assert Preprocessing.from_json(recorded.to_json()) == recorded


def test_what_is_no_picture(tmp_path):
    (tmp_path / "p.png").write_text("hello")
    with pytest.raises(FileFormatError, match=r"p\.png is not a picture"):
        Preprocessing(4, 4).tensor(tmp_path / "p.png")
    assert find_images(tmp_path) == [tmp_path / "p.png"]
