import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_networks import small_mgn
from small_people import make_people

import mgn_convert
from mgn_convert.cli import main
from mgn_convert.datasets import Dataset, Picture
from mgn_convert.embed import Embedder
from mgn_convert.formats import Source
from mgn_convert.packaging import Wishes
from mgn_convert.parity.drift import Flip, figures, measure_drift, score_drift
from mgn_convert.parity.people import People
from mgn_convert.parity.retrieval import Settings
from mgn_convert.parity.retrieval_check import RetrievalCheck, check_retrieval
from mgn_convert.preprocess import Preprocessing
from mgn_convert.resources import resource

SHAPE = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
OPTIONS = ["--factory", SHAPE["factory"], "--input-shape", "3,48,16", "--output", "0"]


def pictures(count, people, cameras, part):
    return tuple(Picture(Path(f"{part}{i}"), i % people, (i // people) % cameras) for i in range(count))


def random_people(seed=0, queries=150, gallery=40, size=7):
    """Embeddings of noise; no two distances are equal."""
    random = np.random.default_rng(seed)
    dataset = Dataset("noise", (), pictures(queries, 6, 3, "q"), pictures(gallery, 6, 3, "g"))
    query, gallery = (random.standard_normal((n, size)).astype(np.float32) for n in (queries, gallery))
    return People(dataset, query, gallery, 1.0)


def changed(people, amount, seed=1):
    random = np.random.default_rng(seed)
    moved = [
        x + amount * random.standard_normal(x.shape).astype(np.float32)
        for x in (people.query, people.gallery)
    ]
    return People(people.dataset, *moved, 1.0)


def plain_drift(reference, people):
    """What `measure_drift` says, one query at a time in float64."""

    def cosines(a, b):
        a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1)[:, None] for x in (a, b))
        return a @ b.T

    before, after = (1 - cosines(p.query, p.gallery) for p in (reference, people))
    flips, overlaps = [], []
    for row, query in enumerate(reference.dataset.query):
        allowed = [
            i
            for i, g in enumerate(reference.dataset.gallery)
            if (g.identity, g.camera) != (query.identity, query.camera)
        ]
        old, new = (sorted(allowed, key=lambda i: table[row, i]) for table in (before, after))
        overlaps.append(len(set(old[:10]) & set(new[:10])) / 10)
        if old[0] != new[0]:
            flips.append((query.path.name, before[row, new[0]] - before[row, old[0]]))
    lowest = min(
        np.diag(cosines(a, b)).min()
        for a, b in zip((reference.query, reference.gallery), (people.query, people.gallery), strict=True)
    )
    return lowest, np.abs(after - before).max(), sorted(flips, key=lambda f: -f[1]), overlaps


@pytest.mark.parametrize("amount", [0.02, 0.5])
def test_drift_is_that_of_a_plain_count(amount):
    reference = random_people()
    people = changed(reference, amount)
    lowest, furthest, flips, overlaps = plain_drift(reference, people)
    found = measure_drift(reference, people)
    assert found.cosine_min == pytest.approx(lowest, abs=1e-9)
    assert found.distance == pytest.approx(furthest, abs=1e-5)
    assert [flip.query for flip in found.flips] == [name for name, _ in flips]
    np.testing.assert_allclose([flip.margin for flip in found.flips], [m for _, m in flips], atol=1e-5)
    assert flips, "the case is of use"
    assert found.margin == found.flips[0].margin
    assert (found.overlap_min, found.overlap_mean) == pytest.approx((min(overlaps), np.mean(overlaps)))


def test_equal_embeddings_do_not_drift_nor_does_another_scale():
    reference = random_people()
    scaled = People(reference.dataset, 4 * reference.query, 4 * reference.gallery, 1.0)
    for people in (reference, scaled):
        found = measure_drift(reference, people)
        assert (found.distance, found.flips, found.overlap_min) == (0, (), 1)
        assert found.cosine_min == pytest.approx(1)
    assert measure_drift(reference, scaled, "euclidean").distance > 1


def test_a_flip_between_equal_pictures_is_none():
    reference = random_people()
    reference.gallery[:] = reference.gallery[0]
    people = changed(reference, 0.1)
    assert measure_drift(reference, people).flips == ()


def test_few_pictures_and_queries_without_any_are_no_trouble():
    reference = random_people(queries=3, gallery=2)
    only = People(
        Dataset("d", (), reference.dataset.query[:1], reference.dataset.query[:1]),
        reference.query[:1],
        reference.query[:1],
        1.0,
    )
    assert measure_drift(reference, changed(reference, 0.01)).overlap_mean == 1
    assert measure_drift(only, only).flips == ()


def embedder(people, name):
    """Gives the embeddings of `people`, whatever the pictures show."""
    rows = iter(np.concatenate([people.query, people.gallery]))
    return Embedder(name, "numpy", lambda images: np.stack([next(rows) for _ in images]), Preprocessing(4, 4))


@pytest.fixture
def readable(monkeypatch):
    """A data set's pictures need not be there."""
    monkeypatch.setattr(Preprocessing, "tensor", lambda self, path: np.zeros((3, 4, 4), np.float32))


def verdict(reference, people, tolerance, noise):
    check = RetrievalCheck(reference.dataset, Settings(), tolerance=tolerance)
    made = [embedder(reference, "a"), embedder(people, "b")]
    report = check_retrieval(check, made, noise, lambda text: None)
    jsonschema.validate(json.loads(json.dumps(report.to_json())), _section())
    return report


def _section():
    schema = json.loads(resource("schemas/report.schema.json").read_text())
    return {"$ref": "#/$defs/retrieval", "$defs": schema["$defs"]}


def test_scores_may_move_by_the_tolerance_and_flips_by_noise(readable):
    reference = random_people()
    people = changed(reference, 0.5)
    moved = score_drift(reference.scores(Settings()), people.scores(Settings()))
    widest = max(abs(moved[name]) for name in ("rank-1", "mAP", "mINP"))
    margin = measure_drift(reference, people).margin
    assert verdict(reference, people, widest, margin).passed
    report = verdict(reference, people, 0.999 * widest, margin)
    assert not report.passed
    assert "points" in report.faults(report.rows[0])[0]
    report = verdict(reference, people, widest, 0.999 * margin)
    assert report.faults(report.rows[0]) == [
        f"another picture comes first, beyond noise, for 1 of 150 queries; "
        f"furthest for {report.rows[0].drift.flips[0].query}, by {margin:.1e}"
    ]
    assert figures(report.rows[0].scores)["mAP"] == people.scores(Settings()).mean_ap


def test_a_candidate_without_comparable_embeddings_fails_with_the_reason(readable):
    reference = random_people()
    short = People(reference.dataset, reference.query[:, :5], reference.gallery[:, :5], 1.0)
    report = verdict(reference, short, 1, 1)
    assert not report.passed
    assert report.faults(report.rows[0]) == ["its embeddings have 5 numbers where the reference's have 7"]
    nan = People(reference.dataset, reference.query * np.nan, reference.gallery, 1.0)
    report = verdict(reference, nan, 1, 1)
    assert "is not finite" in report.faults(report.rows[0])[0]


def test_flips_know_their_widest_margin():
    drift = measure_drift(random_people(), random_people(3))
    assert drift.margin == max(flip.margin for flip in drift.flips)
    assert all(isinstance(flip, Flip) and flip.margin > 0 for flip in drift.flips)


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint in every format, a faithless copy in two, and people to find."""
    folder = tmp_path_factory.mktemp("retrieval")
    make_people(folder / "data")
    weights = small_mgn().state_dict()
    torch.save(weights, folder / "good.pth")
    torch.save({**weights, "stem.0.weight": weights["stem.0.weight"].flip(1)}, folder / "swapped.pth")
    for name in ("good", "swapped"):
        for kind in ("caffe", "darknet", "onnx"):
            mgn_convert.convert(Source(folder / f"{name}.pth", **SHAPE), kind, folder, verify=False)
    wishes = Wishes(postprocessing=True)
    source = Source(folder / "good.pth", **SHAPE)
    mgn_convert.convert(source, "onnx", folder, name="mirrored", wishes=wishes, verify=False)
    return folder


def test_verify_finds_the_same_people_in_every_engine(folder):
    files = [folder / f"good.{suffix}" for suffix in ("pth", "prototxt", "cfg", "onnx")]
    result = call(
        "verify", *files, *OPTIONS, "--retrieval", folder / "data", "--flip", "--json", folder / "r.json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "r.json").read_text())
    jsonschema.validate(report, json.loads(resource("schemas/report.schema.json").read_text()))
    found = report["retrieval"]
    assert (found["verdict"], found["queries"], found["gallery"], found["flip"]) == ("pass", 24, 24, True)
    assert 0.2 < found["reference"]["scores"]["mAP"] < 0.95
    for row in found["candidates"]:
        assert row["scores"] == pytest.approx(found["reference"]["scores"], abs=1e-12)
        assert row["drift"]["cosine_min"] > 0.999999
        assert row["drift"]["distance"] < 1e-5
        assert row["drift"]["overlap_min"] == 1
    assert "24 queries in 24 gallery pictures, with mirror images" in result.output


def test_verify_fails_on_swapped_channels_even_where_the_numbers_may_differ(folder):
    command = ["verify", folder / "good.pth", folder / "swapped.cfg", folder / "good.onnx", *OPTIONS]
    assert call(*command, "--tol", 10).exit_code == 0
    result = call(*command, "--tol", 10, "--retrieval", folder / "data", "--json", folder / "r.json")
    assert result.exit_code == 1
    swapped, good = json.loads((folder / "r.json").read_text())["retrieval"]["candidates"]
    assert (swapped["verdict"], good["verdict"]) == ("fail", "pass")
    assert abs(swapped["score_drift"]["mAP"]) > 0.01
    assert any("mAP moves by" in fault for fault in swapped["faults"])
    assert "mAP moves by" in result.output
    assert call(*command, "--tol", 10, "--retrieval", folder / "data", "--retrieval-tol", 1).exit_code == 0


def test_verify_gives_the_others_the_mirror_image_that_one_has_inside(folder):
    command = ["verify", folder / "good.pth", folder / "mirrored.onnx", *OPTIONS, "--rerank"]
    result = call(*command, "--retrieval", folder / "data", "--json", folder / "r.json")
    assert result.exit_code == 0, result.output
    found = json.loads((folder / "r.json").read_text())["retrieval"]
    assert found["flip"]
    assert found["reranked"]
    assert found["candidates"][0]["drift"]["distance"] < 1e-5


def test_verify_refuses_what_does_not_belong_together(folder, tmp_path):
    command = ["verify", folder / "good.prototxt", folder / "good.cfg"]
    result = call(*command, "--flip")
    assert (result.exit_code, "--flip belongs to --retrieval" in result.output) == (2, True)
    result = call(*command, "--retrieval", tmp_path / "no")
    assert (result.exit_code, "no" in result.output) == (2, True)
