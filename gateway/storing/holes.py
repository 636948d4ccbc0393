"""What is missing in an outbox that was carried over: rows, and the numbers of its series. Pure.

Whatever every uplink has had may be missing: it left in order. The numbers of a series below its `low` are settled.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from parkgate.gateway.storing.database import Series
from parkgate.gateway.storing.progress import Progress

Seen = tuple[int, int, int]
"""A record that came over: its row, its series and its number in it."""
Range = tuple[int, int]
_ENDLESS = 2**63


@dataclass(frozen=True, slots=True)
class Hole:
    """A range of numbers of a series that is lost, and the known uplinks that never had all of it."""

    series: Series
    first: int
    last: int
    uplinks: tuple[str, ...]


def missing(rows: Iterable[int], progress: Iterable[Progress], newest: int) -> list[Range]:
    """Give the ranges of rows that are not there, from row 1 to the newest that is known; `rows` are ascending."""
    gaps, before = [], 0
    for row in rows:
        if row > before + 1:
            gaps.append((before + 1, row - 1))
        before = row
    newest = max([newest, *(each.highest for each in progress)])
    return [*gaps, (before + 1, newest)] if newest > before else gaps


def holes(
    seen: Iterable[Seen], series: Mapping[int, Series], progress: Mapping[str, Progress], gaps: Sequence[Range]
) -> list[Hole]:
    """Give every hole in the numbers of the series: before, between and behind the records that came over.

    `gaps` are the rows that are missing: a hole counts for the uplinks that have not had all of those in its place.
    """
    lost = {name: _unsettled(each, gaps) for name, each in progress.items()}
    found: list[Hole] = []
    came = {number: (0, each.low - 1) for number, each in series.items()}
    for row, number, seq in seen:
        if number in series:
            after, before = came[number]
            came[number] = row, max(before, seq)
            without = tuple(name for name, ranges in lost.items() if _meets(ranges, after + 1, row - 1))
            if seq > before + 1 and (without or not progress):
                found.append(Hole(series[number], before + 1, seq - 1, without))
    for number, (after, before) in came.items():
        count = series[number].seq - before
        without = tuple(name for name, ranges in lost.items() if _meets(ranges, after + 1, _ENDLESS))
        if count > 0 and _room(gaps, after) < count:
            without = tuple(progress)  # they stood behind every row that is known
        if count > 0 and (without or not progress):
            found.append(Hole(series[number], before + 1, series[number].seq, without))
    return found


def _unsettled(progress: Progress, gaps: Sequence[Range]) -> list[Range]:
    """Give the gaps of which an uplink has not had everything."""
    seen = Progress.parse(progress.position, progress.ahead)
    found = []
    for first, last in gaps:
        before = seen.settled
        seen.settle(first, last)
        if seen.settled > before:
            found.append((first, last))
    return found


def _meets(ranges: Sequence[Range], first: int, last: int) -> bool:
    place = bisect_left(ranges, first, key=lambda each: each[1])
    return place < len(ranges) and ranges[place][0] <= last


def _room(gaps: Sequence[Range], after: int) -> int:
    """Give how many rows are missing behind the row `after`."""
    return sum(last - max(first, after + 1) + 1 for first, last in gaps if last > after)
