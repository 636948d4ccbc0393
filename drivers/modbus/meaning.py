"""What a frame on the wire means, in words, pure: `--trace` shows every one in hex with this behind it.

MODBUS Application Protocol V1.1b3, 6 (functions) and 7 (exceptions); MODBUS over Serial Line V1.02, 2.5.1 (RTU);
MODBUS Messaging on TCP/IP V1.0b, 3.1.3 (the header).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from parkgate.config.language import say
from parkgate.drivers.modbus import identification
from parkgate.drivers.modbus.frames import REFUSAL, crc

_READS: Final = frozenset({1, 2, 3, 4})
_MBAP = struct.Struct(">HHHB")
_SHORTEST_RTU, _SHORTEST_TCP = 4, 8
_READ = struct.Struct(">BHH")

_CELLS: Final[Mapping[int, Callable[[], str]]] = {
    1: lambda: say("coils"),
    2: lambda: say("discrete inputs"),
    3: lambda: say("holding registers"),
    4: lambda: say("input registers"),
}
_EXCEPTIONS: Final[Mapping[int, tuple[str, Callable[[], str]]]] = {
    1: ("ILLEGAL FUNCTION", lambda: say("it does not know this function: try the other table (input or holding)")),
    2: ("ILLEGAL DATA ADDRESS", lambda: say("it has no such register, or not all of those asked for")),
    3: ("ILLEGAL DATA VALUE", lambda: say("it takes no such count; many instruments mean: no such register")),
    4: ("SERVER DEVICE FAILURE", lambda: say("it failed while answering: look at the instrument")),
    5: ("ACKNOWLEDGE", lambda: say("it accepted and will take long")),
    6: ("SERVER DEVICE BUSY", lambda: say("it is busy with something else: ask later, or less often")),
    7: ("NEGATIVE ACKNOWLEDGE", lambda: say("it cannot do this (an older word of the protocol)")),
    8: ("MEMORY PARITY ERROR", lambda: say("its memory is damaged: have it repaired")),
    10: ("GATEWAY PATH UNAVAILABLE", lambda: say("the gateway has no way to this unit: look at its settings")),
    11: ("GATEWAY TARGET DEVICE FAILED TO RESPOND", lambda: say("the unit behind the gateway does not answer")),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A frame as its bytes in hex, grouped as they belong together, and in words."""

    hex: str
    words: str


def line(frame: bytes, *, sent: bool, rtu: bool) -> str:
    """Give a frame as one line of a trace: which way it went, its bytes and what it means."""
    told = meaning(frame, sent=sent, rtu=rtu)
    return f"{'→' if sent else '←'} {told.hex}  {told.words}"


def meaning(frame: bytes, *, sent: bool, rtu: bool) -> Meaning:
    """Tell what a frame means: one that was sent is a request, one that came a reply; on a serial line or TCP."""
    return _of_rtu(frame, sent=sent) if rtu else _of_tcp(frame, sent=sent)


def exception(code: int) -> str:
    """Give an exception code with its name and what it means."""
    if code not in _EXCEPTIONS:
        return say("exception {code}, which the standard does not know", code=code)
    name, sense = _EXCEPTIONS[code]
    return say("exception {code}, {name}: {sense}", code=code, name=name, sense=sense())


def _of_rtu(frame: bytes, *, sent: bool) -> Meaning:
    if len(frame) < _SHORTEST_RTU:
        return Meaning(_spaced(frame, 1), say("{count} bytes, too few for a frame", count=len(frame)))
    unit, pdu, check = frame[0], frame[1:-2], frame[-2:]
    words = say("unit {unit}, {what}", unit=unit, what=_what(pdu, sent=sent))
    right = crc(frame[:-2])
    if check != right:
        words = say("{words}; CRC wrong, {right} would be right", words=words, right=_spaced(right))
    elif not sent:
        words = say("{words}; CRC right", words=words)
    return Meaning(f"{unit:02X} {_grouped(pdu, sent=sent)} {_spaced(check)}", words)


def _of_tcp(frame: bytes, *, sent: bool) -> Meaning:
    if len(frame) < _SHORTEST_TCP:
        return Meaning(_spaced(frame, 1), say("{count} bytes, too few for a frame", count=len(frame)))
    transaction, protocol, length, unit = _MBAP.unpack_from(frame)
    if protocol or length != len(frame) - _MBAP.size + 1:
        return Meaning(_spaced(frame), say("not Modbus TCP: its header does not fit"))
    pdu = frame[_MBAP.size :]
    words = say("transaction {transaction}, unit {unit}, {what}", transaction=transaction, unit=unit,
                what=_what(pdu, sent=sent))  # fmt: skip
    return Meaning(f"{_spaced(frame[: _MBAP.size - 1])} {unit:02X} {_grouped(pdu, sent=sent)}", words)


def _what(pdu: bytes, *, sent: bool) -> str:
    function = pdu[0]
    if sent:
        return _asked(pdu)
    if function & REFUSAL:
        code = pdu[1] if len(pdu) > 1 else 0
        return say("refuses function {function}: {exception}", function=function & ~REFUSAL, exception=exception(code))
    if function in _READS:
        return _read(pdu)
    if function == identification.FUNCTION:
        return _identified(pdu)
    return say("function {function}, {count} bytes behind it", function=function, count=len(pdu) - 1)


def _asked(pdu: bytes) -> str:
    function = pdu[0]
    if function in _READS and len(pdu) == _READ.size:
        _, first, count = _READ.unpack(pdu)
        cells = _CELLS[function]()
        if count == 1:
            return say("read {cells} {first}", cells=cells, first=first)
        return say("read {cells} {first} to {last}", cells=cells, first=first, last=first + count - 1)
    if function == identification.FUNCTION:
        return say("read device identification")
    return say("function {function}, {count} bytes behind it", function=function, count=len(pdu) - 1)


def _read(pdu: bytes) -> str:
    cells, came = _CELLS[pdu[0]](), len(pdu) - 2
    said = pdu[1] if len(pdu) > 1 else 0
    if said != came:
        return say("{cells}: says {said} bytes, {came} came", cells=cells, said=said, came=max(0, came))
    return say("{cells}: {count} bytes", cells=cells, count=came)


def _identified(pdu: bytes) -> str:
    identity = identification.decode(pdu[1:])
    if identity is None:
        return say("device identification that cannot be read")
    words = (identity.vendor, identity.product, identity.revision)
    return say("device identification: {words}", words=" / ".join(word for word in words if word))


def _grouped(pdu: bytes, *, sent: bool) -> str:
    """Group a PDU: its function, the byte count of a reply, then words; other functions byte by byte."""
    if pdu[0] not in _READS:
        return _spaced(pdu, 1)
    single = 1 if sent else 2
    return f"{_spaced(pdu[:single], 1)} {_spaced(pdu[single:])}".rstrip()


def _spaced(data: bytes, group: int = 2) -> str:
    return " ".join(data[start : start + group].hex().upper() for start in range(0, len(data), group))
