"""Which driver speaks a line's protocol. The only place that imports a driver, and only when a line needs it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Driver, Now


def open_driver(line: Line, instruments: Sequence[Instrument], now: Now) -> Driver:
    """Give a driver for a line and the instruments on it, not yet connected.

    OPC UA's library costs about 30 MB of memory, so it is imported only where a line speaks it.
    """
    if urlsplit(line.url).scheme == "opc.tcp":
        from parkgate.drivers.opcua.driver import OpcUaDriver  # noqa: PLC0415

        return OpcUaDriver(line, instruments, now)
    from parkgate.drivers.modbus.driver import ModbusDriver  # noqa: PLC0415

    return ModbusDriver(line, instruments, now)
