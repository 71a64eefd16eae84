"""TensorFlow on this machine."""

from __future__ import annotations

from importlib.util import find_spec

from mgn_convert.errors import MissingEngineError

ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
"""Of every process that has TensorFlow: quiet, and on the CPU."""

SAVED_MODEL = "saved_model.pb"
"""The main file of a SavedModel."""


def require_tensorflow(purpose: str) -> None:
    """Raises MissingEngineError when TensorFlow is not installed."""
    if find_spec("tensorflow") is None:
        raise MissingEngineError(
            "TensorFlow is not installed",
            because=f"{purpose} needs it; writing a frozen graph does not",
            remedy="pip install 'mgn-convert[tensorflow]', or --no-verify with a frozen graph",
        )
