"""The factor codes of the HJ standards, from factors.toml: what a code measures, and in which unit."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from parkgate.config.model import Model


class Factor(Model):
    """A factor of HJ 212-2017 appendix B: its names, and the unit that platforms expect (empty: none)."""

    en: str
    zh: str
    unit: str = ""


@cache
def factors() -> Mapping[str, Factor]:
    """Give the shipped factors by their code (`"a21026"`)."""
    table = tomllib.loads(files("parkgate.config").joinpath("factors.toml").read_text(encoding="utf-8"))
    return {code: Factor.model_validate(entry) for code, entry in table.items() if code != "flags"}
