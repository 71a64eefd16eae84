from pathlib import Path

from dataset_layouts import market

from mgn_convert.datasets import Dataset, Picture, concerns, differences, read_dataset


def people(*rows):
    return tuple(Picture(Path(f"{i}.jpg"), identity, camera) for i, (identity, camera) in enumerate(rows))


def test_nothing_is_odd_about_a_sound_data_set():
    sound = Dataset("own", people((1, 1), (1, 2)), people((2, 1)), people((2, 2), (0, 1)))
    assert concerns(sound) == []
    assert differences(sound) == []


def test_people_with_one_picture_to_train_on_are_named():
    odd = Dataset("own", people((1, 1), (4, 2), (2, 1), (2, 1), (3, 1), (5, 1)), (), ())
    assert concerns(odd) == ["train has a single picture of 4 people: 1, 3, 4, ..."]


def test_queries_that_no_other_camera_answers_are_named():
    odd = Dataset("own", (), people((1, 1), (2, 1), (3, 1)), people((1, 1), (2, 1), (2, 3)))
    assert concerns(odd) == ["no other camera in the gallery saw the person of 2 queries: 0.jpg, 2.jpg"]


def test_people_both_learned_and_searched_for_are_named():
    odd = Dataset("own", people((7, 1), (7, 2)), people((7, 1)), people((7, 2)))
    assert concerns(odd) == ["1 people of train are searched for too: 7"]


def test_a_published_data_set_is_held_against_its_counts(tmp_path):
    told = differences(read_dataset(market(tmp_path / "Market-1501")))
    assert len(told) == 3
    assert told[0] == (
        "Market-1501: train has 2 people, 3 pictures, 3 cameras; "
        "published are 751 people, 12936 pictures, 6 cameras"
    )


def test_published_counts_themselves_are_no_difference():
    def part(count, identities, cameras):
        return people(*((1 + i % identities, 1 + i % cameras) for i in range(count)))

    gallery = (*part(13115, 750, 6), *people(*((0, 1) for _ in range(2798))))
    assert differences(Dataset("Market-1501", part(12936, 751, 6), part(3368, 750, 6), gallery)) == []
