"""A line of the table that long runs print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was tried, what came out, what was wanted, and whether it did."""

    case: str
    figure: str
    goal: str
    ok: bool
