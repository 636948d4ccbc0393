"""The factor codes of the HJ standards, from factors.toml: what a code measures, its unit, its digits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from parkgate.config.model import Model

_DEVICE = re.compile(r"([eg][0-9]{3})[0-9]{2}")
"""A process code of a device: the table has it with `xx` in the device's place."""


class Factor(Model):
    """A factor of HJ 212-2017 appendix B: its names, and the unit that platforms expect (empty: none).

    `also` are units that they take besides; `sum` is the unit of the accumulated quantity (Cou). `formats` gives the
    digits by version of the standard, as it writes them: N5.2. `molar` is in g/mol. `evidence` says where this was
    found if not in the standard.
    """

    en: str
    zh: str
    unit: str = ""
    also: tuple[str, ...] = ()
    sum: str = ""
    formats: Mapping[str, str] = {}
    molar: float | None = None
    evidence: str = ""


@cache
def factors() -> Mapping[str, Factor]:
    """Give the shipped factors by their code (`"a21026"`, `"e101xx"`)."""
    table = tomllib.loads(files("parkgate.config").joinpath("factors.toml").read_text(encoding="utf-8"))
    return {code: Factor.model_validate(entry) for code, entry in table.items() if code != "flags"}


def known_factor(code: str | None) -> Factor | None:
    """Give the factor of a code, None for one that nobody knows; `"e10103"` is `e101xx` of the third device."""
    if code is None:
        return None
    match = _DEVICE.fullmatch(code)
    return factors().get(code) or (factors().get(f"{match[1]}xx") if match else None)
