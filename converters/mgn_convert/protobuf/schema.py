"""Message classes of the files in schemas/, each file in a descriptor pool of its own.

A `caffe_pb2` or TensorFlow that the same process imports lives in protobuf's default pool and never meets
these classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from mgn_convert.resources import resource

_TOKEN = re.compile(r'"[^"]*"|[\w.+-]+|[{}\[\]=;,]')
_COMMENT = re.compile(r"//.*")


@cache
def message_class(schema: str, name: str) -> Any:
    """The class of the message with the full name `name` in the file `schema` of schemas/."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool(schema).FindMessageTypeByName(name))


@cache
def _pool(schema: str) -> Any:
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file_descriptor(schema, resource(f"schemas/{schema}").read_text(encoding="utf8")))
    return pool


def file_descriptor(name: str, text: str) -> Any:
    """The FileDescriptorProto of a .proto text.

    Covers what the files of schemas/ use: proto2 messages and enums, fields with `default` and `packed`.
    """
    from google.protobuf import descriptor_pb2

    tokens = iter(_TOKEN.findall(_COMMENT.sub("", text)))
    file = descriptor_pb2.FileDescriptorProto(name=name)
    scalars = descriptor_pb2.FieldDescriptorProto.Type.items()
    kinds = {name.removeprefix("TYPE_").lower(): number for name, number in scalars}
    for word in tokens:
        if word == "package":
            file.package = next(tokens)
        elif word == "message":
            _read_message(tokens, file.message_type.add(name=next(tokens)), kinds)
        elif word == "enum":
            _read_enum(tokens, file.enum_type.add(name=next(tokens)))
    return file


def _read_message(tokens: Iterator[str], message: Any, kinds: dict[str, int]) -> None:
    assert next(tokens) == "{"
    while (word := next(tokens)) != "}":
        if word == "enum":
            _read_enum(tokens, message.enum_type.add(name=next(tokens)))
            continue
        field = message.field.add()
        field.label = {"optional": 1, "required": 2, "repeated": 3}[word]
        kind, field.name = next(tokens), next(tokens)
        assert next(tokens) == "="
        field.number = int(next(tokens))
        if kind in kinds:
            field.type = kinds[kind]
        else:
            field.type_name = kind  # a message or an enum: the pool finds out which
        if next(tokens) == "[":
            _read_options(tokens, field)


def _read_options(tokens: Iterator[str], field: Any) -> None:
    for key in tokens:
        assert next(tokens) == "="
        value = next(tokens)
        if key == "default":
            field.default_value = value.strip('"')
        elif key == "packed":
            field.options.packed = value == "true"
        if next(tokens) == "]":
            break
    assert next(tokens) == ";"


def _read_enum(tokens: Iterator[str], enum: Any) -> None:
    assert next(tokens) == "{"
    while (word := next(tokens)) != "}":
        assert next(tokens) == "="
        enum.value.add(name=word, number=int(next(tokens)))
        assert next(tokens) == ";"
