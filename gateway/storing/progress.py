"""How far an uplink has come in the outbox, pure.

Rows are numbered 1, 2, 3 … by `id` in the order they were stored, whatever series they belong to. A row is settled for
an uplink once it was delivered, or quarantined or expired and declared. Everything up to `position` is settled; `ahead`
holds the ranges above it that are settled too, since live records pass the backlog. Both fit in one small row.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence


class Progress:
    """What one uplink has had: `position`, and the settled ranges above it."""

    __slots__ = ("_firsts", "_lasts", "position")

    def __init__(self, position: int = 0, ahead: Sequence[Sequence[int]] = ()) -> None:
        self.position = position
        self._firsts = [first for first, _ in ahead]
        self._lasts = [last for _, last in ahead]

    @classmethod
    def parse(cls, position: int, ahead: str) -> Progress:
        """Read what `ahead` wrote."""
        return cls(position, json.loads(ahead))

    @property
    def ahead(self) -> str:
        """The settled ranges above `position`, as JSON: `[[first, last], …]`."""
        return json.dumps(list(zip(self._firsts, self._lasts, strict=True)), separators=(",", ":"))

    @property
    def settled(self) -> int:
        """How many rows are settled, counted from row 1."""
        return self.position + sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    @property
    def pieces(self) -> int:
        """Give how many settled ranges stand above `position`."""
        return len(self._firsts)

    @property
    def highest(self) -> int:
        """Give the highest settled row."""
        return self._lasts[-1] if self._lasts else self.position

    @property
    def begins_again(self) -> int:
        """Give the first settled row above the hole behind `position`, the one after it if there is none."""
        return self._firsts[0] if self._firsts else self.position + 1

    def settle(self, first: int, last: int) -> None:
        """Note that the rows from `first` to `last` are settled."""
        first = max(first, self.position + 1)
        if last < first:
            return
        left = bisect_left(self._lasts, first - 1)
        right = left
        while right < len(self._firsts) and self._firsts[right] <= last + 1:
            right += 1
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]
        if self._firsts[0] == self.position + 1:
            self.position = self._lasts[0]
            del self._firsts[0], self._lasts[0]

    def hole_ends(self, newest: int) -> int:
        """Give the last row of the unsettled hole that begins behind `position`."""
        return self._firsts[0] - 1 if self._firsts else newest

    def covers(self, row: int) -> bool:
        """Tell whether a row is settled."""
        if row <= self.position:
            return True
        place = bisect_left(self._lasts, row)
        return place < len(self._firsts) and self._firsts[place] <= row

    def settled_from(self, row: int, newest: int) -> int:
        """Give the first settled row from `row` on, the one behind `newest` if there is none."""
        if self.covers(row):
            return row
        place = bisect_left(self._lasts, row)
        return self._firsts[place] if place < len(self._firsts) else newest + 1

    def settled_until(self, row: int) -> int:
        """Give the last row of the settled range that a settled row stands in."""
        return self.position if row <= self.position else self._lasts[bisect_left(self._lasts, row)]
