"""One line of the table that `make chaos` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was tried, what was seen, what it had to be, and whether it was."""

    case: str
    figure: str
    goal: str
    ok: bool
