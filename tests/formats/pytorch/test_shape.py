"""rules/shape.py"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def shuffle(x):
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def halves(x):
    part = int(x.size(2) // 2)
    return [x[:, :, i * part : (i + 1) * part].mean(dim=(2, 3)) for i in range(2)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(-1, 6 * 8 * 5),
        lambda x: x.flatten(1),
        lambda x: x.flatten(2).unflatten(2, (4, 10)),
        lambda x: x.mean(dim=(2, 3), keepdim=True).squeeze(3).squeeze(2),
        lambda x: x.mean(dim=(2, 3), keepdim=True).squeeze((2, 3)),
        lambda x: x.mean(dim=(2, 3)).unsqueeze(2),
        lambda x: x[:, :, 2:3, :],
        lambda x: x[:, :, -3:],
        lambda x: x[..., :-2],
        lambda x: x[:, 1:5, 2:, 1:3],
        lambda x: x[:, :, -1],
        lambda x: x[:, 3],
        lambda x: x.select(-1, 0),
        lambda x: x.narrow(2, 1, 4),
        lambda x: x.narrow(2, -3, 2),
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x.transpose(-1, 1),
        lambda x: x.flatten(2).mT,
        lambda x: torch.cat([x, x.relu(), x[:, :2]], dim=1),
        lambda x: torch.stack([x, x.relu()], dim=2),
        lambda x: torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1),
        lambda x: torch.cat(x.chunk(3, dim=1)[::-1], dim=1),
        lambda x: torch.cat(torch.split(x, 4, dim=2)[::-1], dim=2),
        lambda x: torch.cat(torch.split(x, [1, 2, 5], dim=2)[::-1], dim=2),
        lambda x: sum(x.unbind(dim=3)),
        lambda x: x * x.mean(dim=(2, 3), keepdim=True).expand_as(x),
        lambda x: x.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 4, 3).relu(),
        lambda x: x.mean((2, 3), True).expand(-1, -1, 4, 3) + x.amax((2, 3), True).expand(-1, -1, 4, 3),
        lambda x: F.pad(x, (1, 0, 2, 1)),
        lambda x: F.dropout(x, 0.5, training=False) * 2,
        lambda x: x.clone().detach().contiguous() + 0.5,
        lambda x: x.to(x.dtype).relu(),
        lambda x: x.view(x.size(0) * 2, 3, 8, 5).relu().view(x.size(0), 6, 8, 5),
        lambda x: (
            x.permute(2, 0, 1, 3).reshape(8, x.size(0) * 6, 5).relu().view(8, -1, 6, 5).permute(1, 2, 0, 3)
        ),
        shuffle,
        nn.ChannelShuffle(3),
        nn.Sequential(nn.ReLU(), nn.ChannelShuffle(2)),
        nn.Sequential(nn.Conv2d(6, 8, 1), nn.PixelShuffle(2)),
        nn.Sequential(nn.Conv2d(6, 9, 1), nn.PixelShuffle(3)),
        lambda x: F.pixel_unshuffle(x[..., :4], 2),
        halves,
    ],
)
def test_shape(agrees, function):
    agrees(function)


def test_a_bare_squeeze_keeps_the_batch():
    """PyTorch drops the batch axis at batch 1; the graph does not."""
    from mgn_convert.formats.pytorch.capture import capture

    captured = capture(nn.Sequential(nn.AdaptiveAvgPool2d(1), Squeeze()), (6, 8, 5))
    assert captured.graph.value(captured.graph.outputs[0]).shape == (1, 6)
    assert captured.graph.node("1").attrs["shape"] == (0, 6)


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Squeeze(nn.Module):
    def forward(self, x):
        return x.squeeze()


def test_a_constant_of_the_batch_size_fixes_batch_1():
    from mgn_convert.formats.pytorch.capture import capture

    network = Apply(lambda x: torch.cat([x, torch.ones(x.size(0), 1, 8, 5)], dim=1))
    captured = capture(network, (6, 8, 5))
    assert not captured.any_batch
    assert captured.graph.value(captured.graph.outputs[0]).shape == (1, 7, 8, 5)


def test_in_place_operations_on_views(agrees):
    def function(x):
        y = x * 1.0
        y.add_(1).relu_()
        z = y.view(y.size(0), -1)
        z.mul_(2)
        return y + z.view_as(y)

    agrees(function)


def test_copies_leave_no_nodes(agrees):
    graph = agrees(nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Identity(), nn.Flatten(0, 0))).graph
    assert [node.name for node in graph] == ["0"]


def test_one_image_of_the_batch_is_refused(refused):
    assert "it mixes or picks the images of a batch" in refused(lambda x: x[0])


def test_setting_items_is_refused(refused):
    def function(x):
        y = x.clone()
        y[:, 0] = 0
        return y

    assert "cannot be read" in refused(function)


def test_an_output_without_batch_axis_is_refused(refused):
    message = refused(lambda x: x.flatten().relu())
    assert message.splitlines()[0] == "the output '' has no batch axis"
    assert "  got      shape [240] for one image" in message


@pytest.mark.parametrize("repeat", [lambda t, n: t.expand(n, -1, -1), lambda t, n: t.repeat(n, 1, 1)])
def test_a_token_for_each_image(agrees, repeat):
    """A parameter in front of the values of every image, at any batch."""
    captured = agrees(
        lambda x, token: torch.cat((repeat(token, x.shape[0]), x), 1), (7, 5), token=torch.ones(1, 2, 5)
    )
    assert captured.any_batch


def test_a_long_token_beside_a_short_value(agrees):
    agrees(lambda x, t: torch.cat((x[:, :1], t.expand(x.shape[0], -1, -1)), 1), (7, 5), t=torch.ones(1, 3, 5))


def test_repeating_along_axes_of_one(agrees):
    agrees(lambda x: x.mean(3, keepdim=True).repeat(1, 1, 1, 5) + x)
    agrees(lambda x: x.mean((2, 3), keepdim=True).repeat(1, 1, 8, 5).relu())


def test_repeating_longer_axes_is_refused(refused):
    assert "it repeats axes that are longer than one" in refused(lambda x: x.repeat(1, 2, 1, 1))


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (1, 0, 2, 3)])
def test_parts_of_a_permutation_keep_the_images_on_axis_0(agrees, order):
    """As queries, keys and values are taken apart."""
    captured = agrees(lambda x: sum(part * i for i, part in enumerate(x.permute(order).unbind(0), 1)))
    assert captured.any_batch
    assert all(node.shape[0] == 1 for node in captured.graph)
