"""The formulas that a derived point can name, from formulas.toml: what each wants and gives, not how."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from parkgate.config.model import Model


class Quantity(Model):
    """What a formula wants: a point, or a number in `unit`; formulas.toml says what each attribute means."""

    en: str
    zh: str
    unit: str = ""
    like: str = ""
    default: float | None = None
    constant: bool = False
    actual: bool = False
    above: float | None = None
    least: float | None = None
    most: float | None = None
    among: tuple[float, ...] = ()
    told_by: Literal["", "factor", "period"] = ""
    molar: float | None = None

    @property
    def any_unit(self) -> bool:
        """Whether it may be in any unit, and so has to be a point."""
        return not (self.unit or self.like or self.constant)


class Formula(Model):
    """A formula: its name for people, how it is written, its source, and its quantities in the order it takes them."""

    en: str
    zh: str
    text: str
    source: str
    gives: str = ""
    like: str = ""
    previous: str = ""
    quantities: Mapping[str, Quantity]


@cache
def formulas() -> Mapping[str, Formula]:
    """Give the formulas by their names."""
    table = tomllib.loads(files("parkgate.config").joinpath("formulas.toml").read_text(encoding="utf-8"))
    return {name: Formula.model_validate(entry) for name, entry in table.items()}
