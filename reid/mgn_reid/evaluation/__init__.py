"""Scores of networks on data sets, in every form that a network has."""
