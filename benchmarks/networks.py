"""Every network of the family in every format; writes the table of the README.

    python benchmarks/networks.py [--only NAME ...] [--readme README.md]

Weights are drawn by seed. Each network goes from PyTorch to Caffe to Darknet, from PyTorch to ONNX and to
TensorFlow, and is run on noise, patterns and pictures. Errors are max |a - b| / max(1, max |b|),
against the float64 run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

import mgn_convert
from mgn_convert.architecture import architecture
from mgn_convert.errors import MgnConvertError
from mgn_convert.formats import Source
from mgn_convert.parity.report import CandidateReport

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
PICTURES = ROOT / "examples" / "01-mgn-to-caffe-and-darknet" / "images"
BEGIN, END = "<!-- networks: begin -->", "<!-- networks: end -->"


@dataclass(frozen=True)
class Case:
    """One row: an architecture with options that its checkpoint would tell or its user give."""

    arch: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = " ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.arch} {options}".strip()


CASES = [
    Case("mgn", {"pool": "max", "activation": "relu"}),
    Case("mgn", {"pool": "avg", "activation": "prelu"}),
    Case("mgn-attention"),
    Case("fastreid-mgn", {"vintage": "0.1", "ibn": True}),
    Case("fastreid-mgn", {"vintage": "1.2", "ibn": True}),
    Case("fastreid-bagtricks", {"vintage": "1.2"}),
    Case("fastreid-bagtricks", {"vintage": "1.2", "ibn": True}),
    Case("fastreid-sbs", {"vintage": "1.2"}),
    Case("fastreid-sbs", {"vintage": "0.1", "ibn": True}),
    Case("mudeep", {"input_size": "384x192"}),
    Case("mudeep", {"input_size": "384x128"}),
    Case("lagnet"),
]


def make_checkpoint(case: Case, path: Path) -> None:
    """The network's seeded weights, in float32."""
    from seeded import seeded

    known = architecture(case.arch)
    defaults = {name: option.default for name, option in known.options.items()}
    with torch.device("meta"):
        network = known.build(**{**defaults, **case.options})
    state = seeded(network).state_dict()
    torch.save({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, path)


def measure(case: Case, folder: Path) -> list[str]:
    """The cells of a row behind the network's name."""
    checkpoint = folder / "net.pth"
    make_checkpoint(case, checkpoint)
    source = Source(checkpoint, architecture=case.arch, options={k: str(v) for k, v in case.options.items()})
    mgn_convert.convert(source, "caffe", folder, verify=False)
    mgn_convert.convert(folder / "net.prototxt", "darknet", folder, verify=False)
    mgn_convert.convert(source, "onnx", folder, verify=False)
    mgn_convert.convert(source, "tensorflow", folder, verify=False)
    files = [folder / f"net{suffix}" for suffix in (".prototxt", ".cfg", ".onnx", ".pb")]
    report = mgn_convert.verify(source, *files, images=PICTURES)
    caffe, darknet, onnx, tensorflow = report.candidates
    layers = (folder / "net.prototxt").read_text().count("\nlayer {")
    sections = (folder / "net.cfg").read_text().count("\n[") - 1
    return [
        f"{report.reference_own_error:.1e}",
        _cell(caffe, f"{layers} layers, {_megabytes(folder / 'net.caffemodel')}"),
        _cell(darknet, f"{sections} layers, {_megabytes(folder / 'net.weights')}"),
        _cell(onnx, ""),
        _cell(tensorflow, ""),
    ]


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"


def _cell(candidate: CandidateReport, size: str) -> str:
    verdict = "exact" if candidate.exact else ("pass" if candidate.passed else "FAIL")
    figures = f"{candidate.own_error:.1e}, 1 - {1 - candidate.cosine_min:.0e}"
    return ", ".join(filter(None, [figures, size, verdict]))


@click.command()
@click.option("--only", multiple=True, help="Part of a row's name; repeatable.")
@click.option(
    "--readme", type=click.Path(path_type=Path, exists=True), help="Write the table into this file."
)
def main(only: tuple[str, ...], readme: Path | None) -> None:
    """Print the table as Markdown."""
    lines = [
        "| network | PyTorch | Caffe: error, cosine, layers, size | Darknet: the same | ONNX | TensorFlow |",
        "|---|---|---|---|---|---|",
    ]
    for case in CASES:
        if only and not any(part in str(case) for part in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                cells = measure(case, Path(folder))
            except MgnConvertError as error:
                cells = [error.what.replace("|", "/"), "", "", "", ""]
        lines.append(f"| `{case}` | " + " | ".join(cells) + " |")
        Console(stderr=True, soft_wrap=True).print(lines[-1], markup=False)
    table = "\n".join(lines)
    print(table)
    if readme is not None:
        text = readme.read_text()
        head, _, rest = text.partition(BEGIN)
        _, _, tail = rest.partition(END)
        readme.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}")


if __name__ == "__main__":
    main()
