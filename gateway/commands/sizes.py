"""How large snapshots and statistics are, measured with the real encoder: at the worst, and on a usual day. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.profile import STRING_TYPE, Point
from parkgate.config.site import Instrument
from parkgate.drivers.numbers import decimals
from parkgate.drivers.snapshot import Snapshot, Value
from parkgate.gateway.messages.encode import SnapshotEncoder, statistics
from parkgate.gateway.processing.statistics import Plan

LONGEST_EPOCH = "999999999-zzzzzz"
LONGEST_DOUBLE = -1.2345678901234567e300
"""Of the longest text that a double has in JSON: 24 characters."""
LONGEST_SINGLE = -1.23456789e15
"""Of the longest text that nine significant digits have, which every float32 without `digits` keeps to: 19."""

_REV = "ffffffff"
_MOST = 2**53
_LATEST = 253_402_214_400_000
"""Milliseconds UTC; drivers take no later time from an instrument."""
_OPCUA_TEXT = 255
"""Bytes of an OPC UA text whose profile gives no length."""
_INTEGER = re.compile(r"(u?)int(16|32|64)")
_BCD = {"bcd16": 9_999, "bcd32": 99_999_999}
_QUOTES = 2
_DOUBLE = 24
_SPREAD = 0.618


def largest_snapshot(source: str, instrument: Instrument) -> int:
    """Give the bytes of the largest snapshot that an instrument can ever give.

    Every point flagged with the longest flag and carrying its longest value; over OPC UA also uncertain, with a time of
    its own. `source` is the gateway's: `site/gateway`.
    """
    points = instrument.quantities
    every = range(len(points))
    own_times = instrument.protocol == "opcua"
    snapshot = Snapshot(
        instrument=instrument.name,
        at=_LATEST,
        values=tuple(_longest(each) for each in points),
        flags=dict.fromkeys(every, max(Flag, key=len)),
        uncertain=frozenset(every) if own_times else frozenset(),
        offsets=dict.fromkeys(every, -_LATEST) if own_times else {},
    )
    encoder = SnapshotEncoder(f"{source}/{instrument.name}", LONGEST_EPOCH, _REV, instrument)
    return len(encoder(snapshot, _MOST, _MOST))


def usual_snapshots(source: str, instrument: Instrument, count: int) -> Iterator[bytes]:
    """Give so many payloads as they come on a usual day: every point normal, its values somewhere in its range."""
    encoder = SnapshotEncoder(f"{source}/{instrument.name}", "0001-000000", "0a1b2c3d", instrument)
    for seq in range(1, count + 1):
        places = enumerate(instrument.quantities, start=seq)
        values = tuple(_usual(point, place * _SPREAD % 1) for place, point in places)
        yield encoder(Snapshot(instrument.name, 1_700_000_000_000 + seq * instrument.every, values), seq, seq)


def usual_statistics(source: str, instrument: Instrument, plan: Plan, period: str) -> Iterator[bytes]:
    """Give the payloads of one interval on a usual day: every sample usable, values somewhere in their ranges."""
    figures = {}
    for each in plan.measures:
        mean = float(_usual(instrument.quantities[each.place], each.place * _SPREAD % 1))
        around = {"avg": mean, "min": mean * _SPREAD, "max": mean / _SPREAD}
        digits = 4 if each.digits is None else each.digits + 1
        told = {key: round(value, digits) for key, value in around.items()}
        figures[each.name] = {**told, "n": plan.expected, "valid": plan.expected}
    start = 1_700_000_000_000
    about = (f"{source}/{instrument.name}", "0001-000000", "0a1b2c3d", period, start, 0)
    return (encode(1, 1) for encode in statistics(*about, figures))


def _longest(point: Point | Derived) -> Value:
    """Give a value whose JSON is as long as the longest that a point can have, not necessarily one it can have."""
    if isinstance(point, Derived):
        return LONGEST_DOUBLE if point.digits is not None else LONGEST_SINGLE
    if text := STRING_TYPE.fullmatch(point.type):
        # Whatever bytes come: a control character takes six in JSON, more than any other.
        return "\x01" * (2 * int(text[1]) if text[1] else _OPCUA_TEXT)
    if point.type == "bool":
        return 1
    limits = _limits(point.type)
    if limits is None:
        return LONGEST_SINGLE if point.type == "float32" and point.digits is None else LONGEST_DOUBLE
    if (point.scale, point.offset) != (1.0, 0.0):
        return _longest_scaled(point, limits)
    longest = max(limits, key=lambda limit: len(str(limit)))
    return str(longest) if point.as_ == "string" else max(min(longest, _MOST), -_MOST)


def _limits(kind: str) -> tuple[int, int] | None:
    """Give the least and the largest integer of a type, None for one that holds no integers."""
    if kind in _BCD:
        return 0, _BCD[kind]
    if (match := _INTEGER.fullmatch(kind)) is None:
        return None
    bits = int(match[2])
    return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _longest_scaled(point: Point, limits: tuple[int, int]) -> str | float:
    """Give a text of the length that a scaled integer can have: sign, the digits before the point, and those behind."""
    digits = decimals(point.scale, point.offset) if point.digits is None else point.digits
    largest = max(abs(limit * point.scale + point.offset) for limit in limits)
    whole = len(str(int(min(largest, 1.7e308)) + 1))
    length = 1 + whole + 1 + max(1, digits)
    if point.as_ == "string":
        return "0" * length
    return "0" * (length - _QUOTES) if length < _DOUBLE else LONGEST_DOUBLE


def _usual(point: Point | Derived, part: float) -> Value:
    """Give a plausible value that lies at a part (0 to 1) of the point's range."""
    if STRING_TYPE.fullmatch(point.type):
        return point.name
    if point.type == "bool":
        return 0
    low, high = point.range or (0.0, 1_000.0)
    value = low + part * (high - low)
    if isinstance(point, Point) and _limits(point.type) and (point.scale, point.offset) == (1.0, 0.0):
        return str(int(value)) if point.as_ == "string" else int(value)
    return round(value, 4 if point.digits is None else point.digits)
