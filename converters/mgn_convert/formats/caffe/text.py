"""prototxt: a NetParameter in protobuf's text format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mgn_convert.errors import FileFormatError
from mgn_convert.formats.caffe.proto import net_parameter

_TOKEN = re.compile(r"#.*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[\w.]+|[{}<>\n]")


def read_text(path: Path) -> tuple[Any, list[int]]:
    """The network in a prototxt, and the line on which each of its layers begins.

    Raises FileFormatError with line and column where the file breaks the format or names an unknown field.
    """
    try:
        text = path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path} is not a prototxt",
            because="a prototxt is text in UTF-8",
            got=f"byte {error.start} is 0x{error.object[error.start]:02x}",
            remedy="the .caffemodel is the other file; name the .prototxt first",
        ) from None
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read", because=error.strerror or str(error)) from None
    return parse(text, str(path))


def parse(text: str, source: str = "prototxt") -> tuple[Any, list[int]]:
    """As `read_text`, for text that is already here; `source` is what errors call it."""
    from google.protobuf import text_format

    net = net_parameter()
    try:
        text_format.Parse(text, net)
    except text_format.ParseError as error:
        raise _parse_error(error, source) from None
    except (RecursionError, ValueError, KeyError) as error:
        raise FileFormatError(f"{source} is not a prototxt", because=str(error)) from None
    layers = list(net.layer) or list(net.layers)
    lines = _layer_lines(text)
    return net, lines if len(lines) == len(layers) else [0] * len(layers)


def print_text(net: Any) -> str:
    """The network as text that BVLC Caffe and OpenCV parse; the same message gives the same text.

    Numbers are the shortest that read back as the same float32 (`eps: 1e-05`).
    """
    from google.protobuf import text_format

    return str(text_format.MessageToString(net))


def _parse_error(error: Any, source: str) -> FileFormatError:
    line, column = error.GetLine() or 0, error.GetColumn() or 0
    message = re.sub(r"^\d+:\d+ : ", "", str(error)).replace("caffe.", "")
    remedy = "compare this line with the documentation of the layer"
    if "has no field named" in message:
        remedy = "remove the field, or if a fork of Caffe made it, write the layer as BVLC Caffe spells it"
    elif "Enum type" in message or "enum" in message:
        remedy = "use one of the names that the layer's documentation lists"
    return FileFormatError(
        f"{source} breaks the prototxt format",
        at=f"{source}, line {line}, column {column}",
        because=message.strip(),
        remedy=remedy,
    )


def _layer_lines(text: str) -> list[int]:
    """The line of every `layer {`: the braces that open at depth 0 after that word."""
    lines, line, depth, word, start = [], 1, 0, "", 1
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            line += 1
        elif token in "{<":
            if depth == 0 and word in ("layer", "layers"):
                lines.append(start if start else line)
                start = 0
            depth += 1
        elif token in "}>":
            depth -= 1
        elif depth == 0 and token[0] not in "#\"'":
            word, start = token, line
    return lines
