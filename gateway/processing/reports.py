"""The change reports of one instrument as they come, pure: what stands, and which interval it is counted in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.reported import NEVER, Course, Reported
from parkgate.gateway.processing.statistics import Plan, Standing

PROOF = 180_000
"""Milliseconds for which a report proves that what stands still does: a full snapshot comes every minute."""
STEP = 60_000
"""Milliseconds: a full report that is older by more, and neither late nor new, shows a clock that was put back."""
LONGEST = 7_200_000
"""Milliseconds of silence that are looked at in one go; what was before has no holes that a history could fill."""
FOLD = 10_000
"""Values that wait to be looked at together: a few milliseconds' work."""


class Reports:
    """What stands of one instrument, and the open tallies that its reports go into, by the interval's start.

    Reports wait until there are many, or an interval ends. Those that just tell new values are then added point by
    point, the others one by one.
    """

    def __init__(self, plan: Plan, since: int) -> None:
        measures = plan.measures
        self.open: dict[int, Reported] = {}
        self._plan = plan
        self._standing = [NEVER] * len(measures)
        self._since = [since] * len(measures)
        self._own = [-1] * len(measures)
        self._told = [-1] * len(measures)
        self._newest = since - 1
        self._waiting: list[Snapshot] = []
        self._gathered: dict[int, tuple[list[int], list[float]]] = {}
        self._gathered_in = 0
        self._numbers = {each.place: number for number, each in enumerate(measures)}
        weighing = {each.weight for each in measures}
        special = {
            each.place for each in measures if each.direction or each.weight is not None or each.place in weighing
        }
        self._special = frozenset(special)
        self._plain = frozenset(self._numbers) - special
        self._dependent: dict[int, list[int]] = {}
        for number, each in enumerate(measures):
            if each.weight is not None:
                self._dependent.setdefault(each.weight, []).append(number)

    def take(self, snapshot: Snapshot) -> Iterable[int]:
        """Take a report; give the beginning of its interval."""
        start = self._plan.base.start(snapshot.at)
        self._tally(start)
        self._waiting.append(snapshot)
        if len(self._waiting) * len(self._standing) >= FOLD:
            self._fold()
        return (start,)

    def settle(self, until: int) -> None:
        """Let what stands have stood until a time, as long as it is proved, in every interval before it."""
        self._fold()
        proved = self._newest + PROOF
        if until > proved and any(standing != NEVER for standing in self._standing):
            self._enter_all(proved, NEVER)
        for number in range(len(self._plan.measures)):
            self._stand(number, until)

    def forget(self) -> None:
        """Note that from behind the newest report on nobody looked."""
        self._fold()
        self._enter_all(self._newest + 1, NEVER)

    def resume(self, end: int, tally: Reported, own: Sequence[int], newest: int) -> None:
        """Go on behind the interval of this tally, which ended at `end`."""
        self._standing = [course.ends for course in tally.courses]
        self._since = [end] * len(self._standing)
        self._own = [min(each, end - 1) for each in own]
        self._newest = min(newest, end - 1)

    @property
    def newest(self) -> int:
        """The time of the newest report."""
        return self._newest

    @property
    def own(self) -> list[int]:
        """The newest time of its own that each point was told with, in the order of the plan."""
        return list(self._own)

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        for snapshot in waiting:
            ordinary = not (snapshot.flags or snapshot.offsets or snapshot.late)
            if ordinary and self._newest < snapshot.at <= self._newest + PROOF:
                self._gather(snapshot)
                for place in self._special - snapshot.absent:
                    self._tell(self._numbers[place], place, snapshot)
            else:
                self._add()
                self._look(snapshot)
            self._newest = max(self._newest, snapshot.at)
        self._add()

    def _gather(self, snapshot: Snapshot) -> None:
        """Put the new values of a report to those before it, while they are of one interval."""
        at, values, gathered = snapshot.at, snapshot.values, self._gathered
        if (start := self._plan.base.start(at)) != self._gathered_in:
            self._add()
            self._gathered_in = start
        for place in self._plain - snapshot.absent if snapshot.absent else self._plain:
            value = float(cast("float", values[place]))
            if place in gathered:
                times, told = gathered[place]
                times.append(at)
                told.append(value)
            else:
                gathered[place] = [at], [value]

    def _add(self) -> None:
        """Add what was gathered."""
        for place, (times, values) in self._gathered.items():
            number = self._numbers[place]
            self._stand(number, times[0])
            self._course(self._gathered_in, number).changed(times, values)
            self._standing[number] = Standing(values[-1], "")
            self._since[number] = self._own[number] = self._told[number] = times[-1]
        self._gathered.clear()

    def _look(self, snapshot: Snapshot) -> None:
        """Take a report that tells more than new values: flags, times of points of their own, or of an earlier time."""
        at = snapshot.at
        if not (snapshot.late or snapshot.absent) and at < self._newest - STEP and not self._new(snapshot):
            self._put_back(at)
        if at > self._newest + PROOF:
            self._enter_all(self._newest + PROOF, NEVER)
        for number, measure in enumerate(self._plan.measures):
            if measure.place not in snapshot.absent:
                self._tell(number, measure.place, snapshot)

    def _new(self, snapshot: Snapshot) -> bool:
        """Tell whether a point is newer than it was by its own time: an analyser tells what it sampled minutes ago."""
        own = ((number, snapshot.at + snapshot.offsets.get(place, 0)) for place, number in self._numbers.items())
        return any(at > self._own[number] for number, at in own)

    def _tell(self, number: int, place: int, snapshot: Snapshot) -> None:
        """Take what a report says of one point."""
        at, flag = snapshot.at, snapshot.flags.get(place)
        standing = Standing(0.0, flag.value) if flag else Standing(float(cast("float", snapshot.values[place])), "")
        own = at + snapshot.offsets.get(place, 0)
        newer = own > self._own[number]
        course = self._course(self._plan.base.start(at), number)
        if newer or own == at:  # else it is a repeat
            course.n += 1
            course.valid += not flag
        if snapshot.late or (own == at and not newer):
            course.late.append([at, *standing])
            return
        if newer:
            self._own[number] = own
        if standing != self._standing[number]:
            # What a report says of before the one before it stands from now on: nobody saw it begin.
            self._enter(number, own if self._newest < own <= at else at, standing)
        if flag is not Flag.NO_COMMUNICATION:
            self._told[number] = max(at, self._told[number])

    def _put_back(self, at: int) -> None:
        """Go on from an earlier time: the clock was put back, and what stands now is counted for that time again."""
        self._since = [at] * len(self._since)
        self._own = [min(own, at - 1) for own in self._own]
        self._newest = at

    def _enter_all(self, at: int, standing: Standing) -> None:
        for number in range(len(self._plan.measures)):
            self._enter(number, at, standing)

    def _enter(self, number: int, at: int, standing: Standing) -> None:
        """Let something else stand from a time on."""
        at = max(at, self._since[number])
        for dependent in self._dependent.get(self._plan.measures[number].place, ()):
            self._stand(dependent, at)
        self._stand(number, at)
        self._standing[number] = standing

    def _stand(self, number: int, until: int) -> None:
        """Add to each interval what has stood so far, up to a time."""
        measure, base = self._plan.measures[number], self._plan.base
        standing, weight = self._standing[number], self._weight(measure.weight)
        if until - self._since[number] > LONGEST:
            self._since[number] = base.start(until - LONGEST)
        while (since := self._since[number]) < until:
            begin = base.start(since)
            last = min(base.end(begin), until)
            course = self._course(begin, number)
            course.stood(since, last, standing, measure, weight, self._told[number])
            course.ends, course.told = standing, self._told[number]
            self._since[number] = last

    def _weight(self, place: int | None) -> float | None:
        if place is None or place not in self._numbers:
            return None
        standing = self._standing[self._numbers[place]]
        return None if standing.flag else standing.value

    def _course(self, start: int, number: int) -> Course:
        return self._tally(start).courses[number]

    def _tally(self, start: int) -> Reported:
        if start not in self.open:
            self.open[start] = Reported(self._plan)
        return self.open[start]
