"""Durations and sizes as people write them: `"500ms"`, `"30d"`, `"2GiB"`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

FROM_FILE = {"text": True}
"""The validation context of a file: there a duration or a size is text with its unit, never a bare number."""

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(ms|s|min|h|d)")
_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(B|kB|KiB|MB|MiB|GB|GiB)")
_BYTES = {"B": 1, "kB": 1_000, "KiB": 1 << 10, "MB": 1_000_000, "MiB": 1 << 20, "GB": 1_000_000_000, "GiB": 1 << 30}


def duration_ms(value: object) -> object:
    """Turn `"5s"` into 5000 (milliseconds); an integer is taken as milliseconds already.

    Raises:
        ValueError: the text is not a number with one of ms, s, min, h, d, or is shorter than 1 ms.

    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(value)
    milliseconds = round(float(match[1]) * _MS[match[2]])
    if milliseconds < 1:
        raise ValueError(value)
    return milliseconds


def size_bytes(value: object) -> object:
    """Turn `"2GiB"` into bytes; an integer is taken as bytes already.

    Raises:
        ValueError: the text is not a number with one of B, kB, KiB, MB, MiB, GB, GiB, or is nothing.

    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(value)
    size = round(float(match[1]) * _BYTES[match[2]])
    if size < 1:
        raise ValueError(value)
    return size


def _duration(value: object, info: ValidationInfo) -> object:
    if info.context == FROM_FILE and not isinstance(value, str):
        raise PydanticCustomError("duration", "not a duration with its unit")
    try:
        return duration_ms(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "not a duration with its unit") from error


def _size(value: object, info: ValidationInfo) -> object:
    if info.context == FROM_FILE and not isinstance(value, str):
        raise PydanticCustomError("size", "not a size with its unit")
    try:
        return size_bytes(value)
    except ValueError as error:
        raise PydanticCustomError("size", "not a size with its unit") from error


Milliseconds = Annotated[int, BeforeValidator(_duration)]
Bytes = Annotated[int, BeforeValidator(_size)]
