"""The changes that a subscription tells of one instrument, to snapshots in the order of their source time. Pure.

- What was measured at one time is one snapshot: the nodes that changed with the same source time together.
- A node that changed several times is told as often, each time with its own.
- A full snapshot comes at the start, then at least once in `full_every`, and whenever a state begins or ends to apply
  or to be readable: then the flags of points change that did not change themselves.
- What was known already (the first values behind a Read) is told once.
- Where a server stamps every node by itself, so that there are more times than it samples, those of one sampling
  interval are one snapshot, each point with its own time in `offsets`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from parkgate.config.site import Instrument
from parkgate.drivers.opcua.codec import Decoder, Reading, overflowed, same, time_of
from parkgate.drivers.opcua.plan import LONGEST_QUEUE, Pace
from parkgate.drivers.opcua.present import Present
from parkgate.drivers.opcua.semantics import CHANGED
from parkgate.drivers.snapshot import Snapshot, full_every

MOST_WAITING = 50_000
"""Changes of an instrument that wait for its turn, at most; then the oldest leave, counted."""
DECLARE_S = 60.0
"""How often dropped changes are declared, at most: the first at once."""

Change = tuple[int, Reading]
"""A node, by index into the plan's nodes, and what it changed to."""
Group = tuple[int, Mapping[int, Reading]]
"""A time (ms UTC), and the nodes that changed with it."""


class Changes:
    """What is known of one instrument's nodes, and what changed since its last turn.

    `tick` is a monotonic clock in seconds, `now` the wall clock in ms UTC. `heard`: the nodes that told anything since
    this was last emptied. `told`: what was delivered by the last draining, as a history must know it (`_noted`).
    """

    def __init__(self, instrument: Instrument, decoder: Decoder, pace: Pace, nodes: int) -> None:
        self.known: list[Reading] = []
        self.heard: set[int] = set()
        self.torn = False
        self.told: Sequence[Mapping[int, Reading]] = ()
        self._first: Mapping[int, Reading] | None = None
        self._redefined: set[int] = set()
        self._decoder = decoder
        self._pace = pace
        self._most = min(MOST_WAITING, max(LONGEST_QUEUE, nodes * pace.queue))
        self._waiting: deque[Change] = deque()
        self._full_s = full_every(instrument) / 1000
        self._full_at = self._declare_at = float("-inf")
        self._applying: tuple[bool | None, ...] = ()
        self._present = Present()
        self._dropped = 0

    def begin(self, readings: Sequence[Reading], now: int, tick: float) -> Snapshot:
        """Give the first full snapshot, of a Read of every node."""
        self.known[:] = readings
        self._first = dict(enumerate(readings))
        self._applying = self._decoder.applying(readings)
        self._full_at = tick + self._full_s
        snapshot = self._decoder.decode(readings, now)
        at = self._present.begin(snapshot.at, now)
        return snapshot if at == snapshot.at else self._decoder.whole(readings, now, at)

    def note(self, place: int, reading: Reading) -> None:
        """Take what a node changed to, in the order in which the server told it."""
        self.heard.add(place)
        if overflowed(reading.status):
            self._dropped += 1
        if reading.status & CHANGED:
            self._redefined.add(place)
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append((place, reading))

    def redefined(self) -> set[int]:
        """Give, once, the nodes that told that what they mean has changed; the next value says no more of it."""
        redefined, self._redefined = self._redefined, set()
        return redefined

    @property
    def waiting(self) -> int:
        """How many changes wait for the next turn."""
        return len(self._waiting)

    @property
    def undeclared(self) -> int:
        """How many changes are missing that no snapshot has declared."""
        return self._dropped

    def tear(self) -> None:
        """Take that notifications never came: at least one change is missing."""
        self.torn = True
        self._dropped += 1

    def drain(self, now: int, tick: float, *, last: bool = False) -> list[Snapshot]:
        """Give the snapshots of everything that was noted, in the order of their time; the `last` before a loss."""
        newest = dict(self._waiting)
        groups = joined(grouped(self._news(), now), self._pace)
        self._waiting.clear()
        self.told = self._noted([group for _, group in groups], last=last)
        snapshots: list[Snapshot] = []
        for number, (at, group) in enumerate(groups, start=1):
            due = number == len(groups) and tick >= self._full_at
            snapshot = self._report(at, group, now, tick, due=due)
            if snapshot is not None:
                snapshots.append(snapshot)
        for place, reading in newest.items():  # a source's clock may be set back: what came last counts
            self.known[place] = reading
        if tick >= self._full_at:
            snapshots.append(self.full(now, tick))
        if self._dropped and snapshots and tick >= self._declare_at:
            snapshots[-1] = replace(snapshots[-1], dropped=self._dropped)
            self._dropped, self._declare_at = 0, tick + DECLARE_S
        return snapshots

    def leave(self, now: int) -> list[Snapshot]:
        """Give what was noted before the line is left: whether the rest still stands nobody knows.

        What is missing is declared at once, or where nothing was noted it stays `undeclared`.
        """
        self._full_at, self._declare_at = float("inf"), float("-inf")
        return self.drain(now, 0.0, last=True)

    def full(self, now: int, tick: float) -> Snapshot:
        """Give a full snapshot of what is known, for the present: each point keeps its own time."""
        self._full_at = tick + self._full_s
        return self._decoder.whole(self.known, now, self._present.of(now))

    def _noted(self, told: Sequence[Mapping[int, Reading]], *, last: bool) -> Sequence[Mapping[int, Reading]]:
        """Give what was delivered, what ends a gap first: of each node what was told first by its subscription.

        Between the Read of a session's start and that, a node may have changed more than once, and nobody was told.
        """
        if self._first is None:
            return told
        if not (self.heard or last):
            return ()
        first, self._first = self._first, None
        opening = dict(first)
        for group in reversed(told):
            opening |= group
        return opening, first, *told

    def _news(self) -> Iterable[Change]:
        last: dict[int, Reading] = {}
        for place, reading in self._waiting:
            if not same(reading, last.get(place) or self.known[place]):
                yield place, reading
            last[place] = reading

    def _report(self, at: int, group: Mapping[int, Reading], now: int, tick: float, *, due: bool) -> Snapshot | None:
        for place, reading in group.items():
            self.known[place] = reading
        self._present.hear(at, now)
        if not self._decoder.states.isdisjoint(group):
            applying = self._decoder.applying(self.known)
            due = due or applying != self._applying
            self._applying = applying
        if due:
            self._full_at = tick + self._full_s
            return self._decoder.whole(self.known, now, at)
        return self._decoder.change(self.known, now, at, group)


def grouped(changes: Iterable[Change], now: int) -> list[Group]:
    """Give changes by their time, in its order; a node that changed twice within a millisecond is in two groups."""
    groups: dict[tuple[int, int], dict[int, Reading]] = {}
    for place, reading in changes:
        at, again = time_of(reading, now), 0
        while place in groups.setdefault((at, again), {}):
            again += 1
        groups[at, again][place] = reading
    return [(at, group) for (at, _), group in sorted(groups.items(), key=_order)]


def _order(entry: tuple[tuple[int, int], object]) -> tuple[int, int]:
    return entry[0]


def joined(groups: list[Group], pace: Pace) -> list[Group]:
    """Give the groups with those of one sampling interval together, where there are more than samples were taken."""
    if len(groups) <= pace.queue:
        return groups
    found: list[tuple[int, dict[int, Reading]]] = []
    began = float("-inf")
    for at, group in groups:
        if at - began < pace.sampling and found and _apart(found[-1][1], group):
            _, together = found.pop()
            found.append((at, {**together, **group}))
        else:
            began = at
            found.append((at, dict(group)))
    return list(found)


def _apart(one: Collection[int], other: Mapping[int, Reading]) -> bool:
    return other.keys().isdisjoint(one)
