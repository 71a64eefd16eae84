"""Carry trained PyTorch networks into Caffe and Darknet exactly, and prove it."""
