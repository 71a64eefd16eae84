"""Constants shaped like a value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgn_convert.formats.pytorch.rules.spec import Context, rule
from mgn_convert.graph import Value


def _filled(c: Context, number: float) -> Tensor:
    shape = (1, *c.out_shape[1:]) if c.out_shape[:1] == (c.batch,) else c.out_shape
    return torch.full(shape, float(number))


@rule("aten.full_like.default", "aten.new_full.default")
def full_like(c: Context, x: Value, *given: Any, **kwargs: Any) -> Tensor:
    return _filled(c, given[-1])


@rule("aten.zeros_like.default", "aten.new_zeros.default")
def zeros_like(c: Context, x: Value, *given: Any, **kwargs: Any) -> Tensor:
    return _filled(c, 0)


@rule("aten.ones_like.default", "aten.new_ones.default")
def ones_like(c: Context, x: Value, *given: Any, **kwargs: Any) -> Tensor:
    return _filled(c, 1)
