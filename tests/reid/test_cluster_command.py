import json

import numpy as np
import pytest
from click.testing import CliRunner
from small_people import make_people

import mgn_convert
from mgn_convert.formats import Source
from mgn_convert.preprocess import Preprocessing
from mgn_reid.cli import main
from mgn_reid.matching.clustering import Rule, clusters
from mgn_reid.matching.features import Features, Record

NAMES = ("0001_c1.jpg", "0001_c2.jpg", "0002_c1.jpg", "0000_c1.jpg", "0002_c2.jpg")


def run(*arguments):
    return CliRunner().invoke(main, ["cluster", *map(str, arguments)])


@pytest.fixture
def features(tmp_path):
    """A function that saves a features file: embeddings in the plane at these degrees."""

    def saved(degrees, names=NAMES, identities=(1, 1, 2, 0, 2)):
        root = tmp_path / "people"
        root.mkdir()
        for name in names:
            (root / name).write_text(name)
        angles = np.radians(degrees)
        embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        record = Record("small.pth", "ab" * 32, "", False, None)
        labels = np.array(identities, np.int64)
        Features(embeddings, tuple(names), labels, labels, root, record).save(tmp_path / "people.npz")
        return tmp_path / "people.npz"

    return saved


@pytest.fixture
def network(tmp_path):
    """An ONNX file whose embeddings are mean colours."""
    colours = Source(None, factory="small_people:colours", input_shape=(3, 24, 12))
    mgn_convert.convert(colours, "onnx", tmp_path, name="colours", verify=False)
    return tmp_path / "colours.onnx"


def test_a_features_file_becomes_a_folder_for_each_cluster_and_a_table(features, tmp_path):
    out = tmp_path / "out"
    done = run(features([0, 5, 90, 92, 180]), "-o", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"{out / 'result'}  5 pictures in 3 clusters"
    copies = {path.relative_to(out / "result").as_posix() for path in out.rglob("*.jpg")}
    assert copies == {f"{cluster}/{name}" for cluster, name in zip("00224", NAMES, strict=True)}
    for words in (
        ("identity accuracy", "50.00%", "2 identities"),
        ("class accuracy", "100.00%", "3 clusters"),
        ("allocation errors", "0", "4 pictures"),
        ("identity split error", "50.00%", "2 identities"),
    ):
        line = next(line for line in done.stdout.splitlines() if words[0] in line)
        assert all(word in line for word in words)
    assert json.loads((out / "report.json").read_text())["accuracy"]["split_error"] == 0.5


def test_the_rule_and_its_thresholds_decide(features, tmp_path):
    # 20 degrees apart are 0.347, 40 are 0.684, 60 are 1; to 0 and 40 from 60: 0.347 and 1, mean 0.674
    file = features([0, 40, 60, 61, 180])
    for number, (options, wanted) in enumerate(
        (
            ([], [0, 0, 0, 0, 4]),
            (["--cluster-threshold", 0.3], [0, 0, 2, 2, 4]),
            (["--threshold", 0.5], [0, 1, 1, 1, 4]),
            (["--rule", "first", "--cluster-threshold", 0.3], [0, 0, 0, 0, 4]),
        )
    ):
        out = tmp_path / str(number)
        assert run(file, "-o", out, *options).exit_code == 0
        report = json.loads((out / "report.json").read_text())
        assert [picture["cluster"] for picture in report["pictures"]] == wanted, options


def test_features_of_nobody_are_sorted_without_a_table(features, tmp_path):
    done = run(features([0, 1], ("x.jpg", "y.jpg"), (-1, -1)), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [f"{tmp_path / 'out' / 'result'}  2 pictures in 1 clusters"]


def test_a_folder_of_pictures_goes_through_a_network_in_the_order_of_names(network, tmp_path):
    people = make_people(tmp_path / "people", people=3, noise=5) / "query"
    done = run(people, "--model", network, "--threshold", 0.5, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    paths = sorted(people.iterdir())
    means = Preprocessing(24, 12).tensors(paths).reshape(9, 3, 6, 4, 3, 4).mean(axis=(3, 5)).reshape(9, -1)
    wanted = clusters(means / np.linalg.norm(means, axis=1)[:, None], Rule(0.5)).tolist()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [picture["name"] for picture in report["pictures"]] == [path.name for path in paths]
    assert [picture["cluster"] for picture in report["pictures"]] == wanted
    assert report["features"]["model"] == "colours.onnx"
    assert report["accuracy"]["identities"] == 3
    assert 1 < report["clusters"] < 9
    for path, cluster in zip(paths, wanted, strict=True):
        copy = tmp_path / "out" / "result" / str(cluster) / path.name
        assert copy.read_bytes() == path.read_bytes()


def test_a_folder_without_pictures_is_refused(network, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / "empty", "--model", network, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "holds no pictures" in done.output
    assert not (tmp_path / "out").exists()


def test_pictures_without_a_network_are_refused_with_the_remedy(tmp_path):
    done = run(make_people(tmp_path / "people", people=1), "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "pictures need a network" in done.output
    assert "try      --model MODEL" in done.output


def test_a_damaged_features_file_is_refused(features, tmp_path):
    file = features([0, 1, 2, 3, 4])
    file.write_bytes(file.read_bytes()[:200])
    done = run(file, "-o", tmp_path / "out")
    assert done.exit_code == 4
    assert "people.npz is not a features file" in done.output


def test_an_output_folder_that_holds_something_is_refused_before_any_work(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    done = run(tmp_path / "missing.npz", "-o", tmp_path)
    assert done.exit_code == 2
    assert f"{tmp_path} is not an empty folder" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_picture_that_vanished_leaves_nothing_behind(features, tmp_path):
    file = features([0, 1, 2, 3, 4])
    (tmp_path / "people" / NAMES[4]).unlink()
    done = run(file, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert f"cannot read the picture {tmp_path / 'people' / NAMES[4]}" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "-0.1"], "--threshold is no distance"),
        (["--threshold", "nan"], "--threshold is no distance"),
        (["--cluster-threshold", "-1"], "--cluster-threshold is no distance"),
        (["--cluster-threshold", "2.5"], "--cluster-threshold is no distance"),
        (["--rule", "median"], "'median' is not one of"),
    ],
)
def test_what_is_no_threshold_and_no_rule_is_refused(features, tmp_path, options, message):
    done = run(features([0, 1, 2, 3, 4]), "-o", tmp_path / "out", *options)
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "out").exists()
