"""Windows while the agent runs: people open, end and list them, the schedule opens and closes its own, the trail knows.

A window holds from the moment that it is in the outbox's queue; who opens one is answered once it is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args
from zoneinfo import ZoneInfo

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.site import Instrument, Site
from parkgate.config.window import WindowFlag
from parkgate.gateway.clock import Clock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.trail import Entry
from parkgate.gateway.processing.windows import SCHEDULE, Holding, Span, Windows
from parkgate.gateway.storing.outbox import Outbox

LONGEST = 7 * 86_400_000
"""Milliseconds that a window of a person's lasts at most: one that is forgotten ends."""
LOOK, AGAIN = 60.0, 1.0
"""Seconds between two looks at the clock, and until what the outbox did not take is offered again."""
SLACK = 60.0
"""Seconds that the loop may be late by."""
SAID = 500
"""Characters of a name, or of a reason."""
OVER = "its time is over"
GONE = "the site file has it no more"

Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Hall:
    """What the windows of a gateway are given.

    `look` looks at the clock: `shift` hears of a step. The collectors do so before each reading is judged.
    """

    outbox: Outbox
    clock: Clock
    tell: Tell
    look: Callable[[], object]
    heart: Heart


class Windowing:
    """The windows of all instruments of a site."""

    def __init__(self, hall: Hall, site: Site, kept: Iterable[Entry]) -> None:
        zone = ZoneInfo(site.gateway.timezone)
        self._hall = hall
        self._instruments = {each.name: each for each in site.instruments}
        self._windows = {each.name: Windows(each, zone) for each in site.instruments}
        self._wake = asyncio.Event()
        for entry in kept:
            with contextlib.suppress(LookupError, TypeError, ValueError):  # a newer version wrote it otherwise
                self._replay(entry)

    def of(self, instrument: Instrument) -> Callable[[int], Holding]:
        """Give what tells the flags that hold for an instrument at a time, ms UTC."""
        windows, clock = self._windows[instrument.name], self._hall.clock

        def holding(at: int) -> Holding:
            if not windows.any:
                return ()
            windows.see(clock.now())
            return windows(at)

        return holding

    def shift(self, offset: int) -> None:
        """Go on beside a clock that was stepped by so many ms."""
        now = self._hall.clock.now()
        for each in self._windows.values():
            each.shift(offset, now)
        self._wake.set()

    async def run(self) -> None:
        """Tell what opens and closes, when it does; for ever."""
        while True:
            self._wake.clear()
            now = self._hall.clock.now()
            taken = [self._tell_changes(name, now) for name in self._windows]
            following = min((each.next(now) for each in self._windows.values() if each.any), default=None)
            wait = LOOK if following is None else min(LOOK, max(0.0, (following - now) / 1000))
            wait = wait if all(taken) else AGAIN
            self._hall.heart.expect(wait + SLACK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def open(self) -> list[dict[str, object]]:
        """Give the windows that are open, the first to close first."""
        found = [(span.until, name, span) for name, windows in self._windows.items() for span in windows.told]
        return [{"instrument": name, **_about(span)} for _, name, span in sorted(found, key=lambda each: each[:2])]

    async def answer(self, request: Mapping[str, Any]) -> Answer:
        """Answer the verb `window`: `{"instrument":…,"flag":…,"for":7200000,"points":[…],"by":…,"why":…}` opens one.

        `{"instrument":…,"end":true,"by":…,"why":…}` ends those that are open; without an instrument nothing changes.
        Gives what is `open` then, and what was `opened` or `ended`, once it is on the disk; or an `error`.
        """
        if request.get("instrument") is None:
            return {"now": self._hall.clock.now(), "open": self.open()}
        name = str(request["instrument"])
        if trouble := self._trouble(request):
            return {"error": trouble}
        self._hall.look()
        done = self._end(name, request) if request.get("end") else self._begin(name, request)
        if done is None:
            return {"error": say("the outbox takes nothing now: nothing was changed; try again, see parkgate status")}
        await self._hall.outbox.commit()
        self._wake.set()
        key = "ended" if request.get("end") else "opened"
        return {"now": self._hall.clock.now(), "open": self.open(), key: done}

    def _trouble(self, request: Mapping[str, Any]) -> str:
        """Say what is wrong with a request; nothing where all is well."""
        instrument = self._instruments.get(str(request.get("instrument")))
        if instrument is None:
            return say("there is no such instrument; known: {names}", names=", ".join(self._instruments))
        by, why = request.get("by"), request.get("why")
        if not (_said(by) and _said(why)) or by == SCHEDULE:
            return say("a window needs who opens or ends it (by) and why")
        if request.get("end"):
            return "" if self._windows[instrument.name].told else say("no window is open there")
        return self._unopenable(instrument, request)

    def _unopenable(self, instrument: Instrument, request: Mapping[str, Any]) -> str:
        flag, lasts, points = request.get("flag"), request.get("for"), request.get("points") or []
        flags, names = get_args(WindowFlag), [point.name for point in instrument.points]
        if flag not in flags:
            return say("the flag of a window is one of {flags}", flags=", ".join(flags))
        if type(lasts) is not int or not 0 < lasts <= LONGEST:
            return say("a window lasts at most 7 days; open it again if it is not enough")
        if not isinstance(points, list) or [each for each in points if each not in names]:
            return say("there is no such point; known: {names}", names=", ".join(names))
        told = self._windows[instrument.name].told
        if any((span.flag, span.points) == (flag, tuple(points)) and span.by != SCHEDULE for span in told):
            return say("this window is open already; end it first, or name other points")
        return ""

    def _begin(self, name: str, request: Mapping[str, Any]) -> list[dict[str, object]] | None:
        now = self._hall.clock.now()
        points = tuple(request.get("points") or ())
        span = Span(Flag(request["flag"]), points, now, now + request["for"], request["by"], request["why"], now)
        taken = {each.key for each in self._windows[name].told}
        while span.key in taken:  # a schedule's own opened in this very millisecond
            span = replace(span, since=span.since + 1, opened=span.opened + 1)
        return [{"instrument": name, **_about(span)}] if self._told_open(name, span) else None

    def _end(self, name: str, request: Mapping[str, Any]) -> list[dict[str, object]] | None:
        now, by, why = self._hall.clock.now(), request["by"], request["why"]
        told = self._windows[name].told
        ended = [span for span in told if self._told_closed(name, span, now, by, why)]
        return [{"instrument": name, **_about(replace(span, until=now))} for span in ended] or None

    def _tell_changes(self, name: str, now: int) -> bool:
        """Tell what opened and closed by itself; tell whether the outbox took all of it."""
        opened, closed = self._windows[name].changes(now)
        taken = [self._told_open(name, span) for span in opened]
        for span in closed:
            why = OVER if span.until <= now else GONE
            taken.append(self._told_closed(name, span, min(span.until, now), SCHEDULE, why))
        return all(taken)

    def _told_open(self, name: str, span: Span) -> bool:
        taken = bool(self._hall.tell("window-opened", name, **_about(span)))
        if taken:
            self._windows[name].open(span)
        return taken

    def _told_closed(self, name: str, span: Span, at: int, by: str, why: str) -> bool:
        about = {**_about(span), "since": span.opened, "until": at, "by": by, "why": why}
        taken = bool(self._hall.tell("window-closed", name, **about))
        if taken:
            self._windows[name].close(span.key, at, by)
        return taken

    def _replay(self, entry: Entry) -> None:
        """Take what the trail says of windows; what it says of an instrument that left is past."""
        detail = entry.detail
        if entry.event in {"clock-stepped", "clock-set"}:
            for each in self._windows.values():
                each.shift(int(detail["offset"]), entry.ts)
        elif (windows := self._windows.get(entry.subject)) is not None:
            flag, points, since = Flag(detail["flag"]), tuple(detail["points"]), int(detail["since"])
            if entry.event == "window-opened":
                windows.open(Span(flag, points, since, detail["until"], detail["by"], detail["why"], since))
            else:
                windows.close((flag, points, since), detail["until"], detail["by"])


def _about(span: Span) -> dict[str, object]:
    """Give what an entry says of a window; `points` is empty where it covers all."""
    return {
        "flag": str(span.flag), "points": list(span.points), "since": span.since, "until": span.until,
        "by": span.by, "why": span.why,
    }  # fmt: skip


def _said(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text.strip()) <= SAID
