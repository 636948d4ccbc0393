"""The intervals of the statistics, pure: minutes, tens, hours and days, as the gateway's time zone has them.

Times are milliseconds UTC. An hour begins where the local clock shows a full one, a day at local midnight. Where the
local clock is put forward or back, the hour and the day in which that happens are shorter or longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from parkgate.config.site import Statistics, periods_of

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One of the periods of a site's statistics: its name in topics, its usual length, and the zone it begins in."""

    name: str
    length: int
    zone: ZoneInfo

    def start(self, at: int) -> int:
        """Give when the interval begins that a time lies in."""
        if self.length == MINUTE:
            return at - at % MINUTE
        if self.length == DAY:
            return self._midnight(at)
        offset = self._offset(at)
        start = (at + offset) // self.length * self.length - offset
        return start + offset - self._offset(start)  # the clock was put forward or back within the interval

    def end(self, start: int) -> int:
        """Give when an interval ends that begins at `start`: when the next one begins."""
        later = start + self.length
        while (following := self.start(later)) <= start:
            later += self.length // 2  # the clock is put back within it
        return following

    def starts(self, first: int, end: int) -> Iterator[int]:
        """Give when each interval begins from `first` on, which begins one, and before `end`."""
        while first < end:
            yield first
            first = self.end(first)

    def _offset(self, at: int) -> int:
        offset = (_EPOCH + at * _MILLISECOND).astimezone(self.zone).utcoffset()
        return offset // _MILLISECOND if offset else 0

    def _midnight(self, at: int) -> int:
        day = (_EPOCH + at * _MILLISECOND).astimezone(self.zone).date()
        return (datetime(day.year, day.month, day.day, tzinfo=self.zone) - _EPOCH) // _MILLISECOND


def periods(statistics: Statistics, timezone: str) -> tuple[Period, ...]:
    """Give the periods of a site's statistics, the shortest first."""
    zone = ZoneInfo(timezone)
    lengths = (MINUTE, statistics.period, HOUR, DAY)
    return tuple(Period(name, length, zone) for name, length in zip(periods_of(statistics), lengths, strict=True))
