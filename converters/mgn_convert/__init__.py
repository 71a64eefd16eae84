"""Carry trained PyTorch networks into Caffe, Darknet, ONNX and TensorFlow exactly, and prove it.

    mgn_convert.convert("mgn.pth", "caffe", "out", architecture="mgn")
    report = mgn_convert.verify("mgn.pth", "out/mgn.prototxt", architecture="mgn")
    outputs = mgn_convert.read("out/mgn.prototxt").run({"data": images})
    with mgn_convert.open_runner("out/mgn.prototxt") as net:
        embeddings = net.run(images)

Wherever a model is wanted, its path or a `Source` will do; keywords that are fields of `Source` describe it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgn_convert.formats import Runner, Source
    from mgn_convert.graph import Graph
    from mgn_convert.packaging import Wishes
    from mgn_convert.parity.report import Report
    from mgn_convert.parity.retrieval_check import RetrievalCheck
    from mgn_convert.pipeline import Conversion


def convert(
    model: Source | str | PathLike[str],
    to: str,
    folder: str | PathLike[str],
    *,
    name: str | None = None,
    dialect: str | None = None,
    fold_batch_norm: bool = False,
    verify: bool = True,
    tolerance: float = 1e-4,
    images: str | PathLike[str] | None = None,
    wishes: Wishes | None = None,
    progress: Callable[[str], None] = lambda text: None,
    **source: Any,
) -> Conversion:
    """Write `model` as the format `to` ("caffe", "onnx", ...) into `folder`, verified in its engine.

    name: stem of the files; the model's own by default. dialect: see `mgn-convert ops`.
    images: a folder of pictures to verify on, beside noise and patterns.
    wishes: names, order and processing, for formats that hold more than a network (onnx, tensorflow).
    Raises UnsupportedError listing every node that cannot be expressed, UnfaithfulError when the verification
    fails, MissingEngineError without an engine to verify with; then no file is left in `folder`.
    """
    from mgn_convert import pipeline

    return pipeline.convert(
        _source(model, source),
        to,
        Path(folder),
        name=name,
        dialect=dialect,
        fold_batch_norm=fold_batch_norm,
        verify=verify,
        tolerance=tolerance,
        images=None if images is None else Path(images),
        wishes=wishes,
        progress=progress,
    )


def verify(
    reference: Source | str | PathLike[str],
    *candidates: Source | str | PathLike[str],
    tolerance: float = 1e-4,
    images: str | PathLike[str] | None = None,
    layers: bool = False,
    exact: bool = False,
    seed: int = 0,
    retrieval: RetrievalCheck | None = None,
    progress: Callable[[str], None] = lambda text: None,
    **source: Any,
) -> Report:
    """Compare candidates with the reference, each in its real engine; `source` describes the reference.

    The error of an output is max|candidate - reference| / max(1, max|reference|), over noise, patterns and
    the pictures in `images`. layers: also every mapped layer, chained and isolated. exact: also demand an
    error against a float64 run of at most twice the reference engine's own, plus 1e-6. retrieval: also who is
    found in a data set.
    """
    from mgn_convert.parity.verify import verify_sources

    return verify_sources(
        _source(reference, source),
        [_source(candidate, {}) for candidate in candidates],
        tolerance=tolerance,
        images=None if images is None else Path(images),
        layers=layers,
        exact=exact,
        seed=seed,
        retrieval=retrieval,
        progress=progress,
    )


def read(model: Source | str | PathLike[str], **source: Any) -> Graph:
    """The neutral graph of any readable model. `graph.run` computes it in float64."""
    from mgn_convert.errors import UsageError
    from mgn_convert.formats import format_of

    described = _source(model, source)
    kind = format_of(described)
    if kind.read is None:
        raise UsageError(f"{described} cannot be read", because=f"{kind.name} has no reader")
    return kind.read(described)


def open_runner(model: Source | str | PathLike[str], **source: Any) -> Runner:
    """The model in its real engine; a context manager with `run(images) -> {output: array}`."""
    from mgn_convert.errors import UsageError
    from mgn_convert.formats import format_of

    described = _source(model, source)
    kind = format_of(described)
    if kind.open_runner is None:
        raise UsageError(f"{described} cannot be run", because=f"no engine runs {kind.name}")
    return kind.open_runner(described)


def _source(model: Source | str | PathLike[str], fields: dict[str, Any]) -> Source:
    from dataclasses import replace

    from mgn_convert.formats import Source, main_file

    if isinstance(model, Source):
        return replace(model, **fields)
    if fields.get("weights") is not None:
        fields = {**fields, "weights": Path(fields["weights"])}
    return Source(main_file(Path(model)), **fields)


__all__: Sequence[str] = ("convert", "open_runner", "read", "verify")
