"""names.py: tensors are called by their modules, and know their lines."""

from torch import nn
from torch.nn import functional as F  # noqa: N812

from mgn_convert.formats.pytorch.capture import capture


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.norm(self.conv(x)))
        out += x
        return self.relu(out)


class Squash(nn.Module):
    def forward(self, x):
        return x.sigmoid().mul(2)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())
        self.squash = Squash()

    def forward(self, x):
        x = self.blocks(x)
        return F.relu(self.squash(x)) + self.squash(x)


def test_names_origins_and_lines():
    captured = capture(Network(), (4, 7, 5))
    lines = {node.name: (node.op, node.origin.module, node.origin.source) for node in captured.graph}
    first = Block.forward.__code__.co_firstlineno
    block = [
        ("conv", "conv", first + 1),
        ("norm", "batch_norm", first + 1),
        ("relu", "relu", first + 1),
        ("add", "add", first + 2),
        ("relu_1", "relu", first + 3),
    ]
    wanted = {
        f"blocks.{i}.{name}": (
            op,
            f"blocks.{i}.{name}".replace(".add", "").replace("_1", ""),
            f"test_names.py:{line}",
        )
        for i in (0, 1)
        for name, op, line in block
    }
    squash = f"test_names.py:{Squash.forward.__code__.co_firstlineno + 1}"
    last = f"test_names.py:{Network.forward.__code__.co_firstlineno + 2}"
    wanted |= {
        "squash.sigmoid": ("sigmoid", "squash", squash),
        "squash": ("power", "squash", squash),
        "relu": ("relu", "", last),
        "squash.sigmoid_1": ("sigmoid", "squash", squash),
        "squash_1": ("power", "squash", squash),
        "add": ("add", "", last),
    }
    assert lines == wanted
    assert list(captured.nodes) == list(lines)
    assert all(node.origin.tensor == node.name for node in captured.graph)


def test_what_is_computed_on_the_way_has_no_tensor():
    graph = capture(nn.Sequential(nn.Hardswish(), nn.ReLU()), (4, 7, 5)).graph
    assert [(node.name, node.origin.tensor) for node in graph] == [
        ("0.power", ""),
        ("0.clip", ""),
        ("0", "0"),
        ("1", "1"),
    ]
    assert {node.origin.module for node in graph} == {"0", "1"}
