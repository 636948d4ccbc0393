"""The instrument's end of Modbus RTU: requests cut out of a stream of bytes, frames with their CRC. Pure.

MODBUS over Serial Line V1.02, 2.5.1 (frames) and 6.2.2 (CRC-16: polynomial 0xA001, low byte first).
"""

from __future__ import annotations

from collections.abc import Iterator

from parkgate.simulator.wire import Request

BITS = 11
"""Of a character: start, 8 data, parity (or a second stop bit) and stop."""
_READ, _IDENTIFY = 8, 7
_FUNCTIONS = {1: _READ, 2: _READ, 3: _READ, 4: _READ, 0x2B: _IDENTIFY}
"""Bytes of a request, with unit and CRC, by function."""
_LONGEST_GAP = 1_750e-6
_FAST = 19_200


def crc(data: bytes) -> bytes:
    """Give the two bytes of the CRC, as they stand on the wire."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_TABLE = tuple(_entry(byte) for byte in range(256))


def seconds(count: int, baudrate: int) -> float:
    """Give how long so many characters take on the wire."""
    return count * BITS / baudrate


def silence(baudrate: int) -> float:
    """Give the seconds of silence between frames: 3.5 characters, 1.75 ms above 19,200 baud (2.5.1.1)."""
    return _LONGEST_GAP if baudrate > _FAST else seconds(7, baudrate) / 2


class Requests:
    """Cuts the stream of a line into requests; bytes that begin none are passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """Take what arrived and give the requests that are now whole."""
        self._buffer += data
        while len(self._buffer) > 1:
            length = _FUNCTIONS.get(self._buffer[1], _READ)
            if len(self._buffer) < length:
                return
            frame = bytes(self._buffer[:length])
            if crc(frame[:-2]) != frame[-2:]:
                del self._buffer[0]
                continue
            del self._buffer[:length]
            yield Request(0, frame[0], frame[1:-2])


class Rtu:
    """Modbus RTU: the unit before, the CRC behind; for units nobody has nothing answers."""

    def cutter(self) -> Requests:
        """Give what cuts the stream of a new connection."""
        return Requests()

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:  # noqa: ARG002  a serial frame names no request
        """Give the frame of a PDU."""
        frame = bytes((unit,)) + pdu
        return frame + crc(frame)

    def nobody(self, request: Request) -> bytes | None:  # noqa: ARG002  whatever it asks
        """Give nothing."""
        return None
