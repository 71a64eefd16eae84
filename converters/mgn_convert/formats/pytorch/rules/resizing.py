"""Maps of another size, between the cells of the old one; those that copy cells are in picking.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value


@rule("aten.upsample_bilinear2d.vec", "aten.upsample_bilinear2d.default")
def upsample_bilinear(c: Context, x: Value, output: Any, align_corners: bool, *scales: Any) -> Value:
    """A product with a matrix along each axis: rows of weights, two of which are not zero."""
    by_width = c.step("linear", x, weight=_weights(c, x, 3, align_corners, scales))
    turned = c.step("permute", by_width, order=(0, 1, 3, 2))
    by_height = c.step("linear", turned, weight=_weights(c, x, 2, align_corners, scales))
    return c.add("permute", by_height, order=(0, 1, 3, 2))


def _weights(c: Context, x: Value, axis: int, align_corners: bool, scales: Any) -> Tensor:
    """(new, old): what PyTorch makes of each unit vector."""
    units = torch.eye(x.shape[axis], dtype=torch.float64)[None, :, None]
    given = scales[0] if len(scales) == 1 else scales or None
    scale = (1.0, given[axis - 2]) if given is not None and None not in given else None
    found = torch.ops.aten.upsample_bilinear2d.default(
        units, [1, c.out_shape[axis]], align_corners, *(scale or (None, None))
    )
    return found[0, :, 0].T.contiguous()
