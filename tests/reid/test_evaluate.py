import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_networks import small_mgn
from small_people import make_people

import mgn_convert
from mgn_convert.datasets import read_dataset
from mgn_convert.embed import open_embedder
from mgn_convert.formats import Source
from mgn_convert.packaging import Wishes
from mgn_convert.parity.drift import figures
from mgn_convert.parity.people import embed_people
from mgn_convert.parity.retrieval import Expansion, Reranking, Settings
from mgn_reid.cli import main
from mgn_reid.evaluation.device import on_device

SMALL = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
OPTIONS = ["--factory", SMALL["factory"], "--input-shape", "3,48,16", "--output", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network in every format, a copy with swapped channels, another network, and people to find."""
    folder = tmp_path_factory.mktemp("evaluate")
    make_people(folder / "data")
    weights = small_mgn().state_dict()
    torch.save(weights, folder / "good.pth")
    torch.save({**weights, "stem.0.weight": weights["stem.0.weight"].flip(1)}, folder / "swapped.pth")
    for name, kind in (("good", "caffe"), ("good", "darknet"), ("good", "onnx"), ("swapped", "caffe")):
        mgn_convert.convert(Source(folder / f"{name}.pth", **SMALL), kind, folder, verify=False)
    other = Source(None, factory="small_people:colours", input_shape=(3, 24, 12))
    mgn_convert.convert(other, "onnx", folder, name="colours", verify=False)
    wishes = Wishes(postprocessing=True)
    source = Source(folder / "good.pth", **SMALL)
    mgn_convert.convert(source, "onnx", folder, name="mirrored", wishes=wishes, verify=False)
    return folder


def evaluate(folder, *arguments, data="data"):
    """The command's result, and what it wrote."""
    target = folder / "scores.json"
    target.unlink(missing_ok=True)
    names = ["evaluate", "--data", folder / data, "--device", "cpu", "--json", target, *arguments]
    result = CliRunner().invoke(main, [str(a) for a in names])
    return result, json.loads(target.read_text()) if target.exists() else None


def test_every_engine_finds_the_same_people(folder):
    weights = folder / "good.caffemodel"
    files = [folder / f"good.{suffix}" for suffix in ("pth", "prototxt", "cfg", "onnx")]
    result, found = evaluate(folder, *files[:2], weights, *files[2:], *OPTIONS)
    assert result.exit_code == 0, result.output
    first, *others = found["networks"]
    assert first["drift"] is None
    assert 0.15 < first["scores"]["mAP"] < 0.95
    engines = [re.match("[A-Za-z]+", row["engine"])[0].lower() for row in found["networks"]]
    assert engines == ["pytorch", "opencv", "darknet", "onnxruntime"]
    for row in others:
        assert row["scores"] == pytest.approx(first["scores"], abs=1e-12)
        assert row["drift"]["cosine_min"] > 0.999999
        assert row["drift"]["distance"] < 1e-5
        assert row["pictures_per_second"] > 0
    assert "query    8 people, 24 pictures, 3 cameras" in result.output
    assert result.output.count(f"{100 * first['scores']['mAP']:.2f} │") == 4
    assert result.output.count("+0.00 │") == 3 * 5


def test_a_faithless_conversion_shows_its_drift(folder):
    result, found = evaluate(folder, folder / "good.onnx", folder / "swapped.prototxt")
    assert result.exit_code == 0, result.output
    good, swapped = found["networks"]
    moved = swapped["scores"]["mAP"] - good["scores"]["mAP"]
    assert abs(moved) > 0.01
    assert swapped["score_drift"]["mAP"] == pytest.approx(moved)
    assert f"{100 * swapped['scores']['mAP']:.2f} │" in result.output
    assert f"{100 * moved:+.2f} │" in result.output
    assert swapped["drift"]["cosine_min"] < 0.99
    assert swapped["drift"]["flips"]


@pytest.mark.parametrize(
    ("options", "settings", "flip"),
    [
        (
            ["--rerank", "--k1", 7, "--k2", 3, "--lambda", 0.1],
            Settings(reranking=Reranking(7, 3, 0.1)),
            False,
        ),
        (["--expand", "--flip"], Settings(expansion=Expansion()), True),
        (
            ["--metric", "euclidean", "--protocol", "market-trapezoid"],
            Settings("euclidean", "market-trapezoid"),
            False,
        ),
        (["--protocol", "cuhk03"], Settings(protocol="cuhk03"), False),
    ],
)
def test_options_choose_how_embeddings_are_scored(folder, options, settings, flip):
    result, found = evaluate(folder, folder / "good.onnx", "--batch", 5, *options)
    assert result.exit_code == 0, result.output
    with open_embedder(Source(folder / "good.onnx")) as made:
        people = embed_people(made.run, made.preprocessing, read_dataset(folder / "data"), flip=flip)
    expected = figures(people.scores(settings))
    assert found["networks"][0]["scores"] == pytest.approx(expected, abs=1e-12)
    assert expected != figures(people.scores(Settings())), "the options matter"
    assert found["networks"][0]["flip"] is flip


def test_networks_of_other_sizes_have_scores_but_no_drift_of_embeddings(folder):
    result, found = evaluate(folder, folder / "good.onnx", folder / "colours.onnx")
    assert result.exit_code == 0, result.output
    good, other = found["networks"]
    assert (good["embedding"], other["embedding"]) == (24, 54)
    assert other["drift"] is None
    assert other["scores"]["mAP"] > good["scores"]["mAP"]


def test_a_mirror_image_inside_a_file_is_not_added_twice(folder, caplog):
    _, found = evaluate(folder, folder / "good.onnx", folder / "mirrored.onnx", "--flip")
    assert found["networks"][1]["drift"]["distance"] < 1e-5
    _, found = evaluate(folder, folder / "good.onnx", folder / "mirrored.onnx")
    assert [row["flip"] for row in found["networks"]] == [False, True]
    assert "has the mirror images; try --flip" in caplog.text


def test_bad_pictures_are_named_and_skipped_once_for_all_networks(folder, caplog):
    data = make_people(folder / "damaged", people=4)
    bad = sorted((data / "query").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:200])
    networks = [folder / "good.onnx", folder / "colours.onnx"]
    result, found = evaluate(folder, *networks, data="damaged")
    assert (result.exit_code, found) == (4, None)
    assert f"{bad.name} is not a picture" in result.output.replace("\n", "")
    result, found = evaluate(folder, *networks, "--skip-bad", data="damaged")
    assert result.exit_code == 0, result.output
    assert found["dataset"] == {"name": "damaged", "query": 11, "gallery": 12, "skipped": 1}
    assert caplog.text.count(f"skipped: {bad}") == 1
    assert "no pictures, which do not count: 1" in result.output


def test_queries_without_a_match_are_counted(folder):
    data = make_people(folder / "lonely", people=4)
    for path in (data / "bounding_box_test").glob("0002_c[23]*"):
        path.unlink()
    result, found = evaluate(folder, folder / "colours.onnx", data="lonely")
    assert found["networks"][0]["queries"] == 11
    assert "no other camera in the gallery saw the person of 1 queries: 0002_c1" in result.output


def _bad_inputs(folder):
    empty = make_people(folder / "empty", people=2)
    for path in (empty / "query").iterdir():
        path.unlink()
    (folder / "text.onnx").write_text("no model")
    good = folder / "good.onnx"
    return {
        "no folder": ([good], "nowhere", 2, "nowhere"),
        "no query": ([good], "empty", 2, "query"),
        "no model": ([folder / "no.onnx"], "data", 2, "there is no file"),
        "no network": ([folder / "text.onnx"], "data", 4, "text.onnx"),
        "no architecture": ([folder / "good.pth"], "data", 2, "--arch"),
        "several outputs": ([folder / "good.pth", *OPTIONS[:4]], "data", 2, "--output"),
        "no colours": (
            ["--factory", "torch.nn:Flatten", "--input-shape", "1,8,4", good],
            "data",
            2,
            "pictures",
        ),
        "unknown metric": ([good, "--metric", "cosinus"], "data", 2, "cosinus"),
        "re-ranked without unit length": (
            [good, "--rerank", "--metric", "euclidean"],
            "data",
            2,
            "euclidean",
        ),
    }


@pytest.fixture(scope="module")
def bad_inputs(folder):
    return _bad_inputs(folder)


@pytest.mark.parametrize(
    "case",
    [
        "no folder",
        "no query",
        "no model",
        "no network",
        "no architecture",
        "several outputs",
        "no colours",
        "unknown metric",
        "re-ranked without unit length",
    ],
)
def test_bad_input_gets_one_message_and_its_exit_code(folder, bad_inputs, case):
    arguments, data, code, text = bad_inputs[case]
    result, found = evaluate(folder, *arguments, data=data)
    assert result.exit_code == code, result.output
    assert text in result.output
    assert "Traceback" not in result.output
    assert found is None


def test_without_cuda_the_network_runs_on_the_cpu_and_cuda_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device, code in (("auto", 0), ("cuda", 5)):
        result, _ = evaluate(folder, folder / "good.onnx", "--device", device)
        assert result.exit_code == code, result.output
    assert "CUDA" in result.output


@pytest.mark.parametrize(
    "source",
    [
        Source(None, **SMALL),
        Source(None, factory="small_people:one_at_a_time", input_shape=(3, 24, 12)),
    ],
)
def test_a_network_moved_to_a_device_gives_the_engines_embeddings(source):
    with open_embedder(source) as made:
        moved = on_device(made, source, "cpu")
        images = np.random.default_rng(0).standard_normal((3, *source.input_shape), np.float32)
        np.testing.assert_allclose(moved.run(images), made.run(images).reshape(3, -1), atol=1e-6)
    assert moved.engine == f"{made.engine} on cpu"
