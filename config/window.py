"""A maintenance or calibration window as data: when it opens, for how long, and which points it covers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import time
from typing import Literal

from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.problem import shown, suggestion
from parkgate.config.quantity import Milliseconds

WindowFlag = Literal["maintenance", "calibration", "out-of-service"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = 86_400_000
"""Milliseconds that a window of the site file lasts at most."""
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

Finding = tuple[tuple[str | int, ...], str]
"""The keys below `windows` of an instrument, and what is wrong there."""


class Window(Model):
    """A time in which people work on an instrument, or it measures span gas: its values then carry this flag.

    It opens `at` this time of the day by the gateway's time zone, on these `days` (every day where none is named), and
    `lasts` so long (ms), over midnight too. It covers `points`, all where none is named.
    """

    flag: WindowFlag
    at: str
    lasts: Milliseconds
    days: tuple[Day, ...] = ()
    points: tuple[str, ...] = ()
    why: str = ""

    @property
    def opens(self) -> time:
        """The time of the day at which it opens, by the gateway's time zone."""
        hour, minute = self.at.split(":")
        return time(int(hour), int(minute))

    @property
    def weekdays(self) -> frozenset[int]:
        """The weekdays on which it opens, Monday is 0."""
        return frozenset(map(DAYS.index, self.days or DAYS))


def window_findings(windows: Sequence[Window], points: Sequence[str]) -> Iterator[Finding]:
    """Give everything that is wrong with the windows of an instrument that has these points."""
    for place, window in enumerate(windows):
        if not _TIME.fullmatch(window.at):
            yield (place, "at"), say('"{value}" is no time of the day; write it as "02:00" or "23:30"',
                                     value=shown(window.at))  # fmt: skip
        if window.lasts > LONGEST:
            yield (place, "lasts"), say("must be at most 24 h; for longer write one for each day")
        for number, name in enumerate(window.points):
            if name not in points:
                text = say('there is no point "{name}", or it is disabled', name=shown(name))
                yield (place, "points", number), text + suggestion(name, points)
        if window in windows[:place]:
            yield (place, "flag"), say("this window stands there twice; leave one out")
