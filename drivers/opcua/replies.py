"""The replies of the protocol library in plain Python: pages of nodes and answers to reads. Does no I/O."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes, get_name_and_doc

from parkgate.drivers.opcua.legible import legible
from parkgate.drivers.opcua.space import Answer, Child, Kind, Page
from parkgate.drivers.opcua.units import common_code

_FEW = 8
"""Elements of an array that are kept."""
_SAMPLE = 64
"""Bytes of a byte string that are kept."""
_NAME_MASK = 0xFFFF_0000
_NAMED = frozenset(code for code in vars(StatusCodes).values() if isinstance(code, int))
_KINDS: Mapping[ua.NodeClass, Kind] = MappingProxyType(
    {ua.NodeClass.Object: "object", ua.NodeClass.Variable: "variable"}
)
_STRUCTURES = (ua.Range, ua.EUInformation)
"""Those that are told by their own name."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def status_name(status: int) -> str:
    """Give the name of a status code; its low half says nothing of what happened (OPC 10000-4, 7.39.1)."""
    name, _ = get_name_and_doc(status & _NAME_MASK)
    return str(name) if status & _NAME_MASK in _NAMED else f"{name} (0x{status:08X})"


def page(result: ua.BrowseResult, uris: Sequence[str]) -> Page:
    """Give what one node said of those it refers to; nodes of other servers are left out. `uris`: its namespaces."""
    more: Any = result.ContinuationPoint  # Any: bytes, which the library does not say
    here = [each for each in result.References or () if not getattr(each.NodeId, "ServerIndex", 0)]
    status = result.StatusCode.value
    return Page(tuple(_child(each, uris) for each in here), more.hex() if more else "", status, status_name(status))


def _child(reference: ua.ReferenceDescription, uris: Sequence[str]) -> Child:
    name = legible(reference.BrowseName.Name)
    title = legible(reference.DisplayName.Text)
    node = written(reference.NodeId, uris)
    of_own = reference.ReferenceTypeId.NamespaceIndex == 0
    of_own = of_own and reference.ReferenceTypeId.Identifier == ObjectIds.HasProperty
    return Child(node, name or title or node, title, _KINDS.get(reference.NodeClass, "other"), of_own)


def written(node: ua.NodeId, uris: Sequence[str]) -> str:
    """Write a node id as a profile has it, its namespace by URI: an index may be another after a restart."""
    number: Any = node.NamespaceIndex  # Any: the library annotates with marker classes of its own
    uri = getattr(node, "NamespaceUri", None) or (uris[number] if 0 < number < len(uris) else "")
    identifier: Any = node.Identifier
    match identifier:
        case bytes():
            text = f"b={base64.b64encode(identifier).decode()}"
        case UUID():
            text = f"g={identifier}"
        case int():
            text = f"i={identifier}"
        case _:
            text = f"s={identifier}"
    if uri:
        return f"nsu={uri.replace('%', '%25').replace(';', '%3B')};{text}"
    return f"ns={number};{text}" if number else text


def answer(came: ua.DataValue, uris: Sequence[str]) -> Answer:
    """Give what a server said of one attribute."""
    status = 0 if came.StatusCode is None else came.StatusCode.value
    source, server = milliseconds(came.SourceTimestamp), milliseconds(came.ServerTimestamp)
    told = Answer(status=status, said=status_name(status), source=source, server=server)
    if came.Value is None or came.Value.Value is None:
        return told
    held: Any = came.Value.Value
    if not isinstance(held, list):
        value, size, sample = _plain(held, uris), None, held
    else:
        value, size, sample = [_plain(each, uris) for each in held[:_FEW]], len(held), None
    kind = type(sample).__name__ if isinstance(sample, _STRUCTURES) else came.Value.VariantType.name
    return Answer(value, kind, size, status, told.said, source, server)


def _unit(said: ua.EUInformation) -> str:
    return legible(said.DisplayName.Text) or legible(said.Description.Text) or common_code(said.UnitId)


_PLAIN: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...]] = (
    (Enum, lambda value: value.value),
    ((bool, int, float, str), lambda value: value),
    (bytes, lambda value: value[:_SAMPLE].hex()),
    (ua.LocalizedText, lambda value: value.Text or ""),
    (ua.QualifiedName, lambda value: legible(value.Name)),
    (ua.Range, lambda value: [value.Low, value.High]),
    (ua.EUInformation, _unit),
    (ua.StatusCode, lambda value: status_name(value.value)),
    (datetime, lambda value: value.isoformat()),
    (UUID, str),
)
"""How a value becomes one that JSON has; whatever else comes is told by the name of its type."""


def _plain(value: Any, uris: Sequence[str]) -> object:
    if isinstance(value, ua.NodeId):
        return written(value, uris)
    return next((make(value) for kind, make in _PLAIN if isinstance(value, kind)), type(value).__name__)


def milliseconds(time: datetime | None) -> int | None:
    """Give a time as milliseconds UTC."""
    return None if time is None else (time - _EPOCH) // _MILLISECOND
