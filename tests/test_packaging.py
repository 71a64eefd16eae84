"""Names, the order of the embedding and processing: what a conversion puts around a network, end to end."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from seeded import seeded

import mgn_convert
from mgn_convert.architecture import architecture
from mgn_convert.cli import main
from mgn_convert.embed import embed_pictures
from mgn_convert.formats import Source
from mgn_convert.graph import GraphBuilder, Origin
from mgn_convert.packaging import Names, Processing, Wishes, in_order, out_of_order
from mgn_convert.preprocess import Preprocessing

ORDER = (0, 1, 3, 4, 2, 5, 6, 7)
SIZE = (96, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint of MGN with seeded weights, and three pictures of two sizes."""
    folder = tmp_path_factory.mktemp("packaging")
    options = {key: option.default for key, option in architecture("mgn").options.items()}
    with torch.device("meta"):
        network = architecture("mgn").build(**{**options, "input_size": "96x64"})
    state = seeded(network).state_dict()
    torch.save({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, folder / "net.pth")
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for i, size in enumerate([(130, 61), (130, 61), (90, 70)]):
        noise = random.integers(0, 256, (size[0] // 10, size[1] // 10, 3)).astype(np.uint8)
        Image.fromarray(noise).resize(size[::-1]).save(folder / "pictures" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def mgn(folder) -> Source:
    options = {"input_size": "96x64", "pool": "max"}
    return Source(folder / "net.pth", architecture="mgn", options=options)


def test_the_order_of_the_parts(folder, mgn):
    wishes = Wishes(embedding_order="tensorflow")
    result = mgn_convert.convert(mgn, "onnx", folder, name="ordered", wishes=wishes)
    assert result.report.candidates[0].exact
    images = np.random.default_rng(1).standard_normal((2, 3, *SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / "ordered.onnx")
    (raw,) = session.run(None, {session.get_inputs()[0].name: images})
    with mgn_convert.open_runner(mgn) as net:
        (own,) = net.run(images).values()
    parts = own.reshape(2, 8, 256)
    np.testing.assert_allclose(raw.reshape(2, 8, 256), parts[:, list(ORDER)], atol=1e-5)
    assert np.abs(raw - own).max() > 0.1, "the order is another one"


def test_names_are_those_that_clients_expect(folder, mgn):
    from mgn_convert.formats import formats
    from mgn_convert.pipeline import _packaging

    graph = mgn_convert.read(mgn)
    found = _packaging(mgn, graph, Wishes(), formats()["tensorflow"]).names
    assert (found.input, found.output, found.result) == (
        "image_tensor",
        "person_embedding",
        "result_embedding",
    )
    assert (found.signature, found.signature_input, found.signature_output) == (
        "reid_mgn_serving",
        "input_image",
        "reid_embedding",
    )
    assert _packaging(mgn, graph, Wishes(), formats()["onnx"]).names == Names()
    wished = Wishes(Names(input="pictures", output="vector"))
    found = _packaging(mgn, graph, wished, formats()["tensorflow"]).names
    assert (found.input, found.output, found.result) == ("pictures", "vector", "vector")


def test_pictures_inside_and_outside_give_the_same_embeddings(folder, mgn):
    wishes = Wishes(preprocessing=True, postprocessing=True)
    result = mgn_convert.convert(
        mgn, "onnx", folder, name="pictures", wishes=wishes, images=folder / "pictures"
    )
    assert result.report.candidates[0].exact
    assert len(result.report.candidates[0].inputs) == 5, "two kinds of noise and three pictures"
    embed_pictures(Source(folder / "pictures.onnx"), [folder / "pictures"], folder / "inside.npy", 8, _ignore)
    embed_pictures(mgn, [folder / "pictures"], folder / "outside.npy", 8, _ignore)
    inside, outside = np.load(folder / "inside.npy"), np.load(folder / "outside.npy")
    assert inside.shape == outside.shape == (3, 2048)
    own = Preprocessing(*SIZE)
    mirrored = own.tensors(sorted((folder / "pictures").iterdir()))[..., ::-1]
    with mgn_convert.open_runner(mgn) as net:
        (others,) = net.run(np.ascontiguousarray(mirrored)).values()
    total = outside + others
    np.testing.assert_allclose(inside, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-6)


def _ignore(done: int, total: int) -> None:
    """No progress is shown."""


def test_the_manifest_records_what_is_inside(folder, mgn):
    wishes = Wishes(postprocessing=True, embedding_order="tensorflow")
    mgn_convert.convert(mgn, "onnx", folder, name="record", wishes=wishes)
    part = json.loads((folder / "record.manifest.json").read_text())["artefacts"]["onnx"]
    assert part["processing"] == {"preprocessing": None, "mirrored": True}
    assert part["result"] == {"value": "result_embedding", "blocks": list(ORDER)}
    assert part["input"] == {"value": "image_and_mirror"}
    report = mgn_convert.verify(mgn, folder / "record.onnx", layers=True, exact=True)
    assert report.passed
    assert len(report.candidates[0].layers) > 300


def test_the_command_line_takes_the_same_wishes(folder):
    words = ["pytorch2onnx", folder / "net.pth", "--arch", "mgn", "--arch-option", "input_size=96x64"]
    words += ["-o", folder, "--name", "wished", "--with-preprocessing", "--with-postprocessing"]
    words += ["--resize", "bilinear-tf1", "--input-name", "image_tensor", "--output-name", "vector"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(folder / "wished.onnx")
    assert [v.name for v in session.get_inputs()] == ["image_tensor"]
    assert [v.name for v in session.get_outputs()] == ["vector"]
    words[words.index("bilinear-tf1")] = "area"
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2
    assert "resizing by 'area' cannot be inside a file" in result.output
    assert "bicubic, bilinear, bilinear-half-pixel, bilinear-tf1" in result.output


def test_an_order_and_back():
    b = GraphBuilder("net")
    y = b.add("power", b.input("x", (1, 8)), scale=2.0, name="embedding", origin=Origin("embedding"))
    graph = in_order(b.graph([y]), (2, 0, 3, 1))
    x = np.arange(16.0).reshape(2, 8)
    found = graph.run({"x": x})[graph.outputs[0]]
    np.testing.assert_array_equal(found[0], 2 * np.array([4, 5, 0, 1, 6, 7, 2, 3]))
    np.testing.assert_array_equal(out_of_order(found, (2, 0, 3, 1)), 2 * x)
    assert graph.node(graph.outputs[0]).origin.tensor == "embedding"
    assert graph.node("embedding").origin.tensor == ""


def test_mirrored_processing():
    inside = Processing(None, mirrored=True)
    images = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    fed = inside.before(images)
    np.testing.assert_array_equal(fed[2:], images[..., ::-1])
    embeddings = np.array([[3.0, 0], [1, 1], [0, 4], [-1, 1]])
    np.testing.assert_allclose(inside.after(embeddings), [[0.6, 0.8], [0, 1]])
    assert Processing.from_json(inside.to_json()) == inside
