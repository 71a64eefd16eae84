"""A data set of a few small people, and configurations that train on it in a second."""

import pytest

from mgn_reid.synthesis import make_dataset
from mgn_reid.training.config import load_config

SMALL = """
network:
  name: mgn
  options: {pool: avg, depth: 18, width: 8, features: 8}
data:
  size: 96x32
  identities: 2
  pictures: 2
  workers: 0
  augmentation: {flip: 0.5, pad: 4}
losses:
  - {kind: cross-entropy}
  - {kind: triplet, on: [g1, g2, g3], margin: 1.2, weight: 2.0}
optimiser: {kind: amsgrad, rate: 1e-3, weight_decay: 5e-4}
epochs: 2
evaluation: {every: 1, flip: false}
device: cpu
"""
"""Epochs of three batches."""


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """The folder of a data set: five people to train on with four pictures each, two to score with."""
    folder = tmp_path_factory.mktemp("people") / "set"
    make_dataset(folder, identities=5, test_identities=2, cameras=2, pictures=2, distractors=2, size=(96, 32))
    return folder


@pytest.fixture(scope="session")
def small_file(people, tmp_path_factory):
    """A configuration that trains on `people`."""
    path = tmp_path_factory.mktemp("configurations") / "small.yaml"
    path.write_text(SMALL.replace("data:\n", f"data:\n  folder: {people}\n"))
    return path


@pytest.fixture(scope="session")
def small(small_file):
    """Makes configurations: small("seed=1")."""
    return lambda *overrides: load_config(small_file, overrides)
