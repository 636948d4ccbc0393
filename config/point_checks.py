"""What a point or a state must be beyond its types: that its parts fit each other. Pure: attribute and sentence out."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from parkgate.config.addresses import address_trouble, is_one_bit
from parkgate.config.conversions import convert_findings
from parkgate.config.explain import unknown_word
from parkgate.config.factors import factors, known_factor
from parkgate.config.gas_alarms import gases
from parkgate.config.language import say
from parkgate.config.problem import suggestion
from parkgate.config.profile import STRING_TYPE, TYPES, Point, Protocol, State

Finding = tuple[str, str]
"""An attribute, and what is wrong with it."""

_MOST_STRING_REGISTERS = 125
_OF_NUMBERS = {"scale", "offset", "digits", "range", "invalid", "deadband"}
_INTEGERS = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits in (16, 32, 64)
    for sign in ("u", "")
}


def point_findings(point: Point, protocol: Protocol, base: int) -> Iterator[Finding]:
    """Give everything that is wrong with a point of a profile of this protocol."""
    if trouble := address_trouble(point.at, protocol, base):
        yield "at", trouble
    yield from _type_findings(point, protocol, single=protocol == "modbus" and not trouble and is_one_bit(point.at))
    if point.range is not None and not point.range[0] < point.range[1]:
        yield "range", say("the lower end must come first, as [0, 100]")
    if point.factor is not None and known_factor(point.factor) is None:
        text = say('unknown factor "{factor}"', factor=point.factor) + suggestion(point.factor, factors())
        yield "factor", text
    if point.gas is not None and point.gas not in gases():
        yield "gas", unknown_word("gas", point.gas, gases())
    if point.scale == 0:
        yield "scale", say("must not be 0: every value would be the same")
    if point.as_ == "string" and point.type not in {"int64", "uint64"}:
        yield "as", say('only int64 and uint64 can be passed on as text; leave out as = "string"')
    if point.deadband is not None and protocol == "modbus":
        yield "deadband", say("goes only with OPC UA; leave it out")
    if point.type in _INTEGERS:
        yield from _sentinel_findings(point)
    if point.convert is not None:
        yield from convert_findings(point, point.convert)


def _type_findings(point: Point, protocol: Protocol, *, single: bool) -> Iterator[Finding]:
    match = STRING_TYPE.fullmatch(point.type)
    known = [each for each in TYPES if protocol == "modbus" or not each.startswith("bcd")]
    if match is None and point.type not in known:
        yield "type", unknown_word("type", point.type, [*known, "string:8" if protocol == "modbus" else "string"])
    elif match and protocol == "modbus" and not 1 <= int(match[1] or 0) <= _MOST_STRING_REGISTERS:
        yield "type", say('a text needs its length in registers, 1 to 125, as "string:8"')
    elif single and point.type != "bool":
        yield "type", say('"{at}" is a single bit; give it type = "bool", or name a whole register', at=point.at)
    if match:
        for attribute in sorted(_OF_NUMBERS & point.model_fields_set):
            yield attribute, say("does not go with a text; leave it out")


def _sentinel_findings(point: Point) -> Iterator[Finding]:
    low, high = _INTEGERS[point.type]
    never = [str(value) for value in point.invalid if not low <= value <= high]
    if never:
        text = say(
            "{values} never comes as {type}, which reaches from {low} to {high}; compare with the manual",
            values=", ".join(never),
            type=point.type,
            low=low,
            high=high,
        )
        yield "invalid", text


def state_findings(state: State, protocol: Protocol, base: int, points: Collection[str]) -> Iterator[Finding]:
    """Give everything that is wrong with a state of a profile that has these points."""
    yield from reading_findings(state, protocol, base)
    if not state.equals:
        yield "equals", say("must have at least one value")
    for name in state.points:
        if name not in points:
            yield "points", say('there is no point "{name}"', name=name) + suggestion(name, points)


def reading_findings(state: State, protocol: Protocol, base: int) -> Iterator[Finding]:
    """Give everything that is wrong with how a state, or a heartbeat, is read."""
    if trouble := address_trouble(state.at, protocol, base):
        yield "at", trouble
    single = protocol == "modbus" and is_one_bit(state.at)
    if state.type is not None and state.type not in ({"bool"} if single else {"bool", *_INTEGERS}):
        known = ["bool"] if single else ["bool", *_INTEGERS]
        yield "type", unknown_word("type", state.type, known)
    else:
        yield from _bit_findings(state, _width(state, protocol, single=single))


def _width(state: State, protocol: Protocol, *, single: bool) -> int:
    """Give how many bits a state's reading has."""
    if single or state.type == "bool":
        return 1
    if state.type is None:
        return 16 if protocol == "modbus" else 64
    return int(state.type.removeprefix("u").removeprefix("int"))


def _bit_findings(state: State, width: int) -> Iterator[Finding]:
    low, high = state.bits or (0, width - 1)
    if state.bits is not None and (width == 1 or not low <= high < width):
        text = say("must be the lowest and the highest bit of {width}, counted from 0, as [0, 3]", width=width)
        yield "bits", text
        return
    most = 2 ** (high - low + 1) - 1
    lowest = -(2 ** (width - 1)) if state.bits is None and width > 1 else 0
    for value in state.equals:
        if not lowest <= value <= most:
            yield "equals", say("{value} never comes: the reading is at most {most}", value=value, most=most)
