"""Message classes of schemas/caffe.proto."""

from __future__ import annotations

from typing import Any

from mgn_convert.protobuf.schema import message_class

SCHEMA = "caffe.proto"


def net_parameter() -> Any:
    """A new, empty NetParameter."""
    return message_class(SCHEMA, "caffe.NetParameter")()


def layer_parameter() -> Any:
    """A new, empty LayerParameter."""
    return message_class(SCHEMA, "caffe.LayerParameter")()
