"""An OPC UA driver as people ask it, question by question."""

from __future__ import annotations

from typing import Protocol

from parkgate.drivers.driver import Driver
from parkgate.drivers.opcua.space import Asked


class AskedDriver(Driver, Protocol):
    """A driver whose open session answers single questions."""

    def asked(self) -> Asked:
        """Give the session; it is open as long as the driver is."""
        ...
