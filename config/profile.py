"""An instrument model as data: its points, its states, and how its registers or nodes are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from parkgate.config.alarm import Alarm, listed
from parkgate.config.flag import Flag
from parkgate.config.model import Model
from parkgate.config.quantity import Milliseconds

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Protocol = Literal["modbus", "opcua"]

TYPES = (
    "bool", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "float64", "double", "bcd16", "bcd32",
)  # fmt: skip
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")
_WHOLE_RANGE = 100
STRING_TYPE = re.compile(r"string(?::([1-9][0-9]{0,2}))?")

Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Bit = Annotated[Whole, Field(ge=0, le=63)]
PointName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]


def _listed(value: object) -> object:
    """Let `equals = 1` stand for `equals = [1]`, and `true` for 1."""
    listed = (value,) if isinstance(value, int | float | str) else value
    if isinstance(listed, list | tuple):
        return tuple(int(each) if isinstance(each, bool) else each for each in listed)
    return listed


class Convert(Model):
    """What a point's unit is to become: `to`, and where a gas goes from ppm to mg/m3 the temperature `at` (°C).

    `molar` is the gas's molar mass (g/mol) where its factor does not tell it.
    """

    to: str
    at: Literal[0, 20, 25] | None = None
    molar: Annotated[Real, Field(gt=0)] | None = None


def _deadband(value: object) -> object:
    """Let a number above 0 pass, or a part of the range as `"2 %"`."""
    if isinstance(value, str) and (part := _PERCENT.fullmatch(value.strip())) and 0 < float(part[1]) <= _WHOLE_RANGE:
        return f"{part[1]} %"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise PydanticCustomError("deadband", "no deadband")


class Point(Model):
    """One measured quantity of an instrument.

    `at` is an address in the notation of the instrument's protocol: `"input 0"`, `"holding 40.3"`, the manual's
    `"30001"`, or an OPC UA node id `"nsu=urn:tank;s=T1.Level"`. The value a consumer sees is
    `raw * scale + offset`, in `unit`, rounded to `digits` decimals; `range` is the measuring range in that unit. A
    value that is exactly the same for longer than `unchanged` (ms) is `stale`. A change smaller than `deadband` is not
    told by an OPC UA subscription: in that unit, or `"2 %"` of the node's own range. `gas` is what a gas detector
    measures, where no factor code tells; `alarms` in the order of their places in the file. In statistics a rate adds
    up to `sum`, the unit of that amount; a `"direction"` (degrees) is averaged as one; `weight` names the point, a
    flow, by which a mean is weighted (HJ 212-2017, appendix D.1). `convert`: what it is passed on in instead of `unit`;
    `range` and `scale` are the instrument's then, `digits` those of what is passed on.
    """

    name: PointName
    at: str
    type: str
    title: str = ""
    unit: str = ""
    factor: str | None = None
    range: tuple[Real, Real] | None = None
    digits: Annotated[Whole, Field(ge=0, le=12)] | None = None
    scale: Real = 1.0
    offset: Real = 0.0
    order: Order | None = None
    invalid: Annotated[tuple[Whole | Real, ...], BeforeValidator(_listed)] = ()
    as_: Literal["number", "string"] = Field(default="number", alias="as")
    unchanged: Milliseconds | None = None
    deadband: Annotated[float | str, BeforeValidator(_deadband)] | None = None
    gas: str | None = None
    alarms: Annotated[tuple[Alarm, ...], BeforeValidator(listed)] = ()
    sum: str | None = None
    mean: Literal["arithmetic", "direction"] = "arithmetic"
    weight: PointName | None = None
    convert: Convert | None = None
    enabled: Switch = True


class DerivedEntry(Model):
    """A derived point as a file has it: a formula of formulas.toml, its points (`of`) and its numbers (`with`).

    A point is one of the instrument, measured or derived, or `"INSTRUMENT.POINT"` of another one, whose value may be
    `max_age` (ms) older or younger. `unit`, `range`, `digits`, `alarms`, `sum` and `weight` are of the result.
    """

    name: PointName
    formula: str
    of: Mapping[str, str] = Field(default_factory=dict)
    with_: Mapping[str, Real] = Field(default_factory=dict, alias="with")
    title: str = ""
    unit: str = ""
    factor: str | None = None
    range: tuple[Real, Real] | None = None
    digits: Annotated[Whole, Field(ge=0, le=12)] | None = None
    max_age: Milliseconds | None = None
    alarms: Annotated[tuple[Alarm, ...], BeforeValidator(listed)] = ()
    sum: str | None = None
    weight: PointName | None = None
    enabled: Switch = True


class State(Model):
    """A register or node of the instrument that says its values may not be used: state -> flag.

    Where the reading (or the bit field `bits`, lowest and highest bit) equals one of `equals`, the points named, or
    all of them if none is named, carry `flag`. It is read in the same cycle as the values it judges. One without any
    `equals` is read and sets no flag by itself: a heartbeat.
    """

    at: str
    equals: Annotated[tuple[Whole, ...], BeforeValidator(_listed)]
    flag: Flag
    type: str | None = None
    bits: tuple[Bit, Bit] | None = None
    points: tuple[PointName, ...] = ()


class Heartbeat(Model):
    """A register, bit or node that a living instrument changes all the time.

    Once its reading is the same for longer than `limit` (ms), every value of the instrument is `stale`.
    """

    at: str
    limit: Milliseconds
    type: str | None = None
    bits: tuple[Bit, Bit] | None = None

    @property
    def state(self) -> State:
        """The state as which it is read, in the same cycle as the values that it vouches for."""
        return State(at=self.at, equals=(), flag=Flag.STALE, type=self.type, bits=self.bits)


class Profile(Model):
    """An instrument model: one TOML file, readable beside the vendor's manual.

    `safety`: it warns people (gas, fire), so its undelivered snapshots are the last to leave a full disk. `pause`: the
    silence (ms) that it needs between its answer and the next question. `response`: how long (ms) it takes to begin an
    answer. `connections`: how many it takes at once.
    """

    name: str
    title: str = ""
    manual: str = ""
    protocol: Protocol
    order: Order = "ABCD"
    base: Literal[0, 1] = 0
    max_gap: Annotated[Whole, Field(ge=0, le=124)] = 16
    pause: Milliseconds = 0
    response: Milliseconds | None = None
    connections: Annotated[Whole, Field(ge=1, le=64)] = 1
    safety: Switch = False
    labels: Mapping[str, str] = Field(default_factory=dict)
    points: tuple[Point, ...] = Field(min_length=1)
    derived: tuple[DerivedEntry, ...] = ()
    states: tuple[State, ...] = Field(default=(), alias="state")
    heartbeat: Heartbeat | None = None
