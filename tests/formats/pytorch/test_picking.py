"""rules/picking.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[..., ::2],
        lambda x: x[:, :, 1::3],
        lambda x: x[:, 1:6:2],
        lambda x: x[:, :, :, 2::9],
        lambda x: x.flatten(2)[:, :, 3:30:4],
        lambda x: x.mean((2, 3))[:, ::2],
        lambda x: torch.cat([x[..., ::2, :4:2], x[..., 1::2, 1:4:2]], 1),
        lambda x: x.flip(3),
        lambda x: x.flip(1),
        lambda x: x.flip(2, 3).relu(),
        lambda x: x.flatten(2).flip(1),
        lambda x: x.flip([]),
        lambda x: x.roll(2, 3),
        lambda x: x.roll((-1, 3), (1, 2)),
        lambda x: x.roll((1, 2), (2, 2)),
        lambda x: F.pad(x, (1, 2, 3, 0), "reflect"),
        lambda x: F.pad(x.flatten(2), (2, 1), "replicate"),
        lambda x: F.pad(x, (0, 2, 1, 3), "replicate"),
        lambda x: F.pad(x, (-1, 2, 1, -2), "circular"),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d((1, 0, 2, 1)),
        nn.Conv2d(6, 4, 3, padding=(2, 1), padding_mode="reflect"),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="replicate"),
    ],
)
def test_picking(agrees, function):
    agrees(function)


def test_picking_by_a_list(agrees):
    places = torch.tensor([1, 1, 7, 0, 2, 3])
    agrees(lambda x, places: x.index_select(2, places), places=places)
    agrees(lambda x, places: x.flatten(2).index_select(2, places), places=places)


def test_every_second_row_and_column_needs_no_product(agrees):
    graph = agrees(lambda x: x[..., ::2, 1::2]).graph
    assert {node.op for node in graph} == {"slice", "max_pool"}


def test_places_that_depend_on_the_image_are_refused(refused):
    message = refused(lambda x: x.index_select(2, x[0, 0, 0].long().clamp(0, 3)))
    assert "cannot be read" in message


def test_images_are_not_turned_over(refused):
    assert "it mixes or picks the images of a batch" in refused(lambda x: x.flip(0))
