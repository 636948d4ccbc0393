"""What an instrument's nodes delivered last, and which intervals were missed since: node by node, pure.

Every node has its own source, which may have its own clock, so each has its own edges: a missed value is strictly newer
than the newest that was delivered, and strictly older than the first one behind the gap. Nothing comes twice then.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from parkgate.config.flag import Flag
from parkgate.drivers.driver import Recalled
from parkgate.drivers.opcua.codec import Reading, judge, time_of
from parkgate.drivers.opcua.plan import NodeAddress, Plan

DAY = 86_400_000
LONGEST = 7 * DAY
"""Milliseconds of a gap that are filled, its newest; what is older is declared: no line reads for days."""
MOST_GAPS = 20
"""Gaps that wait to be filled; what is missed beyond is declared."""
_NOTHING_SAID = frozenset({Flag.NO_COMMUNICATION, Flag.BAD_CONFIGURATION})

Span = tuple[int, int]
"""What was missed of a node: strictly after the first, strictly before the second (ms UTC)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An interval that was missed: `spans` by node, of those alone that said something new behind it.

    `start` and `end` are the newest edges of all nodes. `held` are the readings of the state nodes that were in force
    when it began; `after` those that came first behind it. `known` are a node and a time within its span that were
    delivered all the same: not every server sends in order.
    """

    start: int
    end: int
    spans: Mapping[int, Span]
    held: Mapping[int, Reading] = field(default_factory=dict)
    after: Mapping[int, Reading] = field(default_factory=dict)
    known: set[tuple[int, int]] = field(default_factory=set)
    count: int = 0


class Delivered:
    """What was delivered of one instrument, by the index of its nodes in the plan, and what was missed."""

    def __init__(self, plan: Plan) -> None:
        self.gaps: deque[Gap] = deque()
        self.told: list[Recalled] = []
        self._keys = tuple(map(_key, plan.nodes))
        self._fingerprint = zlib.crc32(" ".join(self._keys).encode())
        self._guessed = False
        self._states = frozenset(plan.states)
        self._newest: dict[int, int] = {}
        self._held: dict[int, Reading] = {}
        self._covered: dict[int, int] = {}  # of a node that was silent behind a gap: until when that gap counts for it
        self._before: tuple[dict[int, int], dict[int, Reading]] | None = None

    @property
    def known(self) -> bool:
        """Tell whether anything was delivered so far."""
        return bool(self._newest)

    def lose(self) -> None:
        """Note that from now on something may be missed, until something is delivered again."""
        if self._before is None and self._newest:
            self._before = dict(self._newest), dict(self._held)

    def note(self, readings: Mapping[int, Reading], now: int) -> None:
        """Note what was delivered, by node, `now` (ms UTC): the first behind a loss ends the gap.

        A node that cannot be reached, or is none, says nothing.
        """
        times = {
            place: time_of(each, now)
            for place, each in readings.items()
            if not each.status or judge(each.status)[0] not in _NOTHING_SAID
        }
        if times and self._before is not None:
            (newest, held), self._before = self._before, None
            self._missed(newest, held, times, {place: readings[place] for place in self._states & times.keys()})
        for gap in self.gaps:
            within = ((place, times[place], *span) for place, span in gap.spans.items() if place in times)
            gap.known.update((place, time) for place, time, since, until in within if since < time < until)
        for place, time in times.items():
            old = self._newest.get(place, time)
            # A clock that is put back a little could let what was delivered come again out of the history.
            self._newest[place] = time if time > old or time < old - DAY else old
        if self._covered:
            self._covered = {place: until for place, until in self._covered.items() if times.get(place, 0) < until}
        self._held |= {place: readings[place] for place in self._states & readings.keys()}

    def _missed(
        self, newest: Mapping[int, int], held: Mapping[int, Reading],
        first: Mapping[int, int], after: Mapping[int, Reading],
    ) -> None:  # fmt: skip
        """Take the gap between what was the newest of each node and what came first behind it."""
        start, end = max(newest.values()), max(first.values())
        back = any(first[place] < newest[place] for place in first.keys() & newest.keys())
        if back and not self._guessed:
            self.told.append(Recalled(end, start, reason="clock-set-back"))
        self._guessed = False
        if start < end - LONGEST:
            self.told.append(Recalled(start, end - LONGEST, reason="too-long"))
            start = end - LONGEST
        untils = {place: first.get(place, end) for place in newest}
        edges = {
            place: (max(since, untils[place] - LONGEST, self._covered.get(place, 0)), untils[place])
            for place, since in newest.items()
        }
        self._covered |= {place: max(self._covered.get(place, 0), end - 1) for place in newest.keys() - first.keys()}
        # Of a state it counts, too, that it said something new at once: until then the old reading was in force.
        spans = {place: edge for place, edge in edges.items() if edge[1] - edge[0] > (place not in self._states)}
        if not any(until - since > 1 for since, until in spans.values()):
            return
        if len(self.gaps) < MOST_GAPS:
            self.gaps.append(Gap(start, end, spans, held, after))
        else:
            self.told.append(Recalled(start, end, reason="too-many"))

    def advance(self, upto: int, count: int) -> None:
        """Note that the oldest gap is filled up to a time (ms UTC, all of it before), by so many snapshots more."""
        gap = self.gaps[0]
        spans = {place: (max(since, upto - 1), until) for place, (since, until) in gap.spans.items()}
        self.gaps[0] = replace(gap, spans=spans, count=gap.count + count)

    def fill(self) -> None:
        """Take the oldest gap as filled, as far as there was anything."""
        gap = self.gaps.popleft()
        self.told.append(Recalled(gap.start, gap.end, gap.count, "" if gap.count else "empty"))

    def give_up(self, reason: str) -> None:
        """Declare that the oldest gap is not filled, or not from where it was filled so far."""
        gap = self.gaps.popleft()
        if gap.count:
            reached = max(gap.start, *(min(since, until) for since, until in gap.spans.values()))
            self.told.append(Recalled(gap.start, reached, gap.count))
            self.told.append(Recalled(reached, gap.end, reason=reason))
        else:
            self.told.append(Recalled(gap.start, gap.end, reason=reason))

    def mark(self) -> bytes:
        """Give what `resume` needs: it is stored with every record, so it is packed, and nodes go by their place."""
        if not self._newest:
            return b""
        newest, held = (self._newest, self._held) if self._before is None else self._before
        base = max(newest.values())
        said = {
            "plan": self._fingerprint,
            "newest": base,
            "behind": [base - newest[place] if place in newest else None for place in range(len(self._keys))],
            "held": self._words(held),
            "covered": list(self._covered.items()),
            "gaps": [
                {
                    "start": gap.start, "end": gap.end, "count": gap.count,
                    "spans": [(place, *span) for place, span in gap.spans.items()],
                    "held": self._words(gap.held), "after": self._words(gap.after), "known": sorted(gap.known),
                }
                for gap in self.gaps
            ],
        }  # fmt: skip
        return zlib.compress(json.dumps(said, separators=(",", ":")).encode(), 1)

    def resume(self, mark: bytes) -> None:
        """Go on from a mark. Under other points the newest time of all stands for each of them."""
        said = json.loads(zlib.decompress(mark))
        places = {key: place for place, key in enumerate(self._keys)}
        same = said["plan"] == self._fingerprint
        base = said["newest"]
        behind = said["behind"] if same else [0] * len(self._keys)
        self._newest = {place: base - each for place, each in enumerate(behind) if each is not None}
        self._guessed = not same
        self._held = _read(said["held"], places)
        self._covered = dict(said["covered"]) if same else {}
        for each in said["gaps"]:
            spans = {place: (since, until) for place, since, until in each["spans"]}
            if not same:
                spans = dict.fromkeys(range(len(self._keys)), (max(since for since, _ in spans.values()), each["end"]))
            held, after = _read(each["held"], places), _read(each["after"], places)
            known = {(place, time) for place, time in each["known"]} if same else set()
            self.gaps.append(Gap(each["start"], each["end"], spans, held, after, known, each["count"]))

    def _words(self, readings: Mapping[int, Reading]) -> Mapping[str, Sequence[object]]:
        """Give readings of states as far as they are numbers: no other judges anything."""
        return {
            self._keys[place]: (int(each.value), each.status, each.source, each.server)
            for place, each in readings.items()
            if isinstance(each.value, int)
        }


def _key(address: NodeAddress) -> str:
    return f"{zlib.crc32(repr(address).encode('utf-8', 'surrogatepass')):08x}"


def _read(said: Mapping[str, Any], places: Mapping[str, int]) -> dict[int, Reading]:
    return {places[key]: Reading(*each) for key, each in said.items() if key in places}
