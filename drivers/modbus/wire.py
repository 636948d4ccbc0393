"""One Modbus line asked one question at a time, every reply held against its question, every failure named.

On serial lines a reply names no question. After a missing one its unit is left alone until that reply came or can no
more come (`rests`), while the others are asked; the line is silent for 3.5 characters before each question; and who was
asked by somebody else just before this line was opened gets the time to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.faults import Fault, Garbled, Silent, Unreachable
from parkgate.drivers.modbus.connection import Broken, Connection, Lost, Unanswered
from parkgate.drivers.modbus.endpoint import endpoint_of
from parkgate.drivers.modbus.frames import BEHIND_GATEWAY, NOT_MODBUS, REFUSAL, Frame, Traced, function_of
from parkgate.drivers.modbus.pause import Pause
from parkgate.drivers.modbus.plan import MOST_REGISTERS, Block
from parkgate.drivers.modbus.rests import LATEST, Rests
from parkgate.drivers.modbus.wire_time import characters_ms, silence_ms

AHEAD = 0.0002
"""Seconds before a serial gap is over at which a question is made ready: on a fast port the time of two characters."""
_MOST_SILENCES = 3
_LONGEST_REPLY = Block("holding", 0, MOST_REGISTERS, ())
"""As long as what an instrument may say it is: that comes in one answer, and nobody knows its length before."""


class Wire:
    """A line and who may be asked on it now; `instruments` are those that are on it.

    Raises:
        Unusable: the line's URL cannot work as configured.

    """

    def __init__(self, line: Line, instruments: Sequence[Instrument]) -> None:
        self.traced: Traced | None = None
        self.line = line
        self.endpoint = endpoint_of(line)
        self._timeout = line.timeout / 1_000
        self.rests = Rests(self._timeout, named=not self.endpoint.rtu)
        self._gap = max(silence_ms(line) if self.endpoint.rtu else 0.0, line.pause) / 1_000
        self._ahead = AHEAD if self.endpoint.device else 0.0
        self._free_at: dict[int, float] = {}
        self._last = 0.0
        self._settled = not self.endpoint.rtu
        self._connection: Connection | None = None
        self._pause: Pause | None = None
        self._unanswered = 0
        self._silent_units: set[int] = set()
        self._units = frozenset(each.unit for each in instruments)
        self._pauses = {each.unit: each.pause / 1_000 for each in instruments if each.pause}

    async def open(self) -> None:
        """Connect.

        Raises:
            Unreachable: nobody accepted the connection within the line's timeout, or the port cannot be opened.

        """
        connection = Connection(self.line, self.endpoint, self._heard)
        await connection.opened()
        if self._gap:
            self._pause = Pause()
        self._connection, self._unanswered = connection, 0
        self._silent_units.clear()
        self.rests.opened()
        if not self._settled:
            await asyncio.sleep(LATEST * self._timeout)
            self._settled = True

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._pause is not None:
            self._pause.close()
            self._pause = None

    def resting(self, unit: int) -> float:
        """Give the seconds for which a unit is left alone."""
        return self.rests.rests(unit, monotonic())

    def missed(self, unit: int) -> None:
        """Note that a unit cannot be reached, by what somebody else on the line says."""
        self.rests.missed(unit, monotonic())

    def may_be_asked(self, unit: int, who: str) -> None:
        """See that a unit is not left alone now.

        Raises:
            Silent: it is.

        """
        now = monotonic()
        if not (rests := self.rests.rests(unit, now)):
            return
        if self.rests.owes(unit, now):
            what = say("it is not asked for {ms} ms more: its late answer may still come", ms=round(rests * 1_000) or 1)
            hint = say("If it is so often, allow the line a longer timeout.")
        else:
            what = say("it has been silent for long and is asked again in {seconds} s", seconds=round(rests) or 1)
            hint = say("Check its power, its wiring and its unit number; it comes back by itself.")
        raise Silent(what, where=who, hint=hint)

    async def ask(self, unit: int, block: Block, who: str, *, counts: bool = True) -> bytes | int:
        """Ask a unit for a block; give its data, or the code of an exception reply. A spoilt reply is asked for again.

        `who` names it in faults. Where the question `counts`, many in a row without an answer are the line's fault: a
        search for units has no such.

        Raises:
            Unreachable: the connection is lost, or nothing on the line has answered several times in a row.
            Silent: no answer came in time.
            Garbled: what came did not fit the question.

        """
        try:
            try:
                frame = await self._asked(unit, block)
            except Broken:
                frame = await self._asked(unit, block)
        except Lost:
            raise self._lost() from None
        except Broken:
            fault: Fault = self._garbled(who, say("its answers come spoilt: the checksum is wrong"))
            raise (self._unheard(unit, fault) if counts else fault) from None
        except Unanswered as nothing:
            fault = self._unanswered_by(unit, who, nothing.noise, counts=counts)
            raise (self._unheard(unit, fault) if counts else fault) from None
        return self._checked(frame, unit, block, who)

    async def identify(self, unit: int) -> Frame | None:
        """Ask a unit what it is; None if nothing came that could be read, or it owes a reply and is not asked.

        Raises:
            Unreachable: the connection is lost.

        """
        if self.rests.owes(unit, monotonic()):
            return None
        try:
            after = await self._quiet(unit)
            longest = characters_ms(self.line, _LONGEST_REPLY) / 1_000 if self.endpoint.rtu else 0.0
            frame = await self._open().identify(unit, self._timeout + longest, after)
        except Lost:
            raise self._lost() from None
        except (Unanswered, Broken):
            return None
        finally:
            self._asked_now(unit)
        return None if frame is NOT_MODBUS else frame

    async def _asked(self, unit: int, block: Block) -> Frame:
        """Put a question when the line has been silent for long enough, and give what its unit replies."""
        takes = (silence_ms(self.line) + characters_ms(self.line, block)) / 1_000 if self.endpoint.rtu else 0.0
        after = await self._quiet(unit) if self._gap or self._free_at else 0.0
        try:
            return await self._open().read(unit, block, self._timeout + takes, takes, after)
        except (Unanswered, Broken):
            raise
        except BaseException:  # lost or cancelled behind the question: its reply may still come
            self.rests.owe(unit, monotonic())
            raise
        finally:
            self._asked_now(unit)

    def _asked_now(self, unit: int) -> None:
        """Note that a question was put: the line and its unit have their pauses from now on."""
        if self._gap and not self.endpoint.rtu:
            self._last = monotonic()
        if pause := self._pauses.get(unit):
            self._free_at[unit] = monotonic() + pause

    async def _quiet(self, unit: int) -> float:
        """Wait until the line has been silent for its gap, noise notwithstanding, and the unit has had its pause.

        Gives the moment, by the monotonic clock, before which nothing may be written. On a serial port it comes
        `AHEAD` of it, as long as it takes to make the question ready.
        """
        connection, now = self._open(), monotonic()
        latest, free_at = now + self._timeout, self._free_at.get(unit, 0.0)
        while True:
            silent = max(self._last, connection.last) + self._gap
            moment = max(min(silent, latest), free_at)
            wait = moment - now - self._ahead
            if wait <= 0.0:
                return moment
            await (self._pause.wait(wait) if self._pause is not None else asyncio.sleep(wait))
            now = monotonic()

    def _open(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            raise Lost
        self._connection.trace(self.traced)
        return self._connection

    def _heard(self, frame: Frame) -> None:
        self.rests.came_late(frame.unit, monotonic())

    def _checked(self, frame: Frame, unit: int, block: Block, who: str) -> bytes | int:
        """Hold a reply against its question."""
        if frame is NOT_MODBUS:
            raise self._unheard(unit, self._garbled(who, say("what came back is not Modbus TCP")))
        self._unanswered = 0
        self._silent_units.clear()
        function = function_of(block.table)
        if frame.unit != unit:
            raise self._misfit(unit, who, say("unit {unit} answered instead", unit=frame.unit))
        if frame.function == function | REFUSAL:
            if frame.data[0] not in BEHIND_GATEWAY:
                self.rests.answered(unit)
            return frame.data[0]
        if frame.function != function:
            raise self._misfit(
                unit, who, say("asked with function {asked}, answered {got}", asked=function, got=frame.function)
            )
        if frame.data[0] != block.size or len(frame.data) != block.size + 1:
            raise self._misfit(
                unit, who, say("{asked} bytes were asked, {got} came", asked=block.size, got=len(frame.data) - 1)
            )
        self.rests.answered(unit)
        return frame.data[1:]

    def _misfit(self, unit: int, who: str, what: str) -> Garbled:
        """Give the fault of a reply that answers another question; the right one may still come."""
        self.rests.owe(unit, monotonic())
        return self._garbled(who, what)

    def _unheard(self, unit: int, fault: Fault) -> Fault:
        """Count what was no answer; if nobody answers any more the line is to blame, as with a half-open connection."""
        self._unanswered += 1
        self._silent_units.add(unit)
        if self._unanswered < _MOST_SILENCES or not self._silent_units >= self._units:
            return fault
        return Unreachable(
            say("nothing answers any more, {count} times in a row", count=self._unanswered),
            where=f"{self.line.name} ({self.line.url})",
            hint=say("The connection is opened again; if it stays so, check the network and the instruments' power."),
        )

    def _lost(self) -> Unreachable:
        if self.endpoint.device:
            what = say("the serial port went away")
            hint = say("It is opened again when it is back; check the adapter's plug and power.")
        else:
            what = say("the connection was closed")
            hint = say("It is opened again; if it happens often, look for a second program that reads this instrument.")
        return Unreachable(what, where=f"{self.line.name} ({self.line.url})", hint=hint)

    def _unanswered_by(self, unit: int, who: str, noise: bytes, *, counts: bool) -> Fault:
        """Note that a question got no answer; give the fault of its unit."""
        now = monotonic()
        self.rests.owe(unit, now)
        if noise and self.endpoint.rtu:
            return self._garbled(who, say("what came back is no answer"))
        if counts:
            self.rests.missed(unit, now)
        return self._silent(unit, who)

    def _silent(self, unit: int, who: str) -> Silent:
        late = round(1_000 * self.rests.late(unit))
        if late:
            return Silent(
                say(
                    "no answer within {timeout} ms; the one before came {late} ms late",
                    timeout=self.line.timeout,
                    late=late,
                ),
                where=who,
                hint=say("It is slower than the line's timeout: allow the line a longer one."),
            )
        return Silent(
            say("no answer within {timeout} ms", timeout=self.line.timeout),
            where=who,
            hint=say("Check the instrument's power and its unit number, or allow the line a longer timeout."),
        )

    def _garbled(self, who: str, what: str) -> Garbled:
        return Garbled(
            what,
            where=who,
            hint=say("Nothing of it is used. Look for a second device with this unit number, or a wrong converter."),
        )


def named(instrument: Instrument) -> str:
    """Give who an instrument is, for a fault."""
    return say("{name} ({line}, unit {unit})", name=instrument.name, line=instrument.line, unit=instrument.unit)


def unreached(who: str, code: int) -> Silent:
    """Give the fault of an instrument that the gateway before it cannot reach."""
    return Silent(
        say("the gateway on this line cannot reach it (exception {code})", code=code),
        where=who,
        hint=say("Check the wiring behind that gateway, the instrument's power and its unit number."),
    )
