"""A Modbus line as the agent sees it: reads the instruments on it, turn by turn. How to ask is in `wire`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Between, Now, Standing, nothing
from parkgate.drivers.faults import Silent
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus import identification
from parkgate.drivers.modbus.frames import BEHIND_GATEWAY, Traced
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.route import Route, Turn
from parkgate.drivers.modbus.wire import Wire
from parkgate.drivers.snapshot import Snapshot


class ModbusDriver:
    """A Modbus line and the instruments on it; fulfils `parkgate.drivers.driver.Driver`.

    What an instrument refuses, and who owes a reply, is remembered over reconnections: enter the same object again.

    Raises:
        Unusable: the line's URL or an instrument's points cannot work as configured.

    """

    def __init__(self, line: Line, instruments: Sequence[Instrument], now: Now) -> None:
        self._wire = Wire(line, len(instruments))
        self._now = now
        self._routes = {instrument.name: Route(instrument) for instrument in instruments}
        self._identities: dict[int, Identity | None] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody accepted the connection within the line's timeout, or the port cannot be opened.

        """
        await self._wire.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._wire.close()

    def trace(self, traced: Traced | None) -> None:
        """Tell of every frame from now on: whether it was sent, and its bytes."""
        self._wire.traced = traced

    async def read(self, instrument: Instrument, between: Between = nothing) -> Sequence[Snapshot]:
        """Read every point and state of an instrument once; the snapshot's time is when the last answer came.

        Raises:
            Unreachable: the connection is lost, or nothing on the line has answered several times in a row.
            Silent: a request got no answer in time. Values and states are of one turn or not at all.
            Garbled: a reply did not fit its request.

        """
        unit, pause = instrument.unit, instrument.pause / 1_000
        if rests := self._wire.resting(unit):
            raise self._left_alone(instrument, rests)
        who = self._named(instrument)
        at = self._now()
        turn = Turn(self._routes[instrument.name], at)
        block = turn.next()
        while block:
            if turn.wait:
                await asyncio.sleep(turn.wait / 1_000)
            answer = await self._wire.ask(unit, block, who, pause)
            if isinstance(answer, int) and answer in BEHIND_GATEWAY:
                raise self._unreached(unit, who, answer)
            turn.take(block, answer)
            at = self._now()
            if block := turn.next():
                await between(instrument)
        return (turn.close(at),)

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block; give its data, or the code of an exception reply.

        Raises:
            Unreachable, Silent, Garbled: as `read`.

        """
        await self._wire.settled(unit)
        return await self._wire.ask(unit, block, f"{self._wire.line.name}, unit {unit}", counts=False)

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask a unit once for its device identification; many an instrument knows no such question, or is silent at it.

        Raises:
            Unreachable: the connection is lost.

        """
        unit = instrument.unit
        if unit not in self._identities:
            frame = await self._wire.identify(unit)
            fits = frame is not None and (frame.unit, frame.function) == (unit, identification.FUNCTION)
            self._identities[unit] = identification.decode(frame.data) if frame is not None and fits else None
            if frame is None and not self._wire.endpoint.device:
                # The question is shorter than a read: who did not understand it may have lost its place in the stream.
                await self._wire.close()
                await self._wire.open()
        return self._identities[unit]

    def standing(self, instrument: Instrument) -> Standing:
        """Tell which points an instrument refuses, and whether it was silent for so long that it is asked rarely."""
        rests = self._wire.resting(instrument.unit) if self._wire.rests.demoted(instrument.unit) else 0.0
        return Standing(self._routes[instrument.name].unsupported(), rests)

    def _named(self, instrument: Instrument) -> str:
        return f"{instrument.name} ({self._wire.line.name}, unit {instrument.unit})"

    def _left_alone(self, instrument: Instrument, rests: float) -> Silent:
        """Give the fault of a turn in which nothing was asked."""
        if self._wire.rests.demoted(instrument.unit):
            what = say("it has been silent for long and is asked again in {seconds} s", seconds=round(rests) or 1)
            hint = say("Check its power, its wiring and its unit number; it comes back by itself.")
        else:
            what = say("it is not asked for {ms} ms more: its late answer may still come", ms=round(rests * 1_000) or 1)
            hint = say("If it is so often, allow the line a longer timeout.")
        return Silent(what, where=self._named(instrument), hint=hint)

    def _unreached(self, unit: int, who: str, code: object) -> Silent:
        self._wire.missed(unit)
        return Silent(
            say("the gateway on this line cannot reach it (exception {code})", code=code),
            where=who,
            hint=say("Check the wiring behind that gateway, the instrument's power and its unit number."),
        )
