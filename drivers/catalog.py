"""Which driver speaks a line's protocol. The only place that imports a driver, and only when a line needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from urllib.parse import urlsplit

from parkgate.config.site import Gateway, Instrument, Line
from parkgate.drivers.application import Application
from parkgate.drivers.driver import Driver, Now


def opener(gateway: Gateway) -> Callable[[Line, Sequence[Instrument], Now], Driver]:
    """Give what opens the lines of a gateway, by its own certificate and what it trusts."""
    return partial(open_driver, application=Application.of(gateway))


def load(lines: Iterable[Line]) -> None:
    """Import now what these lines speak: who knows that it stays can keep the collector of garbage away from it."""
    if any(map(_is_opcua, lines)):
        import_module("parkgate.drivers.opcua.driver")


def _is_opcua(line: Line) -> bool:
    return urlsplit(line.url).scheme == "opc.tcp"


def open_driver(
    line: Line, instruments: Sequence[Instrument], now: Now, application: Application | None = None
) -> Driver:
    """Give a driver for a line and the instruments on it, not yet connected.

    Without an `application` only lines without security can be opened. OPC UA's library costs about 30 MB of memory, so
    it is imported only where a line speaks it.
    """
    if _is_opcua(line):
        from parkgate.drivers.opcua.driver import OpcUaDriver  # noqa: PLC0415

        return OpcUaDriver(line, instruments, now, application)
    from parkgate.drivers.modbus.driver import ModbusDriver  # noqa: PLC0415

    return ModbusDriver(line, instruments, now)
