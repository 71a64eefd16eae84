"""Batches of people: everyone in every epoch, the same whatever the number of processes."""

import numpy as np
import pytest

from mgn_reid.data.sampler import PeopleSampler, Plan

COUNTS = (5, 2, 9, 1, 4, 4, 3)
PEOPLE = [list(range(start, start + n)) for start, n in zip(np.cumsum((0, *COUNTS)), COUNTS, strict=False)]
OWNER = {picture: who for who, pictures in enumerate(PEOPLE) for picture in pictures}


def plan(**settings):
    return Plan(**{"people": PEOPLE, "identities": 3, "pictures": 4, **settings})


def owners(rows):
    """Who each row of each batch shows."""
    return [[{OWNER[p] for p in row.tolist()} for row in batch] for batch in rows]


@pytest.mark.parametrize("passes", [1, 2])
def test_every_pass_visits_everyone_and_fills_its_last_batch_with_others(passes):
    made = plan(passes=passes)
    rows = owners(made.epoch(0))
    assert len(rows) == made.batches == 3 * passes
    for start in range(0, len(rows), 3):
        people = [next(iter(row)) for batch in rows[start : start + 3] for row in batch]
        assert set(people) == set(range(7))
        assert len(set(people[:7])) == 7
    for batch in rows:
        assert all(len(row) == 1 for row in batch)
        assert len({next(iter(row)) for row in batch}) == 3


def test_an_incomplete_batch_can_be_dropped():
    made = plan(incomplete="drop")
    assert made.epoch(0).shape == (made.batches, 3, 4) == (2, 3, 4)


def test_pictures_repeat_only_where_a_person_has_too_few():
    for row in plan().epoch(0).reshape(-1, 4):
        pictures, counts = np.unique(row, return_counts=True)
        has = len(PEOPLE[OWNER[pictures[0]]])
        assert len(pictures) == min(4, has)
        assert counts.max() - counts.min() <= 1


def test_epochs_and_seeds_differ_and_repeat():
    made = plan(seed=5)
    np.testing.assert_array_equal(made.epoch(3), plan(seed=5).epoch(3))
    assert not np.array_equal(made.epoch(3), made.epoch(4))
    assert not np.array_equal(made.epoch(3), plan(seed=6).epoch(3))


def test_processes_split_each_batch_into_whole_people_without_overlap():
    made = plan(identities=6, pictures=2)
    whole = PeopleSampler(made)
    halves = [PeopleSampler(made, rank, 2) for rank in range(2)]
    for sampler in (whole, *halves):
        sampler.begin(2)
    for batch, one, other in zip(whole, *halves, strict=True):
        assert one + other == batch
        people = [{OWNER[draw.picture] for draw in half} for half in (one, other)]
        assert [len(p) for p in people] == [3, 3]
        assert not people[0] & people[1]


def test_an_epoch_can_be_entered_in_its_middle():
    sampler = PeopleSampler(plan(passes=2))
    sampler.begin(1)
    whole = list(sampler)
    sampler.begin(1, 4)
    assert len(sampler) == 2
    assert list(sampler) == whole[4:]
    positions = [draw.position for batch in whole for draw in batch]
    assert positions == list(range(len(whole) * 12))
    assert {draw.epoch for batch in whole for draw in batch} == {1}
