"""Who answers on a line: each unit is asked one harmless question, and whoever answers what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.frames import BEHIND_GATEWAY
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.probing import Asked

UNITS = range(1, 248)
"""The units that a serial line may have (MODBUS over Serial Line V1.02, 2.2)."""
QUESTION: Final = Block("holding", 0, 1, ())
"""What each unit is asked; a refusal shows as well as an answer that somebody is there."""

Parity = Literal["none", "even", "odd"]
BAUDRATES = (9_600, 19_200, 4_800, 38_400, 57_600, 115_200, 2_400, 1_200)
"""Common baud rates, the most common first."""
PARITIES: tuple[Parity, ...] = ("none", "even")


class Scanned(Asked, Protocol):
    """A line that can be scanned."""

    async def identify(self, unit: int) -> Identity | None:
        """Ask a unit once what it is; None where it says nothing of use."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """How a serial port is set."""

    baudrate: int
    parity: Parity


@dataclass(frozen=True, slots=True)
class Found:
    """What became of asking one unit: whether it is there, the exception it answered with, what it says it is.

    `unreadable`: something came that is no answer, as where the baud rate is wrong.
    """

    unit: int
    there: bool
    code: int | None = None
    identity: Identity | None = None
    unreadable: str = ""


def settings(baudrates: Iterable[int] = (), parities: Iterable[Parity] = ()) -> Iterator[Setting]:
    """Give the settings of a serial port to try, in this order: all common ones, or those asked for."""
    for baudrate in tuple(baudrates) or BAUDRATES:
        for parity in tuple(parities) or PARITIES:
            yield Setting(baudrate, parity)


async def scan(line: Scanned, units: Iterable[int]) -> AsyncIterator[Found]:
    """Ask one unit after the other, and tell of each.

    Raises:
        Unreachable: the line is down.

    """
    for unit in units:
        yield await look(line, unit)


async def look(line: Scanned, unit: int) -> Found:
    """Ask one unit whether it is there, and if so what it is.

    Raises:
        Unreachable: the line is down.

    """
    try:
        answer = await _answer(line, unit)
    except Silent:
        return Found(unit, there=False)
    except Garbled as fault:
        return Found(unit, there=False, unreadable=fault.what)
    if answer in BEHIND_GATEWAY:
        return Found(unit, there=False)
    code = answer if isinstance(answer, int) else None
    return Found(unit, there=True, code=code, identity=await line.identify(unit))


async def _answer(line: Scanned, unit: int) -> bytes | int:
    """Ask a unit; after many a silence a line is suspected and opened again, so a lost one is asked once more."""
    try:
        return await line.ask(unit, QUESTION)
    except Unreachable:
        return await line.ask(unit, QUESTION)
