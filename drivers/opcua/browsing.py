"""An open session as people ask it: what is below some nodes, and some of their attributes. It can ask nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from parkgate.config.language import say
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.opcua import replies
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN
from parkgate.drivers.opcua.plan import index, parse
from parkgate.drivers.opcua.secure import LIBRARY, reason
from parkgate.drivers.opcua.space import VALUE, Answer, Limits, Page, cut, least

PAGE: Final = 1_000
"""References in one answer, of all its nodes together; the rest is continued. Decoding them takes about 50 ms."""
_TOO_MUCH = frozenset(
    {
        StatusCodes.BadTooManyOperations,
        StatusCodes.BadRequestTooLarge,
        StatusCodes.BadResponseTooLarge,
        StatusCodes.BadEncodingLimitsExceeded,
    }
)
_GONE = frozenset(
    {
        StatusCodes.BadSessionIdInvalid,
        StatusCodes.BadSessionClosed,
        StatusCodes.BadSecureChannelIdInvalid,
        StatusCodes.BadSecureChannelClosed,
        StatusCodes.BadConnectionClosed,
    }
)
_LIMITS = (
    ObjectIds.Server_NamespaceArray,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ObjectIds.Server_ServerCapabilities_MaxBrowseContinuationPoints,
)
_UNKNOWN = "BadNodeIdUnknown"

Question = TypeVar("Question")
Reply = TypeVar("Reply")


class Inquiry:
    """Asks one open session; `where` is for its faults. It learns the server's namespaces and limits once.

    Raises:
        Unreachable: the connection or the session is gone.
        Silent: no answer in time, or the server refuses the question as a whole.
        Garbled: the answer cannot be decoded.
        Unusable: a node id is none.

    """

    def __init__(self, client: Client, where: str, page: int = PAGE) -> None:
        self._client = client
        self._where = where
        self._page = page
        self._limits: Limits | None = None
        self._numbers: dict[str, int] = {}

    async def limits(self) -> Limits:
        """Give what the server allows at once."""
        if self._limits is None:
            with self._faults():
                answers = await self._client.uaclient.read(_reads([(_node(each), VALUE) for each in _LIMITS]))
            uris, *limits = [None if each.Value is None else each.Value.Value for each in answers]
            namespaces = tuple(map(str, uris)) if isinstance(uris, list) else ()
            self._numbers = {uri: number for number, uri in reversed([*enumerate(namespaces)])}
            browse, read, continued = (each if isinstance(each, int) else 0 for each in limits)
            self._limits = Limits(browse, read, continued, namespaces)
        return self._limits

    async def browse(self, nodes: Sequence[str], *, up: bool = False) -> Sequence[Page]:
        """Give for each node those below it, or with `up` those above it; types are below nothing here."""
        limits = await self.limits()
        known = {node: made for node in nodes if (made := self._made(node)) is not None}

        async def ask(some: Sequence[str]) -> Sequence[ua.BrowseResult]:
            page = max(1, self._page // len(some))
            return await self._client.uaclient.browse(_browses([known[node] for node in some], page, up=up))

        results = await self._halved([*known], least(len(nodes), limits.browse), ask)
        pages = {node: replies.page(each, limits.namespaces) for node, each in zip(known, results, strict=True)}
        return [pages.get(node) or Page(status=BAD_NODE_ID_UNKNOWN, said=_UNKNOWN) for node in nodes]

    async def more(self, points: Sequence[str]) -> Sequence[Page]:
        """Give the next page of each that has one."""
        limits = await self.limits()

        async def ask(some: Sequence[str]) -> Sequence[ua.BrowseResult]:
            held: Any = [bytes.fromhex(point) for point in some]
            return await self._client.uaclient.browse_next(ua.BrowseNextParameters(False, held))  # noqa: FBT003

        results = await self._halved(points, least(len(points), limits.browse), ask)
        return [replies.page(each, limits.namespaces) for each in results]

    async def read(self, questions: Sequence[tuple[str, int]]) -> Sequence[Answer]:
        """Give one attribute of each node."""
        limits = await self.limits()
        made = [self._made(node) for node, _ in questions]
        known = [(node, attribute) for node, (_, attribute) in zip(made, questions, strict=True) if node is not None]

        async def ask(some: Sequence[tuple[ua.NodeId, int]]) -> Sequence[ua.DataValue]:
            return await self._client.uaclient.read(_reads(some))

        came = iter(await self._halved(known, least(len(questions), limits.read), ask))
        absent = Answer(status=BAD_NODE_ID_UNKNOWN, said=_UNKNOWN)
        return [absent if node is None else replies.answer(next(came), limits.namespaces) for node in made]

    async def _halved(
        self, asked: Sequence[Question], size: int, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Reply]]]
    ) -> list[Reply]:
        """Ask in pieces of a size, and in halves of one where the server says that it was too much."""
        came: list[Reply] = []
        pieces = [*cut(asked, size)] if asked else []
        while pieces:
            piece = pieces.pop(0)
            with self._faults():
                try:
                    some = await ask(piece)
                except UaStatusCodeError as error:
                    if error.code not in _TOO_MUCH or len(piece) == 1:
                        raise
                    pieces[:0] = cut(piece, (len(piece) + 1) // 2)
                    continue
                if len(some) != len(piece):
                    raise ValueError(say("{count} results came for {nodes} nodes", count=len(some), nodes=len(piece)))
            came += some
        return came

    def _made(self, node: str) -> ua.NodeId | None:
        """Give the library's node id; None where the server has not its namespace."""
        address = parse(node, where=self._where)
        number = index(address, self._numbers)
        return None if number is None else _node(address.identifier, number)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Make what the library raises ours."""
        try:
            yield
        except (TimeoutError, UaStatusCodeError) as error:
            if getattr(error, "code", None) in _GONE:
                raise self._gone(error) from error
            raise Silent(
                say("the server has no answer to this: {reason}", reason=reason(error)),
                where=self._where,
                hint=say("Look at the server's log; a slow one needs a longer timeout."),
            ) from error
        except OSError as error:
            raise self._gone(error) from error
        except LIBRARY as error:
            raise Garbled(
                say("the answer cannot be used: {reason}", reason=reason(error)),
                where=self._where,
                hint=say("If this recurs, tell the server's vendor; the other instruments go on."),
            ) from error

    def _gone(self, error: Exception) -> Unreachable:
        return Unreachable(
            say("the OPC UA session is gone: {reason}", reason=reason(error)),
            where=self._where,
            hint=say("It is opened again by itself; if this recurs, look at the network and at the server's log."),
        )


def _node(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    # Any: the library annotates with marker classes of its own, but takes plain numbers, texts, GUIDs and bytes.
    return ua.NodeId(identifier, namespace)


def _reads(questions: Sequence[tuple[ua.NodeId, int]]) -> ua.ReadParameters:
    asked = [ua.ReadValueId(NodeId=node, AttributeId=AttributeIds(attribute)) for node, attribute in questions]
    return ua.ReadParameters(MaxAge=0, TimestampsToReturn=ua.TimestampsToReturn.Both, NodesToRead=asked)


def _browses(nodes: Sequence[ua.NodeId], page: int, *, up: bool) -> ua.BrowseParameters:
    direction = ua.BrowseDirection.Inverse if up else ua.BrowseDirection.Forward
    mask: Any = 0 if up else ua.NodeClass.Object | ua.NodeClass.Variable
    kind = _node(ObjectIds.HierarchicalReferences)
    everything: Any = ua.BrowseResultMask.All
    asked = [ua.BrowseDescription(each, direction, kind, True, mask, everything) for each in nodes]  # noqa: FBT003
    parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=page, NodesToBrowse=asked)
    parameters.View.Timestamp = ua.get_win_epoch()  # of no view
    return parameters
