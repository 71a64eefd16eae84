from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_networks import small_mgn
from small_people import make_people

import mgn_convert
from mgn_convert.embed import Embedder, EmbeddingError, embed_files, open_embedder
from mgn_convert.formats import Source
from mgn_convert.packaging import Wishes
from mgn_convert.preprocess import Preprocessing, find_images
from mgn_reid.cli import main
from mgn_reid.matching.features import Features
from mgn_reid.matching.network import Network, digest, found_pictures, labels_of, open_network

SMALL = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
OPTIONS = ["--factory", SMALL["factory"], "--input-shape", "3,48,16", "--output", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network as a checkpoint, ONNX, Caffe and with the mirror image inside; people in data/."""
    folder = tmp_path_factory.mktemp("extract")
    make_people(folder / "data", people=3, cameras=2)
    torch.save(small_mgn().state_dict(), folder / "small.pth")
    source = Source(folder / "small.pth", **SMALL)
    for kind in ("onnx", "caffe"):
        mgn_convert.convert(source, kind, folder, verify=False)
    wishes = Wishes(postprocessing=True)
    mgn_convert.convert(source, "onnx", folder, name="mirrored", wishes=wishes, verify=False)
    return folder


@pytest.fixture
def extract(folder, tmp_path):
    """Runs the command; gives its result and the features that it wrote."""

    def run(*arguments, target="features.npz"):
        words = ["extract", *arguments, "-o", tmp_path / "made" / target]
        result = CliRunner().invoke(main, [str(word) for word in words])
        made = tmp_path / "made" / target
        return result, Features.load(made) if made.exists() else None

    return run


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("options", [[], ["--flip", "--batch", 4]])
def test_every_picture_gets_its_embedding_its_name_and_its_labels(folder, extract, options):
    pictures = find_images(folder / "data" / "query")
    result, made = extract(folder / "small.onnx", folder / "data" / "query", *options)
    assert result.exit_code == 0, result.output
    with open_embedder(Source(folder / "small.onnx")) as net:
        expected = embed_files(net.run, net.preprocessing, pictures, flip=bool(options)).rows
    np.testing.assert_allclose(made.embeddings, unit(expected), atol=1e-6)
    assert made.names == tuple(path.name for path in pictures)
    assert made.root == folder / "data" / "query"
    assert made.identities.tolist() == [1, 1, 2, 2, 3, 3]
    assert made.cameras.tolist() == [1, 2] * 3
    assert made.record.flip is bool(options)
    assert (made.record.model, made.record.preprocessing.height) == ("small.onnx", 48)
    assert result.output.endswith("6 embeddings of 24, 3 identities\n")


def test_files_and_folders_keep_their_order_and_are_named_from_the_folder_they_share(
    folder, extract, tmp_path
):
    black = tmp_path / "visitor.png"
    Image.fromarray(np.zeros((9, 5, 3), np.uint8)).save(black)
    (tmp_path / "more").mkdir()
    black.rename(tmp_path / "more" / "visitor.png")
    query = find_images(folder / "data" / "query")
    given = [query[4], tmp_path / "more", folder / "data" / "query", query[0]]
    result, made = extract(folder / "small.pth", *given, *OPTIONS)
    assert result.exit_code == 0, result.output
    assert [made.picture(row) for row in range(7)] == [
        query[4],
        tmp_path / "more" / "visitor.png",
        *query[:4],
        query[5],
    ]
    assert (made.identities[1], made.cameras[1]) == (-1, -1)
    assert made.record.network == "small_networks:small_mgn output=0"


def test_relative_paths_become_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder / "data")
    name = find_images(folder / "data" / "query")[0].name
    assert found_pictures([Path("query", name)]) == (
        [folder / "data" / "query" / name],
        folder / "data/query",
    )
    paths, root = found_pictures([Path()])
    assert (len(paths), root) == (16, folder / "data")


def test_a_file_with_the_mirror_image_inside_does_not_get_it_twice(folder, extract):
    _, inside = extract(folder / "mirrored.onnx", folder / "data" / "query", "--flip")
    _, outside = extract(folder / "small.onnx", folder / "data" / "query", "--flip")
    np.testing.assert_allclose(inside.embeddings, outside.embeddings, atol=1e-5)
    _, undemanded = extract(folder / "mirrored.onnx", folder / "data" / "query")
    assert undemanded.record.flip is inside.record.flip is True


def test_pictures_go_once_through_a_network_that_mirrors_them_itself(folder):
    counts = []

    def run(images):
        counts.append(len(images))
        return images.mean(axis=(2, 3))

    for mirrored in (True, False):
        embedder = Embedder("counting", "none", run, Preprocessing(8, 4), mirrored)
        Network(embedder, "", "").features([folder / "data" / "query"], flip=True)
    assert counts == [6, 12]


def test_a_bad_picture_is_named_or_left_out_on_demand(folder, extract, tmp_path, caplog):
    data = make_people(tmp_path / "data", people=2, cameras=2) / "query"
    bad = find_images(data)[1]
    bad.write_bytes(bad.read_bytes()[:100])
    result, made = extract(folder / "small.onnx", data)
    assert (result.exit_code, made) == (4, None)
    assert f"{bad.name} is not a picture" in result.output.replace("\n", "")
    result, made = extract(folder / "small.onnx", data, "--skip-bad")
    assert result.exit_code == 0, result.output
    assert made.names == tuple(path.name for path in find_images(data) if path != bad)
    assert made.identities.tolist() == [1, 2, 2]
    assert bad.name in caplog.text


@pytest.mark.parametrize(
    ("model", "pictures", "target", "code", "what"),
    [
        ("small.onnx", "empty", "a.npz", 2, "empty holds no pictures"),
        ("small.onnx", "nowhere", "a.npz", 2, "there is no picture"),
        ("small.onnx", "data", "a.npy", 2, "features go to an .npz file"),
        ("small.onnx", "a.npz", "b.npz", 2, "a features file is no picture"),
        ("lost.onnx", "data", "a.npz", 2, "there is no file"),
        ("text.onnx", "data", "a.npz", 4, "text.onnx"),
        ("small.pth", "data", "a.npz", 2, "--arch"),
        ("data", "data", "a.npz", 2, "is of no known kind"),
    ],
)
def test_bad_input_gets_one_message_and_nothing_is_written(
    folder, extract, tmp_path, model, pictures, target, code, what
):
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "text.onnx").write_text("no network")
    result, made = extract(folder / model, folder / pictures, target=target)
    assert (result.exit_code, made) == (code, None), result.output
    assert what in result.output.replace("\n", "")
    assert "Traceback" not in result.output
    assert not (tmp_path / "made").exists()


def test_a_wrong_suffix_is_answered_with_the_right_name(folder, extract, tmp_path):
    result, _ = extract(folder / "small.onnx", folder / "data", target="people.npy")
    assert f"-o {tmp_path / 'made' / 'people.npz'}" in result.output


def test_an_embedding_without_direction_is_refused(folder):
    pictures = find_images(folder / "data" / "query")
    embedder = Embedder("dead", "none", lambda images: np.zeros((len(images), 4)), Preprocessing(8, 4))
    with pytest.raises(EmbeddingError, match=f"embedding of {pictures[0]} is zero"):
        Network(embedder, "", "").features(pictures)


def test_every_file_of_a_model_counts_for_its_hash(folder, tmp_path):
    for name in ("small.prototxt", "small.caffemodel"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    source = Source(tmp_path / "small.prototxt")
    same = digest(source)
    assert same == digest(Source(folder / "small.prototxt"))
    hashes = {same}
    for name in ("small.prototxt", "small.caffemodel"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"\n")
        hashes.add(digest(source))
    (tmp_path / "model").mkdir()
    for name in ("saved_model.pb", "variables.index"):
        (tmp_path / "model" / name).write_text(name)
        hashes.add(digest(Source(tmp_path / "model" / "saved_model.pb")))
    assert len(hashes) == 5
    with open_network(Source(folder / "small.prototxt")) as network:
        assert network.record(False).sha256 == same


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("0002_c1s1_000451_03.jpg", (2, 1)),
        ("cam/1501_c6s4_001877_00.jpg", (1501, 6)),
        ("0005_c2_f0046985.jpg", (5, 2)),
        ("-1_c3s2_069303_01.jpg", (-1, 3)),
        ("visitor.jpg", (-1, -1)),
        ("x0002_c1.jpg", (-1, -1)),
        ("0002_c1/visitor.jpg", (-1, -1)),
        ("123456789012345678901234567890_c1.jpg", (-1, -1)),
        ("1_c123456789012345678901234567890.jpg", (-1, -1)),
    ],
)
def test_labels_are_what_a_name_tells(name, labels):
    identities, cameras = labels_of([name])
    assert (identities.tolist(), cameras.tolist()) == ([labels[0]], [labels[1]])
    assert identities.dtype == cameras.dtype == np.int64


def test_a_gpu_that_is_not_there_is_refused(folder, extract, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result, made = extract(folder / "small.onnx", folder / "data" / "query", "--device", "cuda")
    assert (result.exit_code, made) == (5, None)
    assert "PyTorch sees no CUDA device" in result.output
