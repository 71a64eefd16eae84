"""Data sets of people: which pictures they have, who is on them and which camera saw them."""

from mgn_convert.datasets.checks import concerns, differences
from mgn_convert.datasets.names import identity_and_camera
from mgn_convert.datasets.reading import KINDS, read_dataset
from mgn_convert.datasets.types import Counts, Dataset, Picture

__all__ = (
    "KINDS",
    "Counts",
    "Dataset",
    "Picture",
    "concerns",
    "differences",
    "identity_and_camera",
    "read_dataset",
)
