"""A Modbus line as the agent sees it: reads the instruments on it, turn by turn. How to ask is in `wire`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Between, Now, Standing, nothing
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus import identification
from parkgate.drivers.modbus.frames import BEHIND_GATEWAY, Traced
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.route import Route, Turn
from parkgate.drivers.modbus.wire import Wire, named, unreached
from parkgate.drivers.snapshot import Snapshot


class ModbusDriver:
    """A Modbus line and the instruments on it; fulfils `parkgate.drivers.driver.Driver`.

    What an instrument refuses, and who owes a reply, is remembered over reconnections: enter the same object again.

    Raises:
        Unusable: the line's URL or an instrument's points cannot work as configured.

    """

    def __init__(self, line: Line, instruments: Sequence[Instrument], now: Now) -> None:
        self._wire = Wire(line, instruments)
        self._now = now
        self._routes = {instrument.name: Route(instrument) for instrument in instruments}
        self._who = {instrument.name: named(instrument) for instrument in instruments}
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
        unit, who = instrument.unit, self._who[instrument.name]
        self._wire.may_be_asked(unit, who)
        at = self._now()
        turn = Turn(self._routes[instrument.name], at)
        block = turn.next()
        while block:
            if turn.wait:
                await asyncio.sleep(turn.wait / 1_000)
            answer = await self._wire.ask(unit, block, who)
            if isinstance(answer, int) and answer in BEHIND_GATEWAY:
                self._wire.missed(unit)
                raise unreached(who, answer)
            turn.take(block, answer)
            at = self._now()
            if block := turn.next():
                await between(instrument)
                self._wire.may_be_asked(unit, who)  # another instrument of this unit may have been asked in between
        return (turn.close(at),)

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block; give its data, or the code of an exception reply.

        Raises:
            Unreachable, Silent, Garbled: as `read`.

        """
        who = say("{line}, unit {unit}", line=self._wire.line.name, unit=unit)
        self._wire.may_be_asked(unit, who)
        return await self._wire.ask(unit, block, who, counts=False)

    async def who(self, unit: int) -> Identity | None:
        """Ask a unit for its device identification; None where it says nothing of use.

        Raises:
            Unreachable: the connection is lost.

        """
        frame = await self._wire.identify(unit)
        if frame is None and not self._wire.endpoint.device:
            # The question is shorter than a read: who did not understand it may have lost its place in the stream.
            await self._wire.close()
            await self._wire.open()
        if frame is None or (frame.unit, frame.function) != (unit, identification.FUNCTION):
            return None
        return identification.decode(frame.data)

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask a unit once for its device identification; many an instrument knows no such question, or is silent at it.

        Raises:
            Unreachable: the connection is lost.

        """
        if instrument.unit not in self._identities:
            self._identities[instrument.unit] = None  # whatever becomes of it, even if it costs the connection
            self._identities[instrument.unit] = await self.who(instrument.unit)
        return self._identities[instrument.unit]

    def standing(self, instrument: Instrument) -> Standing:
        """Tell which points an instrument refuses, and whether it was silent for so long that it is asked rarely."""
        rests = self._wire.resting(instrument.unit) if self._wire.rests.demoted(instrument.unit) else 0.0
        return Standing(self._routes[instrument.name].unsupported(), rests)

    def described(self, instrument: Instrument) -> Instrument:
        """Give the instrument itself: no Modbus register says of another what it means."""
        return instrument
