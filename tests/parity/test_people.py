import numpy as np
import pytest
import torch
from small_networks import SmallMGN, calibrated
from small_people import make_people

from mgn_convert.datasets import Dataset, Picture, read_dataset
from mgn_convert.errors import FileFormatError, UsageError
from mgn_convert.parity.people import embed_people, score_pictures
from mgn_convert.parity.retrieval import Labels, Settings, score_embeddings
from mgn_convert.preprocess import Preprocessing

SIZE = Preprocessing(48, 16)


@pytest.fixture
def dataset(tmp_path):
    return read_dataset(make_people(tmp_path / "data", people=5, noise=20))


@pytest.fixture(scope="module")
def network():
    return calibrated(SmallMGN(), (3, 48, 16))


def live(network):
    """The network as a trainer passes it on."""

    def run(images):
        with torch.no_grad():
            return network(torch.from_numpy(images))[0].numpy()

    return run


def alone(network, pictures):
    """Embeddings of pictures one by one."""
    return np.concatenate([live(network)(SIZE.tensor(p.path)[None]) for p in pictures])


def test_scores_are_those_of_the_embeddings_of_each_part(dataset, network):
    found = score_pictures(live(network), SIZE, dataset, Settings(), batch=4)
    parts = [alone(network, part) for part in (dataset.query, dataset.gallery)]
    labels = [Labels.of(part) for part in (dataset.query, dataset.gallery)]
    expected = score_embeddings(*parts, *labels)
    assert found.to_json() == expected.to_json()
    assert found.queries == 15
    assert 0 < found.mean_ap <= 1


def test_each_picture_is_embedded_once_and_goes_to_its_part(dataset, network):
    counted, seen = [], []

    def run(images):
        counted.append(len(images))
        return live(network)(images)

    people = embed_people(run, SIZE, dataset, batch=7, advance=lambda *state: seen.append(state))
    assert sum(counted) == len(dataset.query) + len(dataset.gallery) == 30
    assert seen[-1] == (30, 30)
    np.testing.assert_allclose(people.query, alone(network, dataset.query), atol=1e-5)
    np.testing.assert_allclose(people.gallery, alone(network, dataset.gallery), atol=1e-5)
    assert people.pictures_per_second == pytest.approx(30 / people.seconds)


def test_pictures_that_cannot_be_read_leave_both_parts_in_step(dataset, network):
    for bad in (dataset.query[3], dataset.gallery[0], dataset.gallery[-1]):
        bad.path.write_bytes(b"no picture")
    with pytest.raises(FileFormatError, match=f"{dataset.query[3].path.name} is not a picture"):
        embed_people(live(network), SIZE, dataset)
    people = embed_people(live(network), SIZE, dataset, skip_bad=True)
    assert people.dataset.query == dataset.query[:3] + dataset.query[4:]
    assert people.dataset.gallery == dataset.gallery[1:-1]
    np.testing.assert_allclose(people.gallery, alone(network, dataset.gallery[1:-1]), atol=1e-5)


def test_an_evaluation_needs_both_parts(dataset, network):
    for part in ("query", "gallery"):
        empty = Dataset(**{**vars(dataset), part: ()})
        with pytest.raises(UsageError, match=f"has no {part} pictures"):
            score_pictures(live(network), SIZE, empty, Settings())
    for bad in dataset.query:
        bad.path.write_bytes(b"no picture")
    with pytest.raises(UsageError, match="has no query pictures"):
        score_pictures(live(network), SIZE, dataset, Settings(), skip_bad=True)


def test_junk_is_the_same_person_at_the_same_camera_and_nobody(dataset, network):
    gallery = (*dataset.gallery, Picture(dataset.gallery[0].path, -1, 2))
    people = embed_people(live(network), SIZE, Dataset("d", (), dataset.query, gallery))
    expected = [
        [(q.identity, q.camera) == (g.identity, g.camera) or g.identity == -1 for g in gallery]
        for q in dataset.query[4:9]
    ]
    assert people.junk(4, 5).tolist() == expected
    assert 0 < people.junk(0, 15).sum() < people.junk(0, 15).size
