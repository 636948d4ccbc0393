"""What leaves the outbox, pure: what was delivered and is old; then, where the disk budget is used, the oldest.

Delivered rows go before undelivered ones. An undelivered row that goes is expired: each is declared, by its series
and range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

BATCH = 2_000
"""Rows that one pass removes at most: a larger delete would grow the WAL and block the outbox's thread."""
ROOM = 0.95
"""Part of the budget that is left in use after making room."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored row as retention sees it: `ts` in milliseconds UTC, `settled` if every uplink has had it."""

    id: int
    series: int
    seq: int
    ts: int
    kind: str
    settled: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """A run of undelivered records of one series, without a hole, that are removed."""

    series: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """Give how many records that are."""
        return self.last - self.first + 1


def outdated(rows: Iterable[Stored], now: int, keep: Callable[[str], int]) -> list[int]:
    """Give the delivered rows that are older than their kind is kept (milliseconds)."""
    return [row.id for row in rows if row.settled and row.ts < now - keep(row.kind)]


def rows_over(used: int, allowed: int, rows: int) -> int:
    """Give how many of `rows` rows must go, at most `BATCH`, to bring `used` bytes below `allowed`; 0 if it is."""
    if used <= allowed:
        return 0
    return min(BATCH, max(1, round((1 - allowed * ROOM / used) * rows)))


def to_remove(rows: Sequence[Stored], count: int) -> tuple[list[int], list[Expired]]:
    """Choose `count` of the oldest rows to remove, delivered ones first; give them, and what expires by it."""
    chosen = sorted(rows, key=lambda row: (not row.settled, row.id))[:count]
    return sorted(row.id for row in chosen), _runs((row.series, row.seq) for row in chosen if not row.settled)


def _runs(records: Iterable[tuple[int, int]]) -> list[Expired]:
    runs: list[Expired] = []
    for series, seq in sorted(records):
        if runs and (runs[-1].series, runs[-1].last) == (series, seq - 1):
            runs[-1] = Expired(series, runs[-1].first, seq)
        else:
            runs.append(Expired(series, seq, seq))
    return runs
