"""Where a value stands in a Modbus instrument: the notations of people and of manuals made one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from parkgate.config.language import say
from parkgate.drivers.faults import Unusable

Table = Literal["coil", "discrete", "input", "holding"]

REGISTERS = 65_536
"""How many registers or bits a table has (MODBUS Application Protocol V1.1b3, 4.4)."""

BITS = 16
"""How many bits a register has."""

_TABLES: dict[str, Table] = {"coil": "coil", "discrete": "discrete", "input": "input", "holding": "holding"}
_LEADING: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_WORDS = re.compile(r"(coil|discrete|input|holding)\s+(0[xX][0-9A-Fa-f]{1,4}|[0-9]{1,5})(?:\.([0-9]{1,2}))?")
_MANUAL = re.compile(r"([0134])([0-9]{4,5})(?:\.([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A place in one of the four tables: `register` counts from 0 as on the wire, `bit` 0 is the least significant."""

    table: Table
    register: int
    bit: int | None = None

    @property
    def of_bits(self) -> bool:
        """Tell whether the table holds single bits (coils, discrete inputs) and not registers."""
        return self.table in {"coil", "discrete"}


def parse(at: str, base: int) -> Address:
    """Read `"input 0"`, `"holding 40.3"`, `"holding 0x1000"` or the manual's `"30001"`, `"400001"`.

    With `base` 1 the word forms count from 1; the manual's five or six digits do so always: 40001 is holding 0.
    A register number that a manual gives as 30001 *on the wire* is written `"holding 30001"`.

    Raises:
        Unusable: the text is none of these, or the register or bit does not exist.

    """
    text = at.strip()
    if match := _WORDS.fullmatch(text):
        number = match[2]
        found = _TABLES[match[1]], int(number, 16 if number[:2] in {"0x", "0X"} else 10) - base
    elif match := _MANUAL.fullmatch(text):
        found = _LEADING[match[1]], int(match[2]) - 1
    else:
        raise Unusable(
            say("this is not a Modbus address"),
            where=f'"{at}"',
            hint=say('Write it like "input 0", "holding 40.3", "coil 5", "discrete 0" or the manual\'s "30001".'),
        )
    return _existing(at, Address(*found, bit=None if match[3] is None else int(match[3])))


def _existing(at: str, address: Address) -> Address:
    if not 0 <= address.register < REGISTERS:
        raise Unusable(
            say("there is no such register"),
            where=f'"{at}"',
            hint=say("A table has 65536 registers; with base = 1 and in the manual's notation the first is number 1."),
        )
    if address.bit is not None and (address.of_bits or address.bit >= BITS):
        raise Unusable(
            say("there is no such bit"),
            where=f'"{at}"',
            hint=say("A register has bits 0 to 15, 0 the least significant; a coil or discrete input has none."),
        )
    return address
