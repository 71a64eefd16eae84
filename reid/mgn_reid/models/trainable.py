"""What training asks of a network beside its forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mgn_convert.errors import UsageError
from mgn_reid.models.outputs import TrainingOutputs


class Trainable(nn.Module):
    """A network that can be trained.

    input_size: (height, width) of the images that it was made for.
    ignored: prefix of a checkpoint's keys -> why such keys may be left over.
    """

    input_size: tuple[int, int]
    ignored: Mapping[str, str] = {}

    def training_outputs(self, images: Tensor) -> TrainingOutputs:
        """What losses take, of images (N, 3, H, W) of at least two pictures."""
        raise NotImplementedError

    def reset_for_training(self) -> None:
        """The random start of training, for a network that was just built."""
        raise NotImplementedError

    def imagenet_sources(self) -> Mapping[str, str]:
        """Module of this network -> module of torchvision's ResNet whose ImageNet weights it starts from."""
        raise NotImplementedError


def trainable(network: nn.Module) -> Trainable:
    """The network itself. Raises UsageError if it cannot be trained."""
    if not isinstance(network, Trainable):
        raise UsageError(
            f"{type(network).__name__} cannot be trained",
            because="it does not say what losses take from it",
            remedy="a network derived from mgn_reid.models.trainable.Trainable",
        )
    return network


@dataclass(frozen=True)
class Outline:
    """What a network gives to training, without data: names, widths, and which parameters take part.

    outputs: of two images, tensors on the device "meta".
    parameters: those that can be trained, as tensors on "meta" from which `outputs` were computed.
    """

    outputs: TrainingOutputs
    parameters: Mapping[str, Tensor]

    def idle(self, used: list[Tensor]) -> list[str]:
        """Names of the parameters that none of the tensors `used` depends on."""
        live = [tensor for tensor in used if tensor.requires_grad]
        if not live:
            return list(self.parameters)
        total = torch.stack([tensor.sum() for tensor in live]).sum()
        found = torch.autograd.grad(total, list(self.parameters.values()), allow_unused=True)
        return [name for name, grad in zip(self.parameters, found, strict=True) if grad is None]


def outline(network: Trainable) -> Outline:
    """What the network gives to training. Computes no number and changes nothing in it."""
    blanks: dict[str, Tensor] = {}
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        blank = torch.empty_like(tensor, device="meta")
        blanks[name] = blank.requires_grad_(tensor.requires_grad)
    images = torch.empty(2, 3, *network.input_size, device="meta")
    whole = {f"network.{name}": blank for name, blank in blanks.items()}
    outputs: Any = functional_call(_Outputs(network), whole, (images,))
    return Outline(outputs, {name: blank for name, blank in blanks.items() if blank.requires_grad})


class _Outputs(nn.Module):
    def __init__(self, network: Trainable) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> TrainingOutputs:
        return self.network.training_outputs(images)
