import pytest
from dataset_layouts import MARKET, market, touch

from mgn_convert.datasets import Picture, identity_and_camera, read_dataset
from mgn_convert.errors import FileFormatError, UsageError


def test_identity_and_camera_are_in_the_names(tmp_path):
    people = read_dataset(market(tmp_path / "people"))
    train = tmp_path / "people" / "bounding_box_train"
    names = MARKET["bounding_box_train"]
    assert people.train == (
        Picture(train / names[0], 2, 1),
        Picture(train / names[1], 2, 3),
        Picture(train / names[2], 7, 2),
    )
    assert [(p.identity, p.camera) for p in people.query] == [(1, 1)]


def test_junk_is_left_out_and_distractors_stay(tmp_path):
    gallery = read_dataset(market(tmp_path)).gallery
    assert [(p.identity, p.camera) for p in gallery] == [(0, 4), (1, 2), (1, 6)]


def test_distractors_are_no_person_in_the_counts(tmp_path):
    counts = read_dataset(market(tmp_path)).counts()["gallery"]
    assert (counts.people, counts.pictures, counts.cameras) == (1, 3, 3)


def test_counts_are_printed_a_line_per_part(tmp_path):
    assert read_dataset(market(tmp_path)).counted() == [
        "train    2 people, 3 pictures, 3 cameras",
        "query    1 people, 1 pictures, 1 cameras",
        "gallery  1 people, 3 pictures, 3 cameras",
    ]


def test_a_folder_per_person_is_walked_and_strange_files_are_not_pictures(tmp_path):
    market(tmp_path)
    touch(
        tmp_path / "bounding_box_train",
        ["0011/0011_c10_05.jpg", "Thumbs.db", "._0002_c1s1_000451_03.jpg", ".x/a.jpg"],
    )
    train = read_dataset(tmp_path).train
    assert len(train) == 4
    assert Picture(tmp_path / "bounding_box_train/0011/0011_c10_05.jpg", 11, 10) in train


def test_dukemtmc_is_known_by_its_names(tmp_path):
    folder = tmp_path / "DukeMTMC-reID"
    touch(folder / "bounding_box_train", ["0001_c2_f0046182.jpg"])
    touch(folder / "query", ["0005_c8_f0000001.jpg"])
    touch(folder / "bounding_box_test", ["0005_c3_f0000001.jpg"])
    people = read_dataset(folder)
    assert people.name == "DukeMTMC-reID"
    assert [(p.identity, p.camera) for p in (*people.train, *people.query)] == [(1, 2), (5, 8)]


def test_the_name_is_the_published_one_only_where_something_says_so(tmp_path):
    folder = market(tmp_path / "synthetic")
    assert read_dataset(folder).name == "synthetic"
    assert read_dataset(folder, "market1501").name == "Market-1501"
    assert read_dataset(market(tmp_path / "Market-1501-v15.09.15")).name == "Market-1501"


def test_missing_folders_are_named(tmp_path):
    touch(tmp_path / "bounding_box_train", MARKET["bounding_box_train"])
    with pytest.raises(UsageError, match="it lacks query, bounding_box_test"):
        read_dataset(tmp_path)


def test_names_that_do_not_parse_are_counted_and_shown(tmp_path):
    market(tmp_path)
    touch(tmp_path / "query", ["one.jpg", "three.jpg", "two.jpg", "zwei.jpg"])
    with pytest.raises(FileFormatError) as caught:
        read_dataset(tmp_path)
    message = str(caught.value)
    assert message.startswith("4 names that tell no identity")
    assert "IDENTITY_cCAMERA" in message
    assert f"{tmp_path / 'query' / 'one.jpg'}, " in message
    assert "zwei" not in message


def test_an_empty_query_set_is_refused(tmp_path):
    market(tmp_path)
    (tmp_path / "query" / MARKET["query"][0]).unlink()
    with pytest.raises(UsageError, match="query holds no pictures"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("0002_c1s1_000451_03.jpg", (2, 1)),
        ("-1_c6s1_0.jpg", (-1, 6)),
        ("0001_c2_f0046182.jpg", (1, 2)),
        ("c2_0001.jpg", None),
        ("x0001_c2.jpg", None),
    ],
)
def test_one_name_alone(name, told):
    assert identity_and_camera(name) == told
