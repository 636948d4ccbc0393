"""Units of measurement, from units.toml: their codes, their kind, and how a value goes from one to another."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from importlib.resources import files
from math import prod
from typing import NamedTuple

from parkgate.config.model import Model

MOLAR_VOLUMES: Mapping[int, float] = {0: 22.4, 20: 24.04, 25: 24.45}
"""Litres that a mole of gas takes at 101.325 kPa, by the temperature in °C: stacks (HJ 212-2017 D.2), work places at
20 °C, ambient air since the 2018 amendment of GB 3095."""


class Unit(Model):
    """A unit: UCUM code, UNECE common code (none: ""), and value * factor + offset in the base unit of its kind.

    `standard`: its volume is that of the gas at 0 °C and 101.325 kPa.
    """

    ucum: str
    unece: str = ""
    kind: str
    factor: float
    offset: float = 0.0
    standard: bool = False
    also: tuple[str, ...] = ()

    @property
    def unit_id(self) -> int:
        """OPC UA's unitId (OPC 10000-8, 5.6.3): the characters of the common code, big-endian; -1 where it has none."""
        return int.from_bytes(self.unece.encode("ascii")) if self.unece else -1


class Linear(NamedTuple):
    """What makes one unit's value another's: value * factor + offset."""

    factor: float
    offset: float = 0.0


@cache
def units() -> Mapping[str, Unit]:
    """Give the known units by every spelling."""
    table = tomllib.loads(files("parkgate.config").joinpath("units.toml").read_text(encoding="utf-8"))
    read = {name: Unit.model_validate(entry) for name, entry in table.items()}
    return {spelling: unit for name, unit in read.items() for spelling in (name, *unit.also)}


def known_unit(text: str) -> Unit | None:
    """Give the unit of a text, None if nobody knows it. A Greek mu is as good as the micro sign."""
    return units().get(text.strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}"))


def same_unit(one: str, other: str) -> bool:
    """Tell whether two texts name the same unit."""
    return one == other or (known_unit(one) is not None and known_unit(one) is known_unit(other))


def conversion(unit: str, to: str, *, molar: float | None = None, at: int = 0) -> Linear | None:
    """Give what makes values in `unit` values in `to`; None where nothing does.

    A fraction by volume becomes a mass concentration, and back, by the molar mass `molar` (g/mol) of the gas and the
    molar volume at `at` (0, 20 or 25 °C); whether a volume is one at standard conditions is not looked at here.
    """
    source, target = known_unit(unit), known_unit(to)
    if source is None or target is None:
        return None
    factor = _exact(source.factor) / _exact(target.factor)
    if source.kind == target.kind:
        return Linear(float(factor), float((_exact(source.offset) - _exact(target.offset)) / _exact(target.factor)))
    if molar is None or {source.kind, target.kind} != {"fraction", "mass-concentration"}:
        return None
    density = _exact(molar) / _exact(MOLAR_VOLUMES[at])  # g/mol over L/mol is kg/m3
    return Linear(float(factor * density if source.kind == "fraction" else factor / density))


def _exact(number: float) -> Fraction:
    """Give the number that the text of a double means, so that a thousandth stays one."""
    return Fraction(repr(number))


def applied(factor: float, *numbers: float) -> float:
    """Multiply as the texts of the numbers say: 0.1 by 0.001 is 0.0001."""
    return float(prod(map(_exact, numbers), start=_exact(factor)))


def standard_unit(text: str) -> bool:
    """Tell whether a unit says of itself that its volume is one at standard conditions."""
    unit = known_unit(text)
    return unit is not None and unit.standard
