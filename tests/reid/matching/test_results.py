import json

import numpy as np
import pytest

from mgn_convert.errors import UsageError
from mgn_convert.preprocess import Preprocessing
from mgn_reid.matching.clustering import Rule
from mgn_reid.matching.features import Features, Record
from mgn_reid.matching.results import check_empty, save_clusters

NAMES = ("a/0001_c1.jpg", "b/0001_c1.jpg", "0002_c2.png", "b/other.jpg")
CLUSTERS = np.array([0, 0, 2, 2])


@pytest.fixture
def features(tmp_path):
    """Four pictures, two of which are called the same in different folders; each holds its own name."""
    root = tmp_path / "people"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"picture {name}")
    record = Record("small.pth", "ab" * 32, "mgn pool=max", True, Preprocessing(24, 12))
    identities, cameras = np.array([1, 1, 2, -1]), np.array([1, 1, 2, -1])
    return Features(np.eye(4, dtype=np.float32), NAMES, identities, cameras, root, record)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_each_cluster_has_a_folder_with_copies_of_its_pictures_even_of_one_name(features, tmp_path):
    out = tmp_path / "new" / "out"
    save_clusters(features, CLUSTERS, Rule(), out)
    copies = {f"result/{cluster}/{name}" for cluster, name in zip(CLUSTERS, NAMES, strict=True)}
    assert files_in(out) == {*copies, "report.json"}
    for cluster, name in zip(CLUSTERS, NAMES, strict=True):
        assert (out / "result" / str(cluster) / name).read_text() == f"picture {name}"
    assert files_in(features.root) == set(NAMES)


def test_the_report_tells_the_rule_what_made_the_features_and_how_right_it_is(features, tmp_path):
    measured = save_clusters(features, CLUSTERS, Rule(0.9, 0.3), tmp_path / "out")
    assert (measured.pictures, measured.clusters, measured.split_error) == (3, 2, 0)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == {
        "schema": "mgn-reid/clusters/1",
        "rule": "average",
        "threshold": 0.9,
        "cluster_threshold": 0.3,
        "distance": "euclidean",
        "features": features.record.to_json(),
        "root": str(features.root),
        "clusters": 2,
        "accuracy": measured.to_json(),
        "pictures": [{"name": n, "cluster": c} for n, c in zip(NAMES, CLUSTERS.tolist(), strict=True)],
    }


def test_the_report_names_no_threshold_that_the_rule_does_not_use(features, tmp_path):
    save_clusters(features, CLUSTERS, Rule(0.9, kind="first"), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["rule"], report["threshold"]) == ("first", 0.9)
    assert "cluster_threshold" not in report


def test_there_is_no_accuracy_of_nobody_and_of_distractors(features, tmp_path):
    features.identities[:] = [-1, 0, 0, -1]
    assert save_clusters(features, CLUSTERS, Rule(), tmp_path / "out") is None
    assert json.loads((tmp_path / "out" / "report.json").read_text())["accuracy"] is None


def test_progress_is_told_after_each_picture(features, tmp_path):
    seen = []
    save_clusters(features, CLUSTERS, Rule(), tmp_path / "out", lambda *state: seen.append(state))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(features, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    check_empty(out)
    (out / "kept.txt").write_text("mine")
    for taken in (out, out / "kept.txt"):
        with pytest.raises(UsageError, match="is not an empty folder") as caught:
            save_clusters(features, CLUSTERS, Rule(), taken)
        assert caught.value.remedy == "another -o"
    assert files_in(out) == {"kept.txt"}


def test_a_picture_that_vanished_is_named_and_nothing_is_left_behind(features, tmp_path):
    lost = features.picture(2)
    lost.unlink()
    for out in (tmp_path / "new" / "out", tmp_path / "empty"):
        with pytest.raises(UsageError, match="cannot read the picture") as caught:
            save_clusters(features, CLUSTERS, Rule(), out)
        assert str(lost) in str(caught.value)
        assert caught.value.because == "No such file or directory; its embedding was made from it"
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_an_interruption_leaves_an_empty_folder_empty(features, tmp_path):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        save_clusters(features, CLUSTERS, Rule(), tmp_path / "out", interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(features, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"):
        save_clusters(features, CLUSTERS, Rule(), tmp_path / "file" / "out")
