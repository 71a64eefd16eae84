"""One file per family of layers: how each is read into ops, and how ops are written as layers."""
