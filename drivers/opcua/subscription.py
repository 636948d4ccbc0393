"""The subscriptions of one session: made within the server's limits, listened to, and watched for their signs of life.

There is one subscription for each publishing interval. What it tells goes into the `Changes` of the instruments,
without a task and without a queue in between: the library drops the oldest of its own without a word (decision 0021).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import BadTooManyPublishRequests, UaError

from parkgate.config.language import say
from parkgate.drivers.opcua.changes import Changes
from parkgate.drivers.opcua.notifications import Notification, parse
from parkgate.drivers.opcua.plan import Deadband, Pace, blocks, queue
from parkgate.drivers.opcua.secure import LIBRARY
from parkgate.drivers.opcua.session import Session, reading_of

SILENT_FACTOR = 3
"""So many times the keep-alive time may pass without a sign of life before a subscription is taken for dead."""
LISTENERS = 3
"""Publish requests that wait at a server for each subscription: no message waits for the way of the one before."""
_MOST_AT_ONCE = 500
"""Changes a server is asked to publish in one message, which is one slice of the event loop."""
_CHANGES = 0xFFFF_FFFF
_NO_FILTER = frozenset(
    {
        StatusCodes.BadDeadbandFilterInvalid,
        StatusCodes.BadFilterNotAllowed,
        StatusCodes.BadMonitoredItemFilterInvalid,
        StatusCodes.BadMonitoredItemFilterUnsupported,
    }
)


@dataclass(slots=True)
class Feed:
    """One subscription: how long (s) it may be silent, when it was heard last, and the number of its last message.

    `whole` is set while no message of a publication is still on its way; nobody waits for that before `hurried`.
    """

    number: int
    publishing: float
    quiet: float
    heard: float
    sequence: int = 0
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: float = 0.0


@dataclass(frozen=True, slots=True)
class Monitored:
    """What a server made of a node: the status it gave, and the `sampling` (ms) and `queue` it grants."""

    status: int
    sampling: float = 0.0
    queue: int = 0
    deadband: bool = True


class Subscriptions:
    """The subscriptions of a session; `clock` is monotonic, in seconds, `timeout` the longest wait for an answer."""

    def __init__(self, session: Session, clock: Callable[[], float], timeout: float) -> None:
        self._session = session
        self._clock = clock
        self._timeout = timeout
        self._feeds: dict[tuple[float, int, int], Feed] = {}
        self._by_number: dict[int, Feed] = {}
        self._handles: list[tuple[Changes, int, int]] = []
        self._acknowledge: list[ua.SubscriptionAcknowledgement] = []
        self._listeners: list[asyncio.Task[None]] = []
        self._fault: Exception | None = None

    async def close(self) -> None:
        """Stop listening; the subscriptions end with their session."""
        for task in self._listeners:
            task.cancel()
        for task in self._listeners:
            with suppress(asyncio.CancelledError):
                await task

    def check(self) -> None:
        """Make sure that what does not change is told, and not just no longer heard.

        Raises:
            ConnectionError: the connection or a subscription is dead.

        """
        for task in self._listeners:
            if task.done():
                task.result()  # whatever else happened there is not for us to hide
        if self._fault is not None:
            raise ConnectionError(str(self._fault) or type(self._fault).__name__) from self._fault
        if not self._session.connected:
            raise ConnectionError(say("the connection is closed"))
        for feed in self._feeds.values():
            silent = self._clock() - feed.heard
            if silent > feed.quiet:
                raise ConnectionError(say("its subscription has been silent for {s} s", s=round(silent)))

    async def open(self, pace: Pace) -> Feed:
        """Give the subscription of a publishing interval, made if there is none.

        Raises:
            UaError: the server makes none.

        """
        key = (pace.publishing, pace.keepalives, pace.lifetimes)
        if key in self._feeds:
            return self._feeds[key]
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=pace.publishing,
            RequestedLifetimeCount=ua.UInt32(pace.lifetimes),
            RequestedMaxKeepAliveCount=ua.UInt32(pace.keepalives),
            MaxNotificationsPerPublish=ua.UInt32(_MOST_AT_ONCE),
            PublishingEnabled=True,
        )
        made = struct_from_binary(ua.CreateSubscriptionResponse, await self._send(request)).Parameters
        alive = made.RevisedPublishingInterval * max(1, made.RevisedMaxKeepAliveCount) / 1000
        quiet = SILENT_FACTOR * alive + self._timeout
        feed = Feed(made.SubscriptionId, made.RevisedPublishingInterval, quiet, self._clock())
        feed.whole.set()
        self._feeds[key] = self._by_number[feed.number] = feed
        self._listeners += [asyncio.create_task(self._listen()) for _ in range(LISTENERS)]
        return feed

    async def monitor(
        self,
        feed: Feed,
        pace: Pace,
        changes: Changes,
        nodes: Mapping[int, ua.NodeId],
        deadbands: Mapping[int, Deadband],
    ) -> dict[int, Monitored]:
        """Let a subscription tell of nodes, by index; give what the server made of each.

        Where it knows no deadband for a node, it tells every change of it.
        """
        made = await self._create(feed, pace, changes, nodes, deadbands)
        bare = {place: nodes[place] for place, each in made.items() if each.status in _NO_FILTER and place in deadbands}
        again = await self._create(feed, pace, changes, bare, {})
        return made | {place: replace(each, deadband=False) for place, each in again.items()}

    async def _create(
        self,
        feed: Feed,
        pace: Pace,
        changes: Changes,
        nodes: Mapping[int, ua.NodeId],
        deadbands: Mapping[int, Deadband],
    ) -> dict[int, Monitored]:
        made: dict[int, Monitored] = {}
        for places in blocks(tuple(nodes), self._session.items):
            items = [self._item(changes, feed, place, nodes[place], pace, deadbands.get(place)) for place in places]
            results = await self._session.client.uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=feed.number, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=items
                )
            )
            if len(results) != len(places):
                raise ValueError(say("{count} results came for {nodes} nodes", count=len(results), nodes=len(places)))
            for place, result in zip(places, results, strict=True):
                status = result.StatusCode.value
                made[place] = Monitored(status, result.RevisedSamplingInterval, result.RevisedQueueSize)
        return made

    def _item(
        self, changes: Changes, feed: Feed, place: int, node: ua.NodeId, pace: Pace, deadband: Deadband | None
    ) -> ua.MonitoredItemCreateRequest:
        self._handles.append((changes, place, feed.number))
        told = ua.MonitoringParameters(
            ClientHandle=ua.UInt32(len(self._handles) - 1),
            SamplingInterval=pace.sampling,
            QueueSize=ua.UInt32(pace.queue),
            DiscardOldest=True,
        )
        if deadband is not None:
            kind = ua.DeadbandType.Percent if deadband.percent else ua.DeadbandType.Absolute
            told.Filter = ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, kind.value, deadband.size)
        value = ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value)
        return ua.MonitoredItemCreateRequest(value, ua.MonitoringMode.Reporting, told)

    async def _send(self, request: object, patience: float | None = None) -> Buffer:
        """Send what the library's public ways would listen to themselves; `patience` 0 waits for ever."""
        return await self._session.client.uaclient._send_request(request, patience)  # noqa: SLF001  # see above

    async def _listen(self) -> None:
        """Ask for what is published, for ever; the messages come in their order, since a session has one connection."""
        while self._fault is None:
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements = self._acknowledge
            self._acknowledge = []
            try:
                data = await self._send(request, patience=0)
                self._hear(parse(bytes(data)) or _by_library(data))
            except BadTooManyPublishRequests as error:
                if sum(not task.done() for task in self._listeners) > 1:
                    return  # the others are as many as it takes
                self._fault = error
            except LIBRARY as error:
                self._fault = error

    def _hear(self, told: Notification) -> None:
        feed = self._by_number.get(told.subscription)
        if feed is None:
            return
        feed.heard = self._clock()
        if told.more:
            feed.whole.clear()
        else:
            feed.whole.set()
        if told.ended is not None:
            self._fault = UaError(ua.StatusCode(ua.UInt32(told.ended)).name)
        if not told.items:
            return
        number = ua.UInt32(told.sequence)
        self._acknowledge.append(ua.SubscriptionAcknowledgement(ua.UInt32(feed.number), number))
        if feed.sequence and told.sequence != feed.sequence % _CHANGES + 1:
            self._missed(feed)
        feed.sequence = told.sequence
        handles = self._handles
        for handle, reading in told.items:
            if handle < len(handles):
                changes, place, _ = handles[handle]
                changes.note(place, reading)

    def _missed(self, feed: Feed) -> None:
        for changes in {id(each): each for each, _, number in self._handles if number == feed.number}.values():
            changes.tear()


def _by_library(data: Buffer) -> Notification:
    """Read what is not usual; of what is no change nothing is kept."""
    result = struct_from_binary(ua.PublishResponse, data).Parameters
    message = result.NotificationMessage
    items, ended = [], None
    for part in message.NotificationData or ():
        if isinstance(part, ua.DataChangeNotification):
            items += [(each.ClientHandle, reading_of(each.Value)) for each in part.MonitoredItems]
        elif isinstance(part, ua.StatusChangeNotification):
            ended = part.Status.value
    return Notification(result.SubscriptionId, message.SequenceNumber, items, ended, result.MoreNotifications)


def worse(made: Iterable[Monitored], feed: Feed, pace: Pace) -> Iterator[str]:
    """Give in words where a server grants less than was asked for."""
    granted = [each for each in made if not each.status]
    if round(feed.publishing) > round(pace.publishing):
        given, asked = round(feed.publishing), round(pace.publishing)
        yield say("the server publishes every {given} ms where {asked} ms was asked for", given=given, asked=asked)
    if (sampling := max((each.sampling for each in granted), default=0.0)) > pace.sampling:
        given, asked = round(sampling), round(pace.sampling)
        yield say("the server samples every {given} ms where {asked} ms was asked for", given=given, asked=asked)
    short = [each for each in granted if each.queue < queue(feed.publishing, each.sampling or pace.sampling)]
    if short:
        fewest = min(each.queue for each in short)
        yield say("the server keeps {count} changes of a node: of more in a period some are lost", count=fewest)
    if any(not each.deadband for each in granted):
        yield say("the server knows no deadband for some of its nodes: it tells every change of them")
