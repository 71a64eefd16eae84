"""PyTorch's random numbers: where they start, and where they are."""

from __future__ import annotations

from typing import Any

import torch


def seed(number: int, rank: int) -> None:
    """A start of its own for each process: their dropout, and what else networks draw, differs."""
    torch.manual_seed(number + rank)


def state(device: torch.device) -> dict[str, Any]:
    """Where this process is."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore(saved: dict[str, Any], device: torch.device) -> None:
    """Go on from `state`."""
    torch.set_rng_state(saved["torch"])
    if device.type == "cuda" and saved["cuda"] is not None:
        torch.cuda.set_rng_state(saved["cuda"], device)
