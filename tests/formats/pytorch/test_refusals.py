"""What a network may not do, and the message that says so."""

import warnings

import pytest
import torch
from small_networks import SmallMGN, three_troubles
from torch import nn

from mgn_convert.errors import UnsupportedError
from mgn_convert.formats.pytorch.capture import capture


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_all_troubles_are_listed():
    with pytest.raises(UnsupportedError) as caught:
        capture(three_troubles(), (3, 8, 8))
    parts = str(caught.value).split("\n\n")
    assert parts[0] == "6 calls of network cannot be read"
    names = [part.split()[0] for part in parts[1:]]
    assert names[:4] == [
        "aten.grid_sampler.default",
        "aten.cumsum.default",
        "aten.erfinv.default",
        "aten.fft_rfft.default",
    ]
    line = type(three_troubles()).forward.__code__.co_firstlineno + 2
    assert parts[2] == (
        "aten.cumsum.default cannot be read\n"
        f"  at       cumsum (small_networks.py:{line})\n"
        "  because  there is no rule for it\n"
        "  got      Nx3x4x4 -> Nx3x4x4\n"
        '  try      a network without it, or add a rule: CONTRIBUTING.md, "Add an op"'
    )


def test_a_path_that_depends_on_pixels():
    class Branch(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x.relu()
            return x

    with pytest.raises(UnsupportedError) as caught:
        capture(Branch(), (3, 8, 8))
    text = str(caught.value)
    line = Branch.forward.__code__.co_firstlineno + 1
    assert text.startswith("the network Branch cannot be captured\n")
    assert f"  at       test_refusals.py:{line}\n" in text
    assert (
        "  try      a forward whose path does not depend on the pixels: torch.where, or two networks" in text
    )


def test_an_input_that_does_not_fit():
    with pytest.raises(UnsupportedError) as caught:
        capture(SmallMGN(), (4, 48, 16))
    text = str(caught.value)
    assert "  at       small_networks.py:" in text
    assert "  got      input Nx4x48x16\n  try      the --input-shape that the network takes" in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused():
    with pytest.raises(UnsupportedError, match="a TorchScript network cannot be captured"):
        capture(torch.jit.script(nn.ReLU()), (3, 8, 8))


def test_writing_to_a_buffer_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += 1
            return x.relu()

    with pytest.raises(
        UnsupportedError, match="the network writes to its own state in forward\n  at       seen"
    ):
        capture(Counting(), (3, 8, 8))


def test_half_precision_programs_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(SmallMGN().half().eval(), (torch.zeros(2, 3, 48, 16).half(),))
    with pytest.raises(UnsupportedError) as caught:
        capture(exported)
    assert str(caught.value) == (
        "a network takes images in float32\n  got      float16\n  try      export the network after .float()"
    )


def _autocast(x):
    with torch.autocast("cpu", torch.bfloat16):
        return x @ x.mT


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_autocast, "cannot be read"),
        (lambda x: x.roll(3), "because  it rolls all axes as one"),
        (
            lambda x: torch.einsum("nchw,nchw->nc", x, x)[:, None].cumsum(2),
            "aten.cumsum.default cannot be read",
        ),
        (lambda x: torch.einsum("nchw->nhw", x), "because  it is no product of two matrices"),
        (
            lambda x: torch.einsum("nchw,nkhw->ncw", x, x),
            "because  it sums over an axis of one operand alone",
        ),
        (lambda x: torch.cat((x, x), 0), "because  it puts images behind each other"),
        (torch.fft.rfft, "aten.fft_rfft.default cannot be read"),
        (lambda x: x[{"image": 0}], "the network Returns cannot be captured"),
        (
            lambda x: x + torch.randn(8),
            "aten.randn.default cannot be read\n  at       randn\n  because  its result is",
        ),
        (lambda x: torch.nn.functional.dropout(x, training=True), "because  its result is random"),
        (lambda x: torch.zeros(3), "the output '' does not depend on the images"),
    ],
)
def test_other_refusals(make, message):
    with pytest.raises(UnsupportedError) as caught:
        capture(Returns(make), (3, 8, 8))
    assert str(caught.value).startswith(message) or message in str(caught.value)


def _written_view(x):
    y = x * 2.0
    y[:, 1:3].mul_(3.0)
    return y


def test_writing_into_a_part_is_refused(refused):
    assert "slice_scatter" in refused(Returns(_written_view))


def test_a_network_with_two_inputs_is_refused():
    class Two(nn.Module):
        def forward(self, x, camera):
            return x + camera

    with pytest.raises(UnsupportedError) as caught:
        capture(Two(), (3, 8, 8))
    assert str(caught.value) == (
        "the network Two cannot be captured\n"
        "  because  missing a required argument: 'camera'\n"
        "  got      input Nx3x8x8\n"
        "  try      the --input-shape that the network takes, or a change to the line above"
    )


@pytest.mark.parametrize(
    "network",
    [nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), Returns(lambda x: x.relu() if x.sum() > 0 else x)],
)
def test_the_exporter_does_not_chatter(capfd, network):
    with pytest.raises(UnsupportedError, match="cannot be captured"):
        capture(network, (3, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_a_call_that_pytorch_takes_apart_is_named_as_it_was_written(refused):
    message = refused(nn.Sequential(nn.Softshrink(0.3)))
    assert message.startswith("aten.softshrink.default cannot be read\n  at       0")
    assert "because  of aten.gt.Scalar, which it is made of: there is no rule for it" in message
