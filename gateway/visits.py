"""What people ask of a running agent's lines: single questions, each put between two turns of the line's own loop.

A line has one master, so `probe` and `scan` come through here and never beside it. Nothing but reading can be asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, cast

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.drivers.driver import Driver
from parkgate.drivers.faults import Fault
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.address import REGISTERS, Table
from parkgate.drivers.modbus.asking import AskedDriver
from parkgate.drivers.modbus.plan import MOST_BITS, MOST_REGISTERS, Block
from parkgate.gateway.collecting.collector import Collector

Answer = Mapping[str, object]
_MOST: Final[Mapping[str, int]] = {
    "coil": MOST_BITS, "discrete": MOST_BITS, "input": MOST_REGISTERS, "holding": MOST_REGISTERS,
}  # fmt: skip
_HIGHEST_UNIT = 255


class Visits:
    """Answers the control socket's verbs `ask` and `identify`: `{"verb":"ask","line":…,"unit":…,"table":…,"start":…}`.

    The answer holds `data` (hex) or the `code` of an exception reply, `identity` or null; else a `fault`, or an `error`
    where the request is none. `frames` is what went over the wire for it: whether it was sent, and its bytes in hex.
    """

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = {each.line.name: each for each in collectors}

    async def ask(self, request: Mapping[str, Any]) -> Answer:
        """Ask a unit for a block of registers or bits."""
        block, unit = _block(request), _unit(request)
        if block is None or unit is None:
            return {"error": say("a question needs unit, table, start and count as Modbus has them")}

        async def work(driver: AskedDriver) -> Answer:
            answer = await driver.ask(unit, block)
            return {"data": answer.hex()} if isinstance(answer, bytes) else {"code": answer}

        return await self._visited(request.get("line"), work)

    async def identify(self, request: Mapping[str, Any]) -> Answer:
        """Ask a unit what it is."""
        line, unit = request.get("line"), _unit(request)
        if unit is None:
            return {"error": say("a question needs unit, table, start and count as Modbus has them")}

        async def work(driver: AskedDriver) -> Answer:
            return {"identity": _told(await driver.who(unit))}

        return await self._visited(line, work)

    async def _visited(self, line: object, work: Callable[[AskedDriver], Awaitable[Answer]]) -> Answer:
        collector = self._collectors.get(line) if isinstance(line, str) else None
        if collector is None:
            return {"error": say("no such line; known: {lines}", lines=", ".join(sorted(self._collectors)))}
        if kind_of(collector.line) == "opcua":
            return {"error": say("only a Modbus line can be asked for registers")}
        frames: list[tuple[bool, str]] = []

        async def visit(driver: Driver) -> Answer:
            asked = cast("AskedDriver", driver)
            asked.trace(lambda sent, frame: frames.append((sent, frame.hex())))
            try:
                return await work(asked)
            finally:
                asked.trace(None)

        try:
            answer = await collector.visit(visit)
        except Fault as fault:
            answer = as_answer(fault)
        return {**answer, "frames": frames}


def as_answer(fault: Fault) -> Answer:
    """Give a fault as an answer, whole, so that the asker can raise it again."""
    return {"fault": {"kind": type(fault).__name__, "what": fault.what, "where": fault.where, "hint": fault.hint}}


def _block(request: Mapping[str, Any]) -> Block | None:
    """Give the block that a request asks for, None if it asks for none that exists."""
    table, start, count = request.get("table"), request.get("start"), request.get("count")
    if not isinstance(table, str) or table not in _MOST or type(start) is not int or type(count) is not int:
        return None
    if start < 0 or not 1 <= count <= _MOST[table] or start + count > REGISTERS:
        return None
    return Block(cast("Table", table), start, count, ())


def _unit(request: Mapping[str, Any]) -> int | None:
    unit = request.get("unit")
    return unit if type(unit) is int and 0 <= unit <= _HIGHEST_UNIT else None


def _told(identity: Identity | None) -> object:
    if identity is None:
        return None
    return {"vendor": identity.vendor, "product": identity.product, "revision": identity.revision}
