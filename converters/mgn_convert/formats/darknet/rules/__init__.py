"""One file per family of layers: how each is read from a section, and how each op is written as one."""
