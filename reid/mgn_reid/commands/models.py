"""mgn-reid models."""

from __future__ import annotations

import click
from rich.console import Console

from mgn_convert.architecture import architectures


@click.command("models")
def command() -> None:
    """List the networks: what each takes, how its input is made, what its embedding holds, its options."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for name, network in architectures().items():
        made = network.preprocessing
        console.print(f"{name}: {network.summary}")
        console.print(
            f"  input      {'x'.join(map(str, network.input_shape))}, {made.color}, {made.resize} resize"
        )
        console.print(f"  pixels     (value * {made.scale:.6g} - {list(made.mean)}) / {list(made.std)}")
        console.print(f"  embedding  {network.embedding}")
        for order, parts in network.clients.orders.items():
            console.print(f"  order      {order}: parts {', '.join(map(str, parts))}")
        for key, option in network.options.items():
            choices = "|".join(map(str, option.choices)) or type(option.default).__name__
            console.print(f"  option     {key}={choices} (default {option.default}): {option.help}")
