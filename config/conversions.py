"""A point's `convert`: what the instrument gives in one unit made another, once, when the site is read. Pure.

A conversion is linear, so it goes into the point's scale and offset: reading costs nothing more for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal

from parkgate.config.factors import known_factor
from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.problem import shown, suggestion
from parkgate.config.profile import STRING_TYPE, Convert, Point
from parkgate.config.units import Linear, applied, conversion, known_unit, same_unit, standard_unit, units

Finding = tuple[str, str]
_MOST_DIGITS = 12
_SIGNIFICANT = 6


class Conversion(Model):
    """What became of a point's unit: `unit` is what the instrument gives, value * factor + offset what is passed on.

    `at` (°C) and `molar` (g/mol) only where a fraction by volume became a mass concentration, or the other way round.
    """

    unit: str
    factor: float
    offset: float = 0.0
    at: int | None = None
    molar: float | None = None


def convert_findings(point: Point, convert: Convert) -> Iterator[Finding]:
    """Give everything that is wrong with how a point's unit is to be converted."""
    if STRING_TYPE.fullmatch(point.type) or point.type == "bool" or point.as_ == "string":
        yield "convert", say("only a number can be converted; leave it out")
        return
    for attribute, unit in (("unit", point.unit), ("convert", convert.to)):
        if known_unit(unit) is None:
            yield attribute, say('unknown unit "{unit}"', unit=shown(unit)) + suggestion(unit, units())
            return
    linear, by_mass = _linear(point, convert), _by_mass(point, convert)
    if by_mass and convert.at is None:
        text = say("say at which temperature the volume is meant: at = 0 (stacks), 20 or 25 (ambient air)")
        yield "convert", text
    elif not by_mass and (convert.at is not None or convert.molar is not None):
        yield "convert", say("at and molar go only with a fraction by volume and a mass concentration; leave them out")
    elif linear is None and by_mass:
        text = say("the molar mass is not known; give the point its factor, or molar = 64.058 (g/mol) here")
        yield "convert", text
    elif linear is None:
        yield "convert", say('"{unit}" cannot become "{to}"', unit=shown(point.unit), to=shown(convert.to))
    elif not by_mass and standard_unit(point.unit) != standard_unit(convert.to):
        text = say("no factor makes a volume one at standard conditions; use the formula actual_to_standard")
        yield "convert", text


def converted(point: Point) -> tuple[Point, Conversion | None]:
    """Give a point in the unit that is passed on, and what was done to it.

    `range` becomes one in that unit, its ends rounded outwards, so that a full scale that is rounded is still within. A
    whole number that gets a factor of many digits is rounded to a tenth of its step, unless the point has `digits`:
    more says nothing.
    """
    convert = point.convert
    linear = None if convert is None else _linear(point, convert)
    if convert is None or linear is None:
        return point, None
    scale = applied(linear.factor, point.scale)
    digits = _digits(point, scale)
    changed = {
        "unit": convert.to,
        "scale": scale,
        "offset": applied(linear.factor, point.offset) + linear.offset,
        "range": None if point.range is None else _range(point.range, linear, digits),
        "digits": digits,
        "convert": None,
    }
    by_mass = _by_mass(point, convert)
    done = Conversion(
        unit=point.unit,
        factor=linear.factor,
        offset=linear.offset,
        at=convert.at if by_mass else None,
        molar=_molar(point, convert) if by_mass else None,
    )
    return point.model_copy(update=changed), done


def _range(ends: tuple[float, float], linear: Linear, digits: int | None) -> tuple[float, float]:
    low, high = (applied(linear.factor, end) + linear.offset for end in ends)
    return 0.0 - _upwards(-low, digits), _upwards(high, digits)


def _upwards(end: float, digits: int | None) -> float:
    """Round up to decimals, or to six digits that count where a point has no decimals of its own."""
    if digits is None:
        digits = _SIGNIFICANT - math.ceil(math.log10(abs(end))) if end else 0
    step = Decimal(1).scaleb(-digits)
    return float(Decimal(f"{end:.15g}").quantize(step, rounding=ROUND_CEILING)) + 0.0


def _linear(point: Point, convert: Convert) -> Linear | None:
    if same_unit(point.unit, convert.to):
        return Linear(1.0)
    return conversion(point.unit, convert.to, molar=_molar(point, convert), at=convert.at or 0)


def _molar(point: Point, convert: Convert) -> float | None:
    factor = known_factor(point.factor)
    return convert.molar if convert.molar is not None else factor.molar if factor else None


def _by_mass(point: Point, convert: Convert) -> bool:
    """Tell whether it goes by the molar mass."""
    one, other = known_unit(point.unit), known_unit(convert.to)
    return one is not None and other is not None and {one.kind, other.kind} == {"fraction", "mass-concentration"}


def _digits(point: Point, scale: float) -> int | None:
    if point.digits is not None or point.type.startswith(("float", "double")):
        return point.digits
    return min(_MOST_DIGITS, max(0, 1 - math.floor(math.log10(abs(scale)))))
