"""The instrument's end of Modbus: requests in, PDUs out, over register images, framed for TCP. No socket is touched.

MODBUS Messaging on TCP/IP V1.0b section 3.1 (the MBAP header), MODBUS Application Protocol V1.1b3 section 6 (the
functions) and 7 (exceptions). Functions 1 to 4, and 43 for what this is: nothing here can be written to. `rtu` frames
for serial lines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from parkgate.drivers.modbus.address import Table
from parkgate.drivers.modbus.identification import FUNCTION
from parkgate.simulator.identification import identify
from parkgate.simulator.image import Image

IDENTIFICATION = FUNCTION
"""The function that asks what a device is."""
ILLEGAL_FUNCTION = 0x01
ILLEGAL_ADDRESS = 0x02
ILLEGAL_VALUE = 0x03
TARGET_SILENT = 0x0B
"""What a gateway to serial devices answers for a unit nobody has."""

_HEADER = struct.Struct(">HHHB")
_READ = struct.Struct(">BHH")
_LENGTH_FIELD_END = 6
_SHORTEST = 2  # the unit and a function
_LONGEST = 254  # the unit and a PDU of 253 bytes
_TABLES: Mapping[int, tuple[Table, int]] = {
    1: ("coil", 2000),
    2: ("discrete", 2000),
    3: ("holding", 125),
    4: ("input", 125),
}


class Cutter(Protocol):
    """Cuts the stream of one connection into requests."""

    def feed(self, data: bytes) -> Iterator[Request]:
        """Take what arrived and give the requests that are now whole."""
        ...


class Framing(Protocol):
    """How PDUs stand on a wire."""

    def cutter(self) -> Cutter:
        """Give what cuts the stream of a new connection."""
        ...

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:
        """Give the frame of a PDU that answers a request in the name of a unit."""
        ...

    def nobody(self, request: Request) -> bytes | None:
        """Give the PDU that answers for a unit nobody has; None where nothing answers."""
        ...


class NotModbus(Exception):
    """The stream is not Modbus TCP, or has lost its place: there is no way back but to close it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One frame from a client: its transaction, the unit it asks, and the PDU (a function and its data)."""

    transaction: int
    unit: int
    pdu: bytes


class Requests:
    """Cuts the stream of one connection into requests, however the network has split or joined them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """Take what arrived and give the requests that are now whole.

        Raises:
            NotModbus: a header that no Modbus TCP client sends; requests before it have been given.

        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
                raise NotModbus(self._buffer[: _HEADER.size].hex())
            end = _LENGTH_FIELD_END + length
            if len(self._buffer) < end:
                return
            pdu = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield Request(transaction, unit, pdu)


class Tcp:
    """Modbus TCP: an MBAP header, and an exception for units nobody has, as gateways to serial devices answer."""

    def cutter(self) -> Requests:
        """Give what cuts the stream of a new connection."""
        return Requests()

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:
        """Give the frame of a PDU: transaction, protocol 0, length, unit."""
        return _HEADER.pack(request.transaction, 0, len(pdu) + 1, unit) + pdu

    def nobody(self, request: Request) -> bytes | None:
        """Give exception 0x0B."""
        return refusal(request.pdu, TARGET_SILENT)


def reply(pdu: bytes, image: Image, shift: int = 0) -> bytes:
    """Give the PDU that answers a request: the cells it asks for, or an exception.

    A read within the span of the unit's map gives its cells, unused ones as 0; outside it is exception 2. A count the
    specification forbids is exception 3, any function but 1 to 4 and 43 exception 1. With a `shift` every cell is shown
    so many addresses lower than the map says.
    """
    if pdu[0] == IDENTIFICATION:
        return identify(pdu)
    if pdu[0] not in _TABLES:
        return refusal(pdu, ILLEGAL_FUNCTION)
    table, most = _TABLES[pdu[0]]
    if len(pdu) != _READ.size:
        return refusal(pdu, ILLEGAL_VALUE)
    function, first, count = _READ.unpack(pdu)
    if not 1 <= count <= most:
        return refusal(pdu, ILLEGAL_VALUE)
    data = image.read(table, first + shift, count)
    return refusal(pdu, ILLEGAL_ADDRESS) if data is None else bytes((function, len(data))) + data


def refusal(pdu: bytes, exception: int) -> bytes:
    """Give an exception reply."""
    return bytes((pdu[0] | 0x80, exception))
