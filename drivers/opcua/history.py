"""Reads from a server's history what a line missed, beside the live readings: one small request a turn.

It reads raw values only (OPC 10000-4, 5.10.3; OPC 10000-11, 6.5.3), and no more than a fifth of the line's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaStatusCodeError

from parkgate.config.site import Instrument
from parkgate.drivers.driver import Recalled
from parkgate.drivers.opcua.codec import Decoder, Reading
from parkgate.drivers.opcua.filling import REFUSED, Answer, Failed, Fill, Limits, Question, Timeline
from parkgate.drivers.opcua.gaps import Delivered
from parkgate.drivers.opcua.plan import MAX_BLOCK, NodeAddress, Plan, index
from parkgate.drivers.opcua.secure import LIBRARY
from parkgate.drivers.snapshot import Snapshot

RESTS = 4
"""Times as long as a request took, for which no other follows it on the line."""
PATIENCE = 2.0
"""Seconds that the first failure is waited out; each further one twice as long."""
MOST_FAILURES = 6
"""Failures in a row, about two minutes of them, after which a gap is given up."""
NONE = b"none"
"""The mark of an instrument that has no history, or is not to be filled from it."""
_DECODED = 20_000
"""Points of all snapshots of one turn: decoding them takes about 10 ms."""
_PERIODS = 10
_TOO_MUCH = frozenset({0x8008_0000, 0x8010_0000, 0x80B8_0000, 0x80B9_0000})
"""BadEncodingLimitsExceeded, BadTooManyOperations, BadRequestTooLarge, BadResponseTooLarge."""
_HISTORY_READ = 4
"""The bit of an AccessLevel that says so (OPC 10000-3, 8.57)."""
_KEPT = (AttributeIds.AccessLevel, AttributeIds.UserAccessLevel, AttributeIds.Historizing)
_LIMITS = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    ObjectIds.HistoryServerCapabilities_MaxReturnDataValues,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Link:
    """A session as histories are read over it; `limit` is the server's of nodes a Read, 0 for none."""

    client: UaClient
    namespaces: Mapping[str, int]
    limit: int = 0


@dataclass(slots=True)
class _Story:
    """One instrument's history: what was delivered, which nodes have one, and the gap that is being filled.

    A session's first turn is left to the live reading (`waited`). `looked` nodes were asked in it whether they keep a
    history; `keeps` is what came of it, None where that was never heard to its end.
    """

    instrument: Instrument
    plan: Plan
    decoder: Decoder
    delivered: Delivered
    keeps: frozenset[int] | None = None
    resumed: bool = False
    waited: bool = False
    looked: int = 0
    found: set[int] = field(default_factory=set)
    fill: Fill | None = None
    coming: Iterator[Snapshot] | None = None
    failures: int = 0

    @property
    def looked_through(self) -> bool:
        return self.looked >= len(self.plan.nodes)

    def lose(self) -> None:
        """Note that the session is another one: what the old one was told is gone."""
        self.delivered.lose()
        self.waited, self.looked, self.failures = False, 0, 0
        self.found.clear()
        if self.fill is not None:
            self.fill.again()

    def heard(self) -> None:
        """Take which nodes have a history, once all were asked."""
        self.keeps = frozenset(self.found)

    def filling(self, limits: Limits) -> Fill | None:
        """Give what fills the oldest gap; None where there is none."""
        while self.fill is None and self.delivered.gaps:
            gap, keeps = self.delivered.gaps[0], self.keeps or frozenset()
            timeline = Timeline(gap, keeps, self.plan, self.decoder)
            self.fill = Fill(gap, keeps, timeline, self.instrument.every * _PERIODS, limits)
            if self.fill.places.isdisjoint(self.plan.points):
                self.abandon("not-kept")
        return self.fill

    def take(self, fill: Fill, question: Question, answers: Sequence[Answer]) -> Mapping[int, bytes]:
        """Take answers; give the continuation points that are of no more use."""
        unused, there = fill.take(question, answers)
        self.failures, self.keeps = 0, fill.keeps
        if fill.places.isdisjoint(self.plan.points):
            self.abandon("refused")
        elif there:
            self.coming = fill.snapshots()
        return unused

    def emit(self) -> Sequence[Snapshot]:
        """Give the next snapshots of the slice that is there, and note how far the gap is filled by them."""
        if self.coming is None or self.fill is None:
            return ()
        most = max(1, _DECODED // len(self.plan.nodes))
        given = tuple(islice(self.coming, most))
        if len(given) == most:
            self.delivered.advance(given[-1].at + 1, most)
            return given
        self.coming = None
        self.delivered.advance(self.fill.upto, len(given))
        if self.fill.done:
            self.delivered.fill()
            self.fill = None
        return given

    def failed(self) -> Mapping[int, bytes]:
        """Note that a request came to nothing; give the continuation points that are of no more use."""
        self.failures += 1
        if self.failures < MOST_FAILURES:
            return {} if self.fill is None else self.fill.again()
        self.failures = 0
        if self.fill is None:
            self.looked, self.keeps = len(self.plan.nodes), frozenset()
            return {}
        unused = self.fill.again()
        self.abandon("refused")
        return unused

    def abandon(self, reason: str) -> None:
        """Give up the gap that is being filled."""
        self.delivered.give_up(reason)
        self.fill, self.coming, self.failures = None, None, 0


class History:
    """The histories of a line's instruments. `reading` turns the library's DataValue into a Reading."""

    def __init__(self, reading: Callable[[Any], Reading]) -> None:
        self._reading = reading
        self._stories: dict[str, _Story] = {}
        self._limits: Limits | None = None
        self._rest = float("-inf")

    def add(self, instrument: Instrument, plan: Plan, decoder: Decoder) -> None:
        """Fill the gaps of an instrument from now on, unless its site file says otherwise."""
        if instrument.history == "auto":
            self._stories[instrument.name] = _Story(instrument, plan, decoder, Delivered(plan))

    def resume(self, marks: Mapping[str, bytes]) -> None:
        """Go on from what was delivered before the agent started, by instrument; unless more is known already."""
        for name, mark in marks.items():
            story = self._stories.get(name)
            if story is not None and mark not in (b"", NONE) and not story.delivered.known:
                story.delivered.resume(mark)
                story.delivered.lose()
                story.resumed = True

    def mark(self, instrument: Instrument) -> bytes:
        """Give what `resume` needs, as it stands behind the last read; `NONE` where there is no history."""
        story = self._stories.get(instrument.name)
        if story is None:
            return NONE
        if story.keeps is None:
            return story.delivered.mark() if story.resumed else b""
        return story.delivered.mark() if story.keeps else NONE

    def told(self, instrument: Instrument) -> Sequence[Recalled]:
        """Give what became of missed intervals since this was asked last."""
        story = self._stories.get(instrument.name)
        if story is None:
            return ()
        told, story.delivered.told = story.delivered.told, []
        return told

    def begin(self) -> None:
        """Note that the line was entered again: something may have been missed, and the server may be another."""
        self._limits = None
        for story in self._stories.values():
            story.lose()

    def note(self, instrument: Instrument, readings: Mapping[int, Reading], now: int) -> None:
        """Note what was delivered of an instrument, by the index of its nodes in the plan, `now` (ms UTC)."""
        if (story := self._stories.get(instrument.name)) is not None:
            story.delivered.note(readings, now)

    async def more(self, instrument: Instrument, link: Link) -> Sequence[Snapshot]:
        """Put at most one request for an instrument's history, and give the snapshots that are there, in time order.

        Whatever goes wrong costs no live reading: it is tried again, and in the end declared.
        """
        story = self._stories.get(instrument.name)
        if story is None:
            return ()
        loop = asyncio.get_running_loop()
        first, story.waited = not story.waited, True
        if story.coming is None and not first and loop.time() >= self._rest:
            began = loop.time()
            asked = await self._ask(story, link)
            if asked:
                waits = PATIENCE * 2 ** (story.failures - 1) if story.failures else 0.0
                self._rest = loop.time() + max(RESTS * (loop.time() - began), waits)
        return story.emit()

    async def _ask(self, story: _Story, link: Link) -> bool:
        """Put the next request of an instrument, if there is one."""
        unused: Mapping[int, bytes] = {}
        try:
            if not story.looked_through:
                await self._look(story, link)
                return True
            fill = story.filling(self._limits or Limits())
            if fill is None:
                return False
            question = fill.question()
            unused = story.take(fill, question, await self._put(story, question, link))
        except Failed as failed:
            unused = {**failed.unused, **story.failed()}
        except UaStatusCodeError as error:
            unused = self._refused(story, error.code)
        except LIBRARY:
            unused = story.failed()
        if unused:
            await self._release(story, unused, link)
        return True

    def _refused(self, story: _Story, code: int) -> Mapping[int, bytes]:
        """Take it that a request was refused as a whole."""
        if story.fill is not None and code in _TOO_MUCH:
            unused = story.fill.smaller()
            return {**unused, **story.failed()}
        if story.fill is not None and code in REFUSED:
            story.keeps = frozenset()
            story.abandon("refused")
            return {}
        return story.failed()

    async def _look(self, story: _Story, link: Link) -> None:
        """Ask some of an instrument's nodes whether they keep a history, and once what the server takes."""
        most = max(1, min(MAX_BLOCK, link.limit or MAX_BLOCK) // len(_KEPT) - 1)
        first = story.looked
        nodes = {
            place: _node(node, number)
            for place, node in islice(enumerate(story.plan.nodes), first, first + most)
            if (number := index(node, link.namespaces)) is not None
        }
        wanted = [ua.ReadValueId(NodeId=node, AttributeId=each) for node in nodes.values() for each in _KEPT]
        limits = [] if self._limits else [_value_of(each) for each in _LIMITS]
        asked = ua.ReadParameters(NodesToRead=[*wanted, *limits])
        answers = [each.Value.Value if each.Value else None for each in await link.client.read(asked)]
        for number, place in enumerate(nodes):
            if _keeps(*answers[number * len(_KEPT) :][: len(_KEPT)]):
                story.found.add(place)
        if limits:
            self._limits = Limits(*(each if isinstance(each, int) else 0 for each in answers[len(wanted) :]))
        story.looked += most
        story.failures = 0
        if story.looked_through:
            story.heard()

    async def _put(self, story: _Story, question: Question, link: Link) -> Sequence[Answer]:
        details = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_moment(question.start),
            EndTime=_moment(question.end),
            NumValuesPerNode=question.count,
            ReturnBounds=False,
        )
        named = dict(zip(question.places, question.points, strict=True))
        asked = _parameters(details, _values(story, named, link), release=False)
        results = await link.client.history_read(asked)
        if len(results) != len(question.places):
            raise ValueError(len(results))
        return [self._answer(each) for each in results]

    def _answer(self, result: ua.HistoryReadResult) -> Answer:
        values = getattr(result.HistoryData, "DataValues", None) or ()
        return Answer(
            result.StatusCode.value, [self._reading(each) for each in values], result.ContinuationPoint or b""
        )

    async def _release(self, story: _Story, unused: Mapping[int, bytes], link: Link) -> None:
        """Let the server forget continuation points: it has few."""
        asked = _parameters(ua.ReadRawModifiedDetails(IsReadModified=False), _values(story, unused, link), release=True)
        with suppress(*LIBRARY):  # the session forgets them at its end
            await link.client.history_read(asked)


def _keeps(access: object, user: object, historizing: object) -> bool:
    """Tell whether a node keeps a history that this session may read."""
    levels = [each for each in (access, user) if isinstance(each, int)]
    return all(each & _HISTORY_READ for each in levels) if levels else historizing is True


def _values(story: _Story, points: Mapping[int, bytes], link: Link) -> list[ua.HistoryReadValueId]:
    """Name nodes to a HistoryRead, each with its continuation point."""
    values = []
    for place, point in points.items():
        node = story.plan.nodes[place]
        number = index(node, link.namespaces)
        named = _node(node, 0 if number is None else number)
        values.append(ua.HistoryReadValueId(NodeId=named, ContinuationPoint=point or None))
    return values


def _parameters(
    details: ua.ReadRawModifiedDetails, values: list[ua.HistoryReadValueId], *, release: bool
) -> ua.HistoryReadParameters:
    return ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        ReleaseContinuationPoints=release,
        NodesToRead=values,
    )


def _node(address: NodeAddress, number: int) -> ua.NodeId:
    identifier: Any = address.identifier  # the library annotates with marker classes of its own
    return ua.NodeId(identifier, number)  # type: ignore[arg-type]


def _value_of(number: int) -> ua.ReadValueId:
    return ua.ReadValueId(NodeId=_node(NodeAddress(0, number), 0), AttributeId=AttributeIds.Value)


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
