"""One line of the table that a long run ends with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    case: str
    figure: str
    goal: str
    ok: bool
