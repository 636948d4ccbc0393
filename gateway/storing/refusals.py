"""What found no place in memory while the disk took nothing. It was never numbered: no range of numbers declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parkgate.gateway.storing.database import Series

Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""


@dataclass(slots=True)
class _Refused:
    series: Series
    first: int
    last: int
    count: int = 0


class Refusals:
    """How many records of each series were refused, and when they were measured (ms UTC)."""

    def __init__(self) -> None:
        self._of: dict[int, _Refused] = {}

    def add(self, series: Series, ts: int) -> None:
        """Count one more."""
        each = self._of.setdefault(series.id, _Refused(series, ts, ts))
        each.first, each.last, each.count = min(each.first, ts), max(each.last, ts), each.count + 1

    def declare(self, tell: Tell | None, reason: str) -> None:
        """Tell of each series what was refused, and forget it."""
        if tell is None:
            return
        refused, self._of = self._of, {}
        for each in refused.values():
            tell("not-stored", each.series.instrument, kind=each.series.kind, count=each.count,
                 from_ts=each.first, to_ts=each.last, reason=reason)  # fmt: skip
