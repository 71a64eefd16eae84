"""Synthetic pedestrians: data for tests, examples and measurements where no licensed data is at hand."""

from mgn_reid.synthesis.dataset import make_dataset

__all__ = ("make_dataset",)
