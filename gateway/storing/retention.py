"""What leaves the outbox, pure: what was delivered and is old; then, where the disk budget is used, by `Rank`.

An undelivered row that goes is expired: each is declared, by its series and range, to the uplinks that never had it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from parkgate.gateway.storing.progress import Progress

BATCH = 5_000
"""Rows that one pass removes at most: a larger delete would grow the WAL and block the outbox's thread."""
ROOM = 0.95
"""Part of the budget that is left in use after making room."""
Span = tuple[int, int]
"""Rows from the first to the last."""
Declared = tuple[str, str, Mapping[str, Any]]
"""An event that declares numbers as never to come: its name, its subject and its details."""
DECLARING = frozenset({"expired", "quarantined", "damaged"})
"""The events that do."""
_SAME = ("kind", "epoch", "uplinks", "reason")


class Rank(IntEnum):
    """What goes first when the disk budget is used; within a rank the oldest."""

    DELIVERED = 0
    """Every uplink has had it."""
    AWAY = 1
    """Only uplinks that were not reached for long have not: a dead platform takes no room from one that lives."""
    ORDINARY = 2
    """Undelivered, of an instrument of no safety duty."""
    SAFETY = 3
    """Undelivered, of a safety instrument; or an alarm, or an event, which declares what else was lost."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored row as retention sees it: `ts` in milliseconds UTC, `lacking` the uplinks that have not had it."""

    id: int
    series: int
    seq: int
    ts: int
    kind: str
    rank: Rank
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expired:
    """A run of records of one series, without a hole, that are removed before the same uplinks have had them."""

    series: int
    lacking: tuple[str, ...]
    first: int
    last: int

    @property
    def count(self) -> int:
        """Give how many records that are."""
        return self.last - self.first + 1


def rank_of(kind: str, *, safety: bool, lacking: Collection[str], away: Collection[str]) -> Rank:
    """Tell what goes before what: by who has not had a row, its kind, and whether its instrument is one of safety."""
    if not lacking:
        return Rank.DELIVERED
    if all(each in away for each in lacking):
        return Rank.AWAY
    return Rank.ORDINARY if kind.partition("/")[0] in {"data", "stats"} and not safety else Rank.SAFETY


def settled_by_all(progresses: Sequence[Progress], newest: int) -> list[Span]:
    """Give the rows up to `newest` that all of these have had, as ranges; none where there is nobody to have them."""
    spans: list[Span] = []
    row = 1
    while progresses and row <= newest:
        start = max(each.settled_from(row, newest) for each in progresses)
        if start > row:
            row = start
            continue
        last = min(each.settled_until(row) for each in progresses)
        spans.append((row, min(last, newest)))
        row = last + 1
    return spans


def others(spans: Iterable[Span], newest: int) -> list[Span]:
    """Give the rows from 1 to `newest` that stand in none of these ranges (ascending)."""
    left: list[Span] = []
    row = 1
    for first, last in spans:
        if first > row:
            left.append((row, first - 1))
        row = last + 1
    if row <= newest:
        left.append((row, newest))
    return left


def above(spans: Iterable[Span], row: int) -> list[Span]:
    """Give what of these ranges stands above a row."""
    return [(max(first, row + 1), last) for first, last in spans if last > row]


def outdated(rows: Iterable[Stored], now: int, keep: Callable[[str], int]) -> list[Stored]:
    """Give the rows that nobody of importance waits for and that are older than their kind is kept (milliseconds)."""
    return [row for row in rows if row.rank <= Rank.AWAY and row.ts < now - keep(row.kind)]


def rows_over(used: int, allowed: int, rows: int) -> int:
    """Give how many of `rows` rows must go, at most `BATCH`, to bring `used` bytes below `allowed`; 0 if it is."""
    if used <= allowed:
        return 0
    return min(BATCH, max(1, round((1 - allowed * ROOM / used) * rows)))


def to_remove(rows: Iterable[Stored], count: int) -> list[Stored]:
    """Choose `count` rows to remove: the lowest rank first, the oldest of it first. They are given by age."""
    chosen = sorted(rows, key=lambda row: (row.rank, row.id))[:count]
    return sorted(chosen, key=lambda row: row.id)


def merged(declared: Iterable[Declared]) -> list[Declared]:
    """Give what declaring events say in as few events as can say it: they themselves are about to leave.

    An event that declared a loss must not be lost with what it said.
    """
    found: list[Declared] = []
    for name, subject, detail in sorted(declared, key=_place):
        last = found[-1] if found else None
        if last and last[:2] == (name, subject) and _continues(last[2], detail):
            both = {"to": max(last[2]["to"], detail["to"])}
            found[-1] = name, subject, {**last[2], **both, "count": both["to"] - last[2]["from"] + 1}
        else:
            found.append((name, subject, detail))
    return found


def _place(declared: Declared) -> tuple[Any, ...]:
    name, subject, detail = declared
    return name, subject, *(str(detail.get(key)) for key in _SAME), detail["from"]


def _continues(last: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    same = all(last.get(key) == detail.get(key) for key in _SAME)
    return bool(same and detail["from"] <= last["to"] + 1)


def runs(rows: Iterable[Stored]) -> list[Expired]:
    """Give what expires where these rows are removed, by series, range and the uplinks that never get it."""
    found: list[Expired] = []
    waited_for = ((row.series, row.seq, row.lacking) for row in rows if row.lacking)
    for series, seq, lacking in sorted(waited_for):
        if found and (found[-1].series, found[-1].lacking, found[-1].last) == (series, lacking, seq - 1):
            found[-1] = Expired(series, lacking, found[-1].first, seq)
        else:
            found.append(Expired(series, lacking, seq, seq))
    return found
