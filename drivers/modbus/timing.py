"""What characters take on a serial line, pure (MODBUS over Serial Line V1.02, 2.5.1)."""

from __future__ import annotations

from parkgate.config.site import Line
from parkgate.drivers.modbus.plan import Block

QUESTION = 8
"""Characters of a read request: unit, function, address, count, CRC."""
ANSWER = 5
"""Characters of its reply beside the data: unit, function, byte count, CRC."""
_FAST, _SHORTEST = 19_200, 1.75e-3


def character(line: Line) -> float:
    """Give the seconds that one character takes: a start bit, 8 data bits, parity if any, the stop bits."""
    return (9 + (line.parity != "none") + line.stopbits) / line.baudrate


def silence(line: Line) -> float:
    """Give the seconds of silence between frames: 3.5 characters, 1.75 ms above 19,200 baud (2.5.1.1)."""
    return _SHORTEST if line.baudrate > _FAST else 3.5 * character(line)


def on_wire(line: Line, block: Block) -> float:
    """Give the seconds that the characters of a block's question and reply take."""
    return (QUESTION + ANSWER + block.size) * character(line)
