"""The instrument's end of Modbus TCP: bytes in, bytes out, over register images. No socket is touched here.

MODBUS Messaging on TCP/IP V1.0b section 3.1 (the MBAP header), MODBUS Application Protocol V1.1b3 section 6 (the
functions) and 7 (exceptions). Functions 1 to 4, and 43 for what this is: nothing here can be written to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parkgate.drivers.modbus.address import Table
from parkgate.drivers.modbus.identification import FUNCTION as IDENTIFICATION
from parkgate.simulator.identification import identify
from parkgate.simulator.image import Image

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


def answer(request: Request, units: Mapping[int, Image]) -> bytes:
    """Give the frame that answers a request: the cells it asks for, or an exception.

    A read within the span of the unit's map gives its cells, unused ones as 0; outside it is exception 2. A count the
    specification forbids is exception 3, any function but 1 to 4 and 43 exception 1, a unit nobody has exception 0x0B.
    """
    image = units.get(request.unit)
    pdu = _refusal(request.pdu, TARGET_SILENT) if image is None else _reply(request.pdu, image)
    return _HEADER.pack(request.transaction, 0, len(pdu) + 1, request.unit) + pdu


def _reply(pdu: bytes, image: Image) -> bytes:
    if pdu[0] == IDENTIFICATION:
        return identify(pdu)
    if pdu[0] not in _TABLES:
        return _refusal(pdu, ILLEGAL_FUNCTION)
    table, most = _TABLES[pdu[0]]
    if len(pdu) != _READ.size:
        return _refusal(pdu, ILLEGAL_VALUE)
    function, first, count = _READ.unpack(pdu)
    if not 1 <= count <= most:
        return _refusal(pdu, ILLEGAL_VALUE)
    data = image.read(table, first, count)
    return _refusal(pdu, ILLEGAL_ADDRESS) if data is None else bytes((function, len(data))) + data


def _refusal(pdu: bytes, exception: int) -> bytes:
    return bytes((pdu[0] | 0x80, exception))
