"""libdarknet.so as ctypes sees it: structures, signatures, and C status codes as exceptions."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_size_t, c_ssize_t, c_ubyte, c_void_p
from functools import cache
from pathlib import Path

from mgn_convert.errors import (
    FileFormatError,
    MgnConvertError,
    MissingEngineError,
    UnsupportedError,
    UsageError,
)
from mgn_convert.formats.darknet import build

ERRORS: dict[int, type[MgnConvertError]] = {
    1: FileFormatError,  # DK_BAD_CFG
    2: FileFormatError,  # DK_BAD_WEIGHTS
    3: FileFormatError,  # DK_UNREADABLE
    4: MgnConvertError,  # DK_NO_MEMORY
    5: UsageError,  # DK_BAD_CALL
    6: UnsupportedError,  # DK_UNSUPPORTED
}


class Shape(ctypes.Structure):
    """dk_shape of dk.h."""

    _fields_ = (("c", c_int), ("h", c_int), ("w", c_int))


class Options(ctypes.Structure):
    """dk_options of dk.h."""

    _fields_ = (
        ("batch", c_int),
        ("threads", c_int),
        ("plain", c_int),
        ("keep_layers", c_int),
        ("no_amx", c_int),
    )


class Image(ctypes.Structure):
    """dk_image of dk.h."""

    _fields_ = (
        ("data", POINTER(c_ubyte)),
        ("height", c_int),
        ("width", c_int),
        ("channels", c_int),
        ("stride_y", c_ssize_t),
        ("stride_x", c_ssize_t),
        ("stride_c", c_ssize_t),
        ("swap_channels", c_int),
        ("scale", c_double),
        ("mean", POINTER(c_double)),
        ("std", POINTER(c_double)),
    )


FLOATS = POINTER(c_float)
SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "dk_load": (c_int, [c_char_p, c_char_p, POINTER(Options), POINTER(c_void_p), c_char_p, c_size_t]),
    "dk_free": (None, [c_void_p]),
    "dk_message": (c_char_p, [c_void_p]),
    "dk_layer_count": (c_int, [c_void_p]),
    "dk_layer_name": (c_char_p, [c_void_p, c_int]),
    "dk_layer_type": (c_char_p, [c_void_p, c_int]),
    "dk_layer_shape": (c_int, [c_void_p, c_int, POINTER(Shape)]),
    "dk_layer_sources": (c_int, [c_void_p, c_int, POINTER(c_int), c_int]),
    "dk_convolutions": (c_char_p, []),
    "dk_keep": (c_int, [c_void_p, POINTER(c_int), c_int]),
    "dk_predict": (c_int, [c_void_p, FLOATS, c_int]),
    "dk_put_image": (c_int, [c_void_p, c_int, POINTER(Image)]),
    "dk_output": (c_int, [c_void_p, c_int, FLOATS, c_size_t]),
    "dk_topk_margins": (c_int, [c_void_p, c_int, FLOATS, c_size_t]),
    "dk_set_output": (c_int, [c_void_p, c_int, FLOATS, c_int]),
    "dk_forward_layer": (c_int, [c_void_p, c_int, c_int]),
}


@cache
def load_library(path: Path | None = None) -> ctypes.CDLL:
    """The engine at `path`, by default the cached one, built on first use; with its signatures declared."""
    path = path or build.library()
    try:
        engine = ctypes.CDLL(str(path))
    except OSError as error:
        what = "cannot load the Darknet engine"
        raise MissingEngineError(what, at=str(path), because=str(error)) from error
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(engine, name)
        function.restype, function.argtypes = result, arguments
    return engine


def failure(status: int, message: str, what: str, at: str = "") -> MgnConvertError:
    """The exception for a status other than DK_OK; `message` is the library's own words."""
    return ERRORS[status](what, at=at, because=message)
