"""The alarms that GB/T 50493 asks of a gas detector, from gas_alarms.toml: defaults, to be confirmed by the site."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from parkgate.config.alarm import Alarm
from parkgate.config.model import Model
from parkgate.config.profile import Point
from parkgate.config.quantity import Milliseconds

OXYGEN = "o2"
_MASS = {
    "mg/m3": 1.0,
    "mg/m³": 1.0,
    "ug/m3": 1000.0,
    "µg/m3": 1000.0,
    "μg/m3": 1000.0,
    "µg/m³": 1000.0,
    "μg/m³": 1000.0,
}
_VOLUME = {"ppm": 1.0, "µmol/mol": 1.0, "μmol/mol": 1.0, "umol/mol": 1.0, "ppb": 1000.0}
_LEL = frozenset({"%LEL", "% LEL", "LEL%"})
_PERCENT = frozenset({"%", "%vol", "%VOL", "vol%", "vol %", "% vol"})
_DIGITS = 3
"""Significant digits of a limit; what is behind them is cut off, so that it never lies above the standard's."""


class Gas(Model):
    """A toxic gas: its factor codes, its occupational exposure limit (mg/m3) and its molar mass (g/mol)."""

    title: str
    factor: tuple[str, ...]
    oel: float
    molar_mass: float


class Oxygen(Model):
    """Deficiency and enrichment of oxygen in air, and the deadband, vol%."""

    title: str
    low: float
    high: float
    deadband: float


class Combustible(Model):
    """The two levels of combustible gas, and their deadband, %LEL."""

    title: str
    levels: tuple[float, float]
    deadband: float


class Fault(Model):
    """How long a detector may say nothing of use, ms."""

    delay: Milliseconds


class GasAlarms(Model):
    """What gas_alarms.toml says. `molar_volume` is L/mol, `deadband` a part of the first level of a toxic gas."""

    source: str
    molar_volume: float
    deadband: float
    gas: Mapping[str, Gas]
    oxygen: Oxygen
    combustible: Combustible
    fault: Fault


@cache
def gas_alarms() -> GasAlarms:
    """Give the shipped set points."""
    text = files("parkgate.config").joinpath("gas_alarms.toml").read_text(encoding="utf-8")
    return GasAlarms.model_validate(tomllib.loads(text))


def gases() -> Sequence[str]:
    """Give the names of the gases that have set points."""
    return [*gas_alarms().gas, OXYGEN]


def gas_of(point: Point) -> str | None:
    """Give the gas that a point measures: the one it names, else the one of its factor code; None if neither tells."""
    if point.gas is not None:
        return point.gas
    return next((name for name, gas in gas_alarms().gas.items() if point.factor in gas.factor), None)


def standard_alarms(point: Point) -> tuple[Alarm, ...]:
    """Give the alarms of the standard for a point, in its unit; none where its gas or its unit does not tell which.

    Two levels that stand until they are acknowledged, and a fault of the detector. A toxic gas in ppm is converted at
    25 °C and 101.325 kPa by its molar mass.
    """
    known, gas = gas_alarms(), gas_of(point)
    if point.unit in _LEL:
        return (*_levels(known.combustible.levels, known.combustible.deadband), _fault())
    if gas == OXYGEN and point.unit in _PERCENT:
        oxygen = known.oxygen
        low = _alarm(name="low", below=oxygen.low, deadband=oxygen.deadband, latch=True, priority="urgent")
        high = _alarm(name="high", above=oxygen.high, deadband=oxygen.deadband, latch=True, priority="urgent")
        return low, high, _fault()
    toxic = known.gas.get(gas or "")
    factor = None if toxic is None else _in_unit(toxic, point.unit)
    if toxic is None or factor is None:
        return ()
    first, second = _cut(toxic.oel * factor), _cut(2 * toxic.oel * factor)
    return (*_levels((first, second), _cut(first * known.deadband)), _fault())


def confirmed(written: Sequence[Alarm], alarm: Alarm) -> tuple[Alarm, ...]:
    """Give a standard's alarms with who confirmed them for the site, where anybody did."""
    if not alarm.basis:
        return tuple(written)
    return tuple(each.model_copy(update={"basis": f"{each.basis}; {alarm.basis}"}) for each in written)


def _in_unit(gas: Gas, unit: str) -> float | None:
    """Give by what mg/m3 of a gas are multiplied to be in a unit; None where that is none of a concentration."""
    if unit in _VOLUME:
        return gas_alarms().molar_volume / gas.molar_mass * _VOLUME[unit]
    return _MASS.get(unit)


def _levels(levels: tuple[float, float], deadband: float) -> tuple[Alarm, Alarm]:
    return (
        _alarm(name="high", above=levels[0], deadband=deadband, latch=True, priority="high"),
        _alarm(name="high_high", above=levels[1], deadband=deadband, latch=True, priority="urgent"),
    )


def _fault() -> Alarm:
    return _alarm(name="fault", fault=True, delay=gas_alarms().fault.delay, priority="high")


def _alarm(**keys: object) -> Alarm:
    return Alarm.model_validate({**keys, "basis": gas_alarms().source})


def _cut(value: float) -> float:
    """Cut a limit to its significant digits."""
    shift = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(value)))
    return math.floor(value * shift + 1e-9) / shift
