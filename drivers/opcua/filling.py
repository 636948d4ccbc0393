"""How a gap is filled from a server's history: what to ask next, and the snapshots that the answers make. Pure.

The gap is cut into slices of time, so wide that a slice of a node fits into one answer. A slice counts only once all of
it is there, from all nodes: so the order within an answer does not matter, values of one time come together, and no
slice is given twice. A server that has more goes on at its continuation point (OPC 10000-11, 6.5.3); one that gives as
many as were asked for and no such point has cut them off, and the slice is made narrower.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from parkgate.drivers.opcua.codec import Decoder, Reading, time_of
from parkgate.drivers.opcua.gaps import Gap
from parkgate.drivers.opcua.plan import Plan
from parkgate.drivers.snapshot import Snapshot

VALUES = 500
"""Values asked for in one request: decoding them takes about 10 ms, in which nothing else is read."""
MOST_NODES, LEAST_VALUES = 50, 10
"""Nodes in one request, and values of each at least."""
MOST_HELD = 20_000
"""Values of one slice that wait in memory for the rest of it."""
_EMPTY = 100
"""What an answer without values counts as: a server that goes on with nothing for ever must come to an end."""
_WIDER = 4

REFUSED = frozenset(
    {
        0x800B_0000,  # BadServiceUnsupported
        0x801F_0000,  # BadUserAccessDenied
        0x8034_0000,  # BadNodeIdUnknown
        0x803A_0000,  # BadNotReadable
        0x803D_0000,  # BadNotSupported
        0x8040_0000,  # BadNotImplemented
        0x8071_0000,  # BadHistoryOperationInvalid
        0x8072_0000,  # BadHistoryOperationUnsupported
    }
)
"""Statuses that say that there is no history of a node for us (numbers: OPC 10000-6, A.2)."""
_NONE = frozenset({0x00A5_0000, 0x809B_0000})
"""GoodNoData and BadNoData: the interval is empty."""
_UNUSABLE = frozenset({0x804A_0000, 0x804B_0000})
"""BadContinuationPointInvalid and BadNoContinuationPoints: the slice has to fit into one answer."""
_NO_BOUND = frozenset({0x80D7_0000, 0x80D8_0000})
"""BadBoundNotFound and BadBoundNotSupported stand in the place of a value and are none."""
_SUB_CODE, _BAD = 0xFFFF_0000, 0x8000_0000
_UNKNOWN = Reading(None, 0x8031_0000)  # BadNoCommunication
"""What a node is taken for that said nothing."""
_INFO, _VALUE_INFO, _ORIGIN, _INTERPOLATED = 0x0C00, 0x0400, 0x0003, 0x0002
"""Where the low half of a status says that the server has interpolated a value (OPC 10000-11, 6.3.2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes: nodes in a HistoryRead, and values of a node in its answer; 0 where it does not say."""

    nodes: int = 0
    values: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """Raw values of nodes, by their index in the plan, from `start` until before `end` (ms UTC), `count` of each.

    `points` are the continuation points of an answer that goes on, one a node; empty at first.
    """

    places: tuple[int, ...]
    start: int
    end: int
    count: int
    points: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered about one node: a status, values, and where it goes on if there are more."""

    status: int
    readings: Sequence[Reading] = ()
    point: bytes = b""


class Failed(Exception):  # it names what is
    """A server could not answer now; it may later. `unused` are continuation points that are of no more use."""

    def __init__(self, status: int, unused: Mapping[int, bytes]) -> None:
        super().__init__(f"0x{status:08X}")
        self.unused = unused


class Timeline:
    """Makes the snapshots of a gap, in time order, each judged by the states that were in force at its time.

    A state that said nothing new was in force all along. One that did and has no history is unknown until it said so:
    then the points that it covers stand as if it could not be read.
    """

    def __init__(self, gap: Gap, keeps: frozenset[int], plan: Plan, decoder: Decoder) -> None:
        self._decoder = decoder
        self._plan = plan
        known = {place for place in plan.states if place in keeps or place not in gap.spans}
        self._force = {place: each for place, each in gap.held.items() if place in known}
        self._after = sorted((gap.spans[place][1], place) for place in gap.after if place in gap.spans)
        self._first = gap.after

    def forget(self, place: int) -> None:
        """Note that the history of a node came to an end: as a state it is unknown."""
        self._force.pop(place, None)

    def snapshots(self, values: Mapping[int, Mapping[int, Reading]]) -> Iterator[Snapshot]:
        """Give a snapshot for each time of a slice at which a point has a value: a change report."""
        for time in sorted(values):
            while self._after and self._after[0][0] <= time:
                _, place = self._after.pop(0)
                self._force[place] = self._first[place]
            told = values[time]
            self._force |= {place: told[place] for place in told.keys() & set(self._plan.states)}
            # The nodes of states stand as in force: they judge. A point on the same node says nothing by that.
            readings = [told.get(place) or self._force.get(place, _UNKNOWN) for place in range(len(self._plan.nodes))]
            if (report := self._decoder.change(readings, time, time, told)) is not None:
                yield replace(report, late=True)


class Fill:
    """Fills one gap. `keeps` are the nodes that have a history; `step` is the first slice's width, milliseconds."""

    def __init__(self, gap: Gap, keeps: frozenset[int], timeline: Timeline, step: int, limits: Limits) -> None:
        self.keeps = keeps
        self._timeline = timeline
        self._limits = limits
        self._nodes = MOST_NODES
        self._step = max(step, 1)
        self._known = gap.known
        self._spans = {place: span for place, span in gap.spans.items() if place in keeps}
        self._end = max((until for _, until in self._spans.values()), default=0)
        self._begin = self._next(0)
        self._slice = (0, 0)
        self._batches: deque[tuple[int, ...]] = deque()
        self._points: dict[int, bytes] = {}
        self._values: dict[int, dict[int, Reading]] = {}
        self._held = 0
        self._fullest = 0
        if self._spans:
            self._cut()

    @property
    def places(self) -> frozenset[int]:
        """Give the nodes that are asked."""
        return frozenset(self._spans)

    @property
    def done(self) -> bool:
        """Tell whether nothing is left to be asked."""
        return self._begin >= self._end

    @property
    def upto(self) -> int:
        """Give the time (ms UTC) before which everything was given."""
        return self._begin

    def question(self) -> Question:
        """Give what to ask next: what goes on first, so that the server can forget its continuation points."""
        places = tuple(self._points)[: self._most()] or self._batches[0]
        points = tuple(self._points.get(place, b"") for place in places)
        return Question(places, *self._slice, self._count(), points)

    def take(self, question: Question, answers: Sequence[Answer]) -> tuple[Mapping[int, bytes], bool]:
        """Take the answers to a question; give continuation points of no more use, and whether the slice is there.

        Raises:
            Failed: a node cannot be answered now; nothing of the slice counts, and it is asked again.

        """
        if self._batches and question.places == self._batches[0] and not any(question.points):
            self._batches.popleft()
        overfull = False
        for place, answer in zip(question.places, answers, strict=True):
            self._points.pop(place, None)
            status = answer.status & _SUB_CODE
            if status in REFUSED:
                self._refuse(place)
            elif status in _UNUSABLE:
                overfull = True
            elif status not in _NONE and answer.status & _BAD:
                raise Failed(answer.status, self.again())
            else:
                overfull |= self._keep(question, place, answer)
        unused: Mapping[int, bytes] = {}
        if overfull and (width := self._slice[1] - self._slice[0]) > 1:
            self._step = width // 2
            return self.again(), False
        if overfull:  # of one millisecond there is a value: more of it would be said as the same time
            unused, self._points = self._points, {}
        return unused, not (self._batches or self._points)

    def _keep(self, question: Question, place: int, answer: Answer) -> bool:
        """Keep what belongs to the slice; tell whether there was too much of it, or the server cut it off."""
        if place not in self._spans:
            return False
        since, until = self._spans[place]
        start, end = max(self._slice[0], since + 1), min(self._slice[1], until)
        for reading in answer.readings:
            time = time_of(reading, 0)
            if start <= time < end and _measured(reading.status) and (place, time) not in self._known:
                self._values.setdefault(time, {})[place] = reading
        if answer.point:
            self._points[place] = answer.point
        self._held += len(answer.readings) or _EMPTY
        self._fullest = max(self._fullest, len(answer.readings))
        return self._held > MOST_HELD or (len(answer.readings) == question.count and not answer.point)

    def snapshots(self) -> Iterator[Snapshot]:
        """Give the snapshots of the slice that is there, and go on to the next one."""
        values, count = self._values, self._count()
        width = self._slice[1] - self._slice[0]
        self._step = min(width * _WIDER, max(width * count * 3 // (4 * max(self._fullest, 1)), 1))
        self._begin = self._next(self._slice[1])
        self._cut()
        return self._timeline.snapshots(values)

    def again(self) -> Mapping[int, bytes]:
        """Begin the slice again; give the continuation points that are of no more use."""
        unused = self._points
        self._cut()
        return unused

    def smaller(self) -> Mapping[int, bytes]:
        """Ask for fewer nodes at once, the server found it too much; give what `again` does."""
        self._nodes = max(1, self._nodes // 2)
        return self.again()

    def _refuse(self, place: int) -> None:
        """Note that there is no history of a node after all."""
        self.keeps -= {place}
        self._spans.pop(place, None)
        self._timeline.forget(place)

    def _most(self) -> int:
        return min(self._nodes, self._limits.nodes or self._nodes)

    def _count(self) -> int:
        count = max(LEAST_VALUES, VALUES // max(1, min(self._most(), len(self._spans))))
        return min(count, self._limits.values or count)

    def _next(self, begin: int) -> int:
        """Give where the next slice begins: at the first missed millisecond of any node from `begin` on."""
        starts = [max(begin, since + 1) for since, until in self._spans.values() if max(begin, since + 1) < until]
        return min(starts, default=self._end)

    def _cut(self) -> None:
        begin, end = self._begin, min(self._begin + self._step, self._end)
        self._slice = begin, end
        asked = [place for place, (since, until) in self._spans.items() if since + 1 < end and until > begin]
        most = self._most()
        self._batches = deque(tuple(asked[start : start + most]) for start in range(0, len(asked), most))
        self._points, self._values, self._held, self._fullest = {}, {}, 0, 0


def _measured(status: int) -> bool:
    """Tell whether a status is of something measured: neither a missing bound nor what the server interpolated."""
    interpolated = status & _INFO == _VALUE_INFO and status & _ORIGIN == _INTERPOLATED
    return not interpolated and status & _SUB_CODE not in _NO_BOUND
