"""Whether a point's unit is that of its factor. Pure: a sentence out, or nothing.

It is a warning and no error: a site file that says otherwise runs, and the values are passed on in the unit it names.
"""

from __future__ import annotations

from parkgate.config.factors import known_factor
from parkgate.config.language import say
from parkgate.config.problem import shown
from parkgate.config.units import conversion, known_unit, same_unit


def factor_unit_warning(unit: str, factor: str | None) -> str | None:
    """Say how the unit that a point is passed on in differs from those that platforms expect of its factor."""
    about = known_factor(factor)
    if about is None or not (unit and about.unit):
        return None
    expected = (about.unit, *about.also)
    if any(same_unit(unit, each) or _same_but_for_state(unit, each) for each in expected):
        return None
    said = {"factor": factor, "expected": about.unit, "unit": shown(unit)}
    if known_unit(unit) is None:
        return say('factor "{factor}" is in {expected}, and nobody knows the unit "{unit}"; compare them', **said)
    if conversion(unit, about.unit) is not None:
        return say('factor "{factor}" is in {expected}, this is {unit}; add convert = {{ to = "{expected}" }}', **said)
    if conversion(unit, about.unit, molar=about.molar) is not None:
        return say(
            'factor "{factor}" is in {expected}, this is {unit}; add convert = {{ to = "{expected}", at = 0 }}', **said
        )
    return say('factor "{factor}" is in {expected}, which {unit} cannot become; compare both with the manual', **said)


def _same_but_for_state(unit: str, other: str) -> bool:
    """Tell whether two units differ only in that one says it is at standard conditions."""
    one, another = known_unit(unit), known_unit(other)
    return one is not None and another is not None and (one.kind, one.factor) == (another.kind, another.factor)
