"""Data sets of people: which pictures they have, who is on them and which camera saw them."""

from mgn_convert.datasets.types import Dataset, Picture

__all__ = ("Dataset", "Picture")
