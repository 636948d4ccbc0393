"""A Modbus driver as people ask it, question by question."""

from __future__ import annotations

from typing import Protocol

from parkgate.drivers.driver import Driver
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.frames import Traced
from parkgate.drivers.modbus.plan import Block


class AskedDriver(Driver, Protocol):
    """A driver that answers single questions, and lets its frames be seen."""

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block; give its data, or the code of an exception reply."""
        ...

    async def who(self, unit: int) -> Identity | None:
        """Ask a unit what it is; None where it says nothing of use."""
        ...

    def trace(self, traced: Traced | None) -> None:
        """Tell of every frame from now on."""
        ...
