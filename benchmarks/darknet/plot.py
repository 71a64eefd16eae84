"""The same figures as ratios to onnxruntime, in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from report import BASE, BOUNDS, Measured, ratio, title

COLOURS = ("tab:blue", "tab:orange")


def draw(found: Sequence[Measured], engines: Sequence[str], cores: int, file: Path) -> None:
    """A panel per figure, a row per engine. Colour tells the network, a hollow mark the larger batch."""
    names = {
        "cpu": "CPU time, 1 thread",
        "wall": f"wall time, {cores} threads",
        "peak": "memory",
        "load_cpu": "load, CPU time",
    }
    figure, panels = plt.subplots(
        1, len(BOUNDS), figsize=(15, 0.45 * len(engines) + 2), sharex=True, sharey=True
    )
    for panel, (_, key, bound) in zip(panels, BOUNDS, strict=True):
        _panel(panel, found, engines, key, cores if key == "wall" else 1)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.axvline(bound, color="tab:green", linewidth=0.8, linestyle="--")
        panel.set_title(names[key], fontsize=10)
    panels[0].set_yticks(range(len(engines)), [title(engine) for engine in engines])
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.suptitle(f"Ratio to {BASE} (less is better); dashed: the bound for ours, batch 1", fontsize=11)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(file, dpi=100)


def _panel(panel: Axes, found: Sequence[Measured], engines: Sequence[str], key: str, threads: int) -> None:
    for colour, measured in zip(COLOURS, found, strict=False):
        batches = sorted({batch for batch, _ in measured.runs})
        for batch in batches[:1] if key == "load_cpu" else batches:
            ratios = [ratio(measured, engine, batch, threads, key) for engine in engines]
            panel.plot(
                [value for value in ratios if value is not None],
                [row for row, value in enumerate(ratios) if value is not None],
                linestyle="none",
                marker="o",
                markeredgecolor=colour,
                markerfacecolor=colour if batch == batches[0] else "none",
                label=f"{measured.network['architecture']}, batch {batch}",
            )
    panel.set_xscale("log")
    panel.set_xticks([0.25, 0.5, 1, 2, 4, 8])
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(axis="x", which="both", alpha=0.3)
