"""Whole numbers as ranges: what came of a numbered series is a handful of ranges, not a million numbers. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Range = tuple[int, int]
"""First and last number, both included."""


class Ranges:
    """A set of whole numbers, kept as sorted ranges that neither overlap nor touch."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    @property
    def first(self) -> int:
        """The lowest number, 0 if there is none."""
        return self._firsts[0] if self._firsts else 0

    @property
    def last(self) -> int:
        """The highest number, 0 if there is none."""
        return self._lasts[-1] if self._lasts else 0

    def add(self, first: int, last: int) -> None:
        """Add every number from `first` to `last`; the order of calls does not matter."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def gaps(self, first: int, last: int) -> tuple[Range, ...]:
        """Give what of `first` to `last` is not in here, lowest first."""
        found = []
        for have_first, have_last in self:
            if have_last < first:
                continue
            if have_first > last:
                break
            if have_first > first:
                found.append((first, have_first - 1))
            first = have_last + 1
        if first <= last:
            found.append((first, last))
        return tuple(found)


def below(ranges: tuple[Range, ...], limit: int) -> tuple[Range, ...]:
    """Give the part of some ranges that lies below `limit`."""
    return tuple((first, min(last, limit - 1)) for first, last in ranges if first < limit)
