import json
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_features import plain_search
from small_networks import small_mgn
from small_people import make_people

import mgn_convert
from mgn_convert.formats import Source
from mgn_reid.cli import main
from mgn_reid.matching.faiss_index import FaissIndex
from mgn_reid.matching.features import Features

SMALL = dict(factory="small_networks:small_mgn", input_shape=(3, 48, 16), output="0")
OPTIONS = ["--factory", SMALL["factory"], "--input-shape", "3,48,16", "--output", "0"]


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network in two files, another network, people, and the features of these from each."""
    folder = tmp_path_factory.mktemp("rank")
    make_people(folder / "data", people=4, cameras=2)
    torch.save(small_mgn().state_dict(), folder / "small.pth")
    mgn_convert.convert(Source(folder / "small.pth", **SMALL), "onnx", folder, verify=False)
    other = Source(None, factory="small_people:colours", input_shape=(3, 24, 12))
    mgn_convert.convert(other, "onnx", folder, name="colours", verify=False)
    for name, part in (("query", "query"), ("gallery", "bounding_box_test")):
        for model, options in (("small", []), ("colours", []), ("flip", ["--flip"])):
            network = folder / f"{'small' if model == 'flip' else model}.onnx"
            made = call(
                "extract", network, folder / "data" / part, *options, "-o", folder / f"{model}-{name}.npz"
            )
            assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def rank(tmp_path):
    """Runs the command; gives its result and the ranking that it wrote."""

    def run(*arguments):
        target = tmp_path / "ranking.json"
        target.unlink(missing_ok=True)
        result = call("rank", *arguments, "--json", target)
        return result, json.loads(target.read_text()) if target.exists() else None

    return run


def names(ranking):
    return [[match["name"] for match in query["matches"]] for query in ranking["queries"]]


def expected_names(folder, k, other_cameras=False, model="small"):
    sides = [Features.load(folder / f"{model}-{name}.npz") for name in ("query", "gallery")]
    return [[name for name, _ in found] for found in plain_search(*sides, k, other_cameras)]


@pytest.mark.parametrize("excluded", [[], ["--exclude-same-camera"]])
@pytest.mark.parametrize("index", ["exact", "faiss", "faiss:hnsw", "faiss:ivf", "qdrant"])
def test_features_are_ranked_alike_by_every_index(folder, rank, tmp_path, index, excluded):
    chosen = f"qdrant:{tmp_path / 'database'}" if index == "qdrant" else index
    sides = [folder / "small-query.npz", "--gallery", folder / "small-gallery.npz"]
    result, made = rank(*sides, "--index", chosen, "-k", 5, *excluded)
    assert result.exit_code == 0, result.output
    assert names(made) == expected_names(folder, 5, bool(excluded))


def test_pictures_are_ranked_as_their_features_are(folder, rank):
    data = folder / "data"
    result, made = rank(
        data / "query", "--gallery", data / "bounding_box_test", "--model", folder / "small.onnx"
    )
    assert result.exit_code == 0, result.output
    assert names(made) == expected_names(folder, 10)
    assert [len(found) for found in names(made)] == [8] * 8


def test_what_is_shown_tells_hits_and_misses(folder, rank):
    result, made = rank(folder / "small-query.npz", "--gallery", folder / "small-gallery.npz", "-k", 3)
    lines = result.output.splitlines()
    for query in made["queries"]:
        start = lines.index(query["name"])
        for line, match in zip(lines[start + 1 :], query["matches"], strict=False):
            verdict = "hit" if match["hit"] else "miss"
            shown = [str(match["place"]), f"{match['distance']:.4f}", verdict, match["name"]]
            assert line.split() == shown
    firsts = [query["matches"][0]["hit"] for query in made["queries"]]
    assert lines[-1] == f"first places: {sum(firsts)} hits, {8 - sum(firsts)} misses"
    assert 0 < sum(firsts) < 8
    assert lines[0].startswith("cosine distance, 0 to 2")


def test_unlabelled_queries_are_neither_hits_nor_misses(folder, rank, tmp_path):
    picture = tmp_path / "visitor.png"
    Image.fromarray(np.full((20, 10, 3), 99, np.uint8)).save(picture)
    asked = [picture, "--gallery", folder / "small-gallery.npz", "--model", folder / "small.onnx"]
    result, made = rank(*asked, "-k", 2)
    assert result.exit_code == 0, result.output
    assert [match["hit"] for match in made["queries"][0]["matches"]] == [None, None]
    assert "hits" not in result.output
    assert "miss" not in result.output
    result, made = rank(*asked, "--exclude-same-camera")
    assert (result.exit_code, made) == (2, None)
    assert "no query's identity and camera are known" in result.output


def test_a_reranked_ranking_has_another_order_and_says_so(folder, rank):
    sides = [folder / "small-query.npz", "--gallery", folder / "small-gallery.npz", "-k", 4]
    result, made = rank(*sides, "--rerank")
    assert result.exit_code == 0, result.output
    assert made["distance"] == "re-ranked"
    assert result.output.startswith("re-ranked distance\n")
    assert names(made) != expected_names(folder, 4)


def test_a_saved_index_is_a_gallery(folder, rank, tmp_path):
    saved = tmp_path / "index"
    sides = [folder / "small-query.npz", "--gallery", folder / "small-gallery.npz"]
    _, first = rank(*sides, "--index", "faiss:hnsw", "--save-index", saved)
    result, again = rank(sides[0], "--gallery", saved)
    assert result.exit_code == 0, result.output
    assert again == first
    result, pictures = rank(folder / "data" / "query", "--gallery", saved, "--model", folder / "small.onnx")
    assert result.exit_code == 0, result.output
    assert names(pictures) == names(first)
    result, reranked = rank(sides[0], "--gallery", saved, "--rerank")
    assert result.exit_code == 0, result.output
    assert reranked == rank(*sides, "--rerank")[1]


def test_a_filled_database_is_a_gallery_but_is_not_reranked(folder, rank, tmp_path):
    place = f"qdrant:{tmp_path / 'database'}#people"
    _, first = rank(folder / "small-query.npz", "--gallery", folder / "small-gallery.npz", "--index", place)
    result, again = rank(folder / "small-query.npz", "--gallery", place)
    assert result.exit_code == 0, result.output
    assert names(again) == names(first) == expected_names(folder, 10)
    for options, what in (
        (["--rerank"], "a database cannot be re-ranked"),
        (["--index", "exact"], "the gallery is an index already"),
        (["--model", folder / "colours.onnx"], "different models"),
    ):
        result, made = rank(folder / "small-query.npz", "--gallery", place, *options)
        assert (result.exit_code, made) == (2, None)
        assert what in result.output
    assert rank(folder / "small-query.npz", "--gallery", place)[1] == again, "it was let go of each time"


def test_queries_get_mirror_images_when_the_gallery_has_them(folder, rank):
    given = ["--gallery", folder / "flip-gallery.npz", "--model", folder / "small.onnx", "-k", 8]
    result, made = rank(folder / "data" / "query", *given)
    assert result.exit_code == 0, result.output
    assert names(made) == expected_names(folder, 8, model="flip")
    given[1] = folder / "small-gallery.npz"
    result, made = rank(folder / "data" / "query", *given, "--flip")
    assert (result.exit_code, made) == (2, None)
    assert "has no mirror images' embeddings added" in result.output
    result, made = rank(folder / "flip-query.npz", *given[:2])
    assert (result.exit_code, made) == (2, None)
    assert "one side has the mirror images" in result.output


def test_another_model_is_refused_and_another_file_of_the_network_taken_on_demand(folder, rank):
    gallery = ["--gallery", folder / "small-gallery.npz", "--model", folder / "small.pth", *OPTIONS]
    result, made = rank(folder / "data" / "query", *gallery)
    assert (result.exit_code, made) == (2, None)
    assert "different models" in result.output
    assert "--other-model" in result.output
    result, made = rank(folder / "data" / "query", *gallery, "--other-model")
    assert result.exit_code == 0, result.output
    assert names(made) == expected_names(folder, 10)
    gallery = ["--gallery", folder / "colours-gallery.npz", "--other-model"]
    result, made = rank(folder / "small-query.npz", *gallery)
    assert (result.exit_code, made) == (2, None)
    assert "different lengths" in result.output


def test_no_database_is_filled_for_queries_that_cannot_be_compared(folder, rank, tmp_path):
    sides = [folder / "colours-query.npz", "--gallery", folder / "small-gallery.npz"]
    result, made = rank(*sides, "--index", f"qdrant:{tmp_path / 'database'}")
    assert (result.exit_code, made) == (2, None)
    assert "different models" in result.output
    assert not (tmp_path / "database").exists()


def test_a_sheet_shows_queries_and_matches(folder, rank, tmp_path):
    sides = [folder / "small-query.npz", "--gallery", folder / "small-gallery.npz", "-k", 3]
    result, _ = rank(*sides, "--sheet", tmp_path / "all.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "all.png") as sheet:
        assert sheet.height > 8 * 192
    result, _ = rank(*sides, "--sheet", tmp_path / "sheets")
    assert len(list((tmp_path / "sheets").iterdir())) == 8
    assert result.output.endswith("8 sheets\n")


BAD = {
    "no place": (["small-query.npz"], ["small-gallery.npz", "-k", 0], "0 is not in the range x>=1"),
    "pictures without a network": (["data/query"], ["small-gallery.npz"], "pictures need a network"),
    "a gallery that is lost": (["small-query.npz"], ["lost"], "there is no file"),
    "features that are lost": (["small-query.npz"], ["lost.npz"], "there is no features file"),
    "a lost model": (["data/query"], ["small-gallery.npz", "--model", "lost.onnx"], "there is no file"),
    "no picture": (["empty"], ["small-gallery.npz", "--model", "small.onnx"], "empty holds no pictures"),
    "two files": (
        ["small-query.npz", "flip-query.npz"],
        ["small-gallery.npz"],
        "a features file comes alone",
    ),
    "unknown index": (
        ["small-query.npz"],
        ["small-gallery.npz", "--index", "flat"],
        "there is no index 'flat'",
    ),
    "two choices": (
        ["small-query.npz"],
        ["small-gallery.npz", "--index", "faiss", "--rerank"],
        "--rerank takes no --index",
    ),
    "nothing to save": (
        ["small-query.npz"],
        ["small-gallery.npz", "--save-index", "made"],
        "only a FAISS index is saved",
    ),
    "a folder in use": (
        ["small-query.npz"],
        ["small-gallery.npz", "--index", "faiss", "--save-index", "data"],
        "holds something else",
    ),
    "no database": (["small-query.npz"], ["qdrant:lost"], "there is no Qdrant database"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message_and_its_exit_code(folder, rank, monkeypatch, case):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    queries, gallery, what = BAD[case]
    before = sorted(folder.rglob("*"))
    result, made = rank(*queries, "--gallery", *gallery)
    assert (result.exit_code, made) == (2, None), result.output
    assert what in result.output
    assert "Traceback" not in result.output
    assert sorted(folder.rglob("*")) == before


def test_damaged_features_and_indexes_are_format_errors(folder, rank, tmp_path):
    (tmp_path / "bad.npz").write_text("no features")
    FaissIndex(Features.load(folder / "small-gallery.npz")).save(tmp_path / "index")
    (tmp_path / "index" / "index.faiss").write_text("no index")
    for gallery in ("bad.npz", "index"):
        result, made = rank(folder / "small-query.npz", "--gallery", tmp_path / gallery)
        assert (result.exit_code, made) == (4, None), result.output


@pytest.mark.parametrize(("package", "index"), [("faiss", "faiss"), ("qdrant_client", "qdrant:new")])
def test_a_missing_package_is_named_with_the_extra(folder, rank, monkeypatch, package, index):
    monkeypatch.setitem(sys.modules, package, None)
    sides = [folder / "small-query.npz", "--gallery", folder / "small-gallery.npz"]
    result, made = rank(*sides, "--index", index)
    assert (result.exit_code, made) == (5, None), result.output
    assert "pip install 'mgn-convert[gallery]'" in result.output
    assert rank(*sides)[0].exit_code == 0
