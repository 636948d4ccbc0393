"""How addresses are written. Pure; what they mean to a protocol is the drivers' business."""

from __future__ import annotations

import re

from parkgate.config.language import say
from parkgate.config.problem import shown
from parkgate.config.profile import Protocol

_MODBUS = re.compile(
    r"(?P<table>coil|discrete|input|holding)\s+(?P<wire>0[xX][0-9A-Fa-f]{1,4}|[0-9]{1,5})(?:\.(?P<bit>[0-9]{1,2}))?"
    r"|(?P<digit>[0134])(?P<manual>[0-9]{4,5})(?:\.(?P<manual_bit>[0-9]{1,2}))?"
)
_NODE = re.compile(
    r"(?:ns=[0-9]{1,5};|nsu=[^;]+;)?"
    r"(?:i=[0-9]{1,10}|s=.+|g=[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|b=[A-Za-z0-9+/]+={0,2})",
    re.DOTALL,
)
_REGISTERS = 65_536
_BITS = 16
NODE = "{node}"
"""Stands in an OPC UA profile's node ids for the instrument's own `node`."""


def address_trouble(at: str, protocol: Protocol, base: int) -> str | None:
    """Say what is wrong with how an address is written, None if nothing is.

    Modbus: `"holding 40.3"`, or the manual's `"30001"`. OPC UA: a node id as in OPC 10000-6, 5.3.1.10.
    """
    if protocol == "opcua":
        if _NODE.fullmatch(at.replace(NODE, "1")):
            return None
        return say(
            '"{at}" is not a node id; write it like "nsu=urn:tank;s=T1.Level", "ns=2;i=5" or "i=84"', at=shown(at)
        )
    match = _MODBUS.fullmatch(at)
    if match is None:
        return say(
            '"{at}" is not a Modbus address; write it like "input 0", "holding 40.3", "discrete 0" or "30001"',
            at=shown(at),
        )
    first, number = (1, int(match["manual"])) if match["manual"] else (base, int(match["wire"], _radix(match["wire"])))
    if not first <= number < first + _REGISTERS:
        return say('"{at}" does not exist; registers count from {first} here', at=shown(at), first=first)
    bit = match["bit"] or match["manual_bit"]
    if bit and (_of_bits(match) or int(bit) >= _BITS):
        return say('"{at}" has no such bit; registers have bits 0 to 15, coils and discrete inputs none', at=shown(at))
    return None


def is_one_bit(at: str) -> bool:
    """Tell whether a Modbus address names a single bit: a coil, a discrete input, or a bit of a register."""
    match = _MODBUS.fullmatch(at)
    return match is not None and (_of_bits(match) or bool(match["bit"] or match["manual_bit"]))


def _of_bits(match: re.Match[str]) -> bool:
    return (match["table"] or match["digit"]) in {"coil", "discrete", "0", "1"}


def _radix(number: str) -> int:
    return 16 if number[:2] in {"0x", "0X"} else 10
