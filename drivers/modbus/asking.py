"""A Modbus driver as people ask it, question by question: its shape, and whom it is asked about."""

from __future__ import annotations

from typing import Protocol

from parkgate.config.site import Instrument
from parkgate.drivers.driver import Driver
from parkgate.drivers.modbus.frames import Traced
from parkgate.drivers.modbus.plan import Block


class AskedDriver(Driver, Protocol):
    """A driver that answers single questions, and lets its frames be seen."""

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block; give its data, or the code of an exception reply."""
        ...

    def trace(self, traced: Traced | None) -> None:
        """Tell of every frame from now on."""
        ...


def stand_in(line: str, unit: int) -> Instrument:
    """Give an instrument of which nothing is known but its line and its unit."""
    return Instrument(name=f"unit-{unit}", line=line, unit=unit, every=1_000, profile="", protocol="modbus", points=())
