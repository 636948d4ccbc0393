"""What an OPC UA server tells of an instrument's points beside their values: EngineeringUnits, EURange, what they are.

The properties are read behind its first answer in a session, and again where a status says that they changed. What
cannot be read leaves what is known, and costs no reading.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from parkgate.config.language import say
from parkgate.config.site import Instrument
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN, Reading
from parkgate.drivers.opcua.plan import NodeAddress, Plan, blocks, index
from parkgate.drivers.opcua.secure import LIBRARY, reason
from parkgate.drivers.opcua.semantics import CHANGED, NOTHING, Said, differing, known, span, unit

MOST_TRIES = 3
"""Times in a session that an instrument's are asked where no answer comes."""

OFTEN = 10
"""Times that an instrument's ranges may change before each further change is taken later: each is kept for ever."""
LONGEST_REST_S = 600.0
"""The longest time between two changes of ranges that change again and again."""

_NAMES = ("EngineeringUnits", "EURange")
_WHOLE = 0xFFFF_FFFF
"""What RemainingPathIndex is where the whole path was found (OPC 10000-4, 5.9.4)."""
_CODE = 0xFFFF_0000
_LIMITS = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
)
_log = logging.getLogger("parkgate.opcua")

_Asked = tuple[int, str]
"""A point, by index, and the name of a property."""


@dataclass(slots=True)
class _Points:
    """An instrument as configured and as known by now; `said` and `unasked` are by index into its points.

    `unasked` has not been asked about since the session began or it changed; `tries` brought no answer. `told` is what
    was last told to have changed, by index into the plan's nodes. `changes` counts how often it became another one;
    until `rests_until` (monotonic, seconds) other ranges wait, and it is `unsettled` while some do.
    """

    configured: Instrument
    plan: Plan
    now: Instrument
    said: dict[int, Said] = field(default_factory=dict)
    differing: tuple[tuple[str, str], ...] = ()
    unasked: set[int] = field(default_factory=set)
    told: dict[int, tuple[object, ...]] = field(default_factory=dict)
    tries: int = 0
    changes: int = 0
    rests_until: float = float("-inf")
    unsettled: bool = False


class Properties:
    """What the server of a line says of the points of its instruments, by the names of these.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of: dict[str, _Points] = {}
        self._limits: tuple[int, int] | None = None

    def add(self, instrument: Instrument, nodes: Plan) -> None:
        """Take an instrument, and where its points are."""
        self._of[instrument.name] = _Points(instrument, nodes, instrument)
        self.renew()

    def renew(self) -> None:
        """Begin a session: all is asked again, and what was known counts until it is answered."""
        self._limits = None
        for points in self._of.values():
            points.unasked, points.tries = set(range(len(points.plan.points))), 0

    def described(self, name: str) -> Instrument:
        """Give an instrument as it is known by now."""
        return self._of[name].now

    def units(self, name: str) -> tuple[tuple[str, str], ...]:
        """Give the points of an instrument whose unit is another one on the server than in its profile, and that."""
        return self._of[name].differing

    def ask_again(self, name: str, nodes: Collection[int]) -> None:
        """Let what is of these nodes, by index into the plan's, be asked again: they told that it has changed."""
        points = self._of[name]
        points.unasked.update(place for place, node in enumerate(points.plan.points) if node in nodes)

    async def learn(
        self, client: Client, namespaces: Mapping[str, int], name: str, readings: Mapping[int, Reading]
    ) -> None:
        """Ask about what has just been read where that is due; `readings` by index into the plan's nodes."""
        points = self._of[name]
        self.ask_again(name, _changed(points, readings))
        due = _due(points, readings)
        if not due:
            if points.unsettled:
                self._settle(points)
            return
        try:
            found = await self._ask(client, namespaces, points.plan, due)
        except LIBRARY as error:  # the reading is there and is stored; a lost line is found by the next
            points.tries += 1
            if points.tries >= MOST_TRIES:
                points.unasked.clear()
            if points.tries == MOST_TRIES:
                said = say("units and ranges of the server cannot be read: {reason}", reason=reason(error))
                _log.warning("%s: %s", name, said)
            return
        points.unasked.difference_update(due)
        points.tries = 0
        for place in due:
            points.said[place] = _taken(points.said.get(place, NOTHING), place, found)
        points.differing = tuple(differing(points.configured, points.said))
        self._settle(points)

    def _settle(self, points: _Points) -> None:
        """Take what is known by now: at once, but narrower ranges that change again and again only now and then.

        A value beyond a range that is left standing would be flagged, and may alarm, though the server says better.
        """
        again, now = known(points.configured, points.said), self._clock()
        points.unsettled = again != points.now and now < points.rests_until and _narrower(again, points.now)
        if again == points.now or points.unsettled:
            return
        points.now = again
        points.changes += 1
        if points.changes > OFTEN:
            points.rests_until = now + min(LONGEST_REST_S, 2.0 ** min(points.changes - OFTEN, 10))
        if points.changes == OFTEN + 1:
            said = say("the server changes its ranges again and again; from now on they are taken now and then only")
            _log.warning("%s: %s", again.name, said)

    async def _ask(
        self, client: Client, namespaces: Mapping[str, int], plan: Plan, due: Sequence[int]
    ) -> dict[_Asked, object]:
        """Give each property's value, None where there is none; one that could not be read is not in it."""
        if self._limits is None:
            self._limits = await _limits(client)
        paths, reads = self._limits
        asked = [(place, name) for place in due for name in _NAMES]
        found: dict[_Asked, object] = {}
        nodes: list[tuple[_Asked, ua.NodeId]] = []
        for block in blocks(range(len(asked)), paths):
            some = [asked[each] for each in block]
            results = await client.uaclient.translate_browsepaths_to_nodeids(
                [_path(plan.nodes[plan.points[place]], namespaces, name) for place, name in some]
            )
            for key, result in zip(some, results, strict=True):
                if result.StatusCode.value == StatusCodes.BadNoMatch:
                    found[key] = None
                elif (node := _target(result, namespaces)) is not None:
                    nodes.append((key, node))
        for block in blocks(range(len(nodes)), reads):
            answers = await client.uaclient.read(_question(nodes[each][1] for each in block))
            for each, answer in zip(block, answers, strict=True):
                if answer.StatusCode is None or answer.StatusCode.is_good():
                    found[nodes[each][0]] = None if answer.Value is None else answer.Value.Value
        return found


def _narrower(one: Instrument, other: Instrument) -> bool:
    """Tell whether an instrument is another only by ranges, and none of them reaches beyond the other's."""
    return all(mine.unit == theirs.unit and _within(mine.range, theirs.range)
               for mine, theirs in zip(one.points, other.points, strict=True))  # fmt: skip


def _within(inner: tuple[float, float] | None, outer: tuple[float, float] | None) -> bool:
    return outer is None or (inner is not None and outer[0] <= inner[0] and inner[1] <= outer[1])


def _changed(points: _Points, readings: Mapping[int, Reading]) -> list[int]:
    """Give the nodes that tell that their semantics have changed; a server may tell so until the next value comes."""
    changed: dict[int, tuple[object, ...]] = {
        node: (reading.status, reading.source, reading.value)
        for node, reading in readings.items()
        if reading.status & CHANGED
    }
    new = [node for node, told in changed.items() if points.told.get(node) != told]
    points.told = changed
    return new


def _due(points: _Points, readings: Mapping[int, Reading]) -> list[int]:
    """Give the points to ask about, of those whose nodes were read and are there."""
    nodes = ((place, points.plan.points[place]) for place in sorted(points.unasked))
    return [place for place, node in nodes if node in readings and readings[node].status & _CODE != BAD_NODE_ID_UNKNOWN]


async def _limits(client: Client) -> tuple[int, int]:
    """Give how many paths, and nodes of a Read, the server takes at once; 0 where it does not say."""
    answers = await client.uaclient.read(_question(map(_node, _LIMITS)))
    paths, reads = (each.Value.Value if each.Value is not None else 0 for each in answers)
    return (paths if isinstance(paths, int) else 0), (reads if isinstance(reads, int) else 0)


def _path(address: NodeAddress, namespaces: Mapping[str, int], name: str) -> ua.BrowsePath:
    no: Any = False  # the library annotates it with its own marker class, and makes it True by itself
    step = ua.RelativePathElement(_node(ObjectIds.HasProperty), IsInverse=no, TargetName=ua.QualifiedName(name, 0))
    start = _node(address.identifier, index(address, namespaces) or 0)
    return ua.BrowsePath(StartingNode=start, RelativePath=ua.RelativePath([step]))


def _target(result: ua.BrowsePathResult, namespaces: Mapping[str, int]) -> ua.NodeId | None:
    """Give the node that a path leads to; None where it leads nowhere, or out of this server."""
    for target in result.Targets or ():
        to: ua.NodeId = target.TargetId  # an ExpandedNodeId only where it names a server or a namespace
        uri = getattr(to, "NamespaceUri", None)
        if target.RemainingPathIndex == _WHOLE and not getattr(to, "ServerIndex", 0):
            return _node(to.Identifier, namespaces.get(uri, 0) if uri else to.NamespaceIndex)
    return None


def _node(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    # Any: the library annotates with marker classes of its own, but takes plain numbers, texts, GUIDs and bytes.
    return ua.NodeId(identifier, namespace)


def _question(nodes: Iterable[ua.NodeId]) -> ua.ReadParameters:
    return ua.ReadParameters(
        MaxAge=0,
        TimestampsToReturn=ua.TimestampsToReturn.Neither,
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value) for node in nodes],
    )


def _taken(before: Said, place: int, found: Mapping[_Asked, object]) -> Said:
    """Give what is known of a point: what was found, and what was known before where it could not be read."""
    of_unit, of_range = ((place, name) for name in _NAMES)
    return Said(
        unit=_unit(found[of_unit]) if of_unit in found else before.unit,
        range=_range(found[of_range]) if of_range in found else before.range,
    )


def _unit(value: object) -> str:
    if not isinstance(value, ua.EUInformation):
        return ""
    return unit(value.NamespaceUri or "", value.UnitId, value.DisplayName.Text or "")


def _range(value: object) -> tuple[float, float] | None:
    return span(value.Low, value.High) if isinstance(value, ua.Range) else None
