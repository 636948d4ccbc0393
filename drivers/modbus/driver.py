"""A Modbus TCP line: one connection, one question at a time, every answer held against its question.

The only door to pymodbus. It carries the bytes, numbers the transactions and times them; how a frame is recognised and
what it means is decided here and in `codec`, so that nothing is unpacked twice and no reply is believed unchecked.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import ModbusPDU, ReadCoilsRequest, ReadHoldingRegistersRequest
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.register_message import ReadInputRegistersRequest

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Now
from parkgate.drivers.faults import Fault, Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus import identification
from parkgate.drivers.modbus.address import Table
from parkgate.drivers.modbus.plan import Block
from parkgate.drivers.modbus.route import Route, Turn
from parkgate.drivers.snapshot import Snapshot

# pymodbus logs each late, odd or missing reply as an error of its own, several lines each. All of these reach us as
# return values or exceptions and are told once, as faults that name the instrument.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

PORT = 502
"""The port registered for Modbus TCP."""

_REQUESTS: Final[dict[Table, type[ModbusPDU]]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
_REFUSAL = 0x80  # added to the function of a request in an exception reply
_BEHIND_GATEWAY = frozenset({10, 11})  # exception codes: no path to the instrument; it does not answer
_HEADER = struct.Struct(">HHHB")  # MBAP: transaction, protocol (0), length from the unit on, unit
_SHORTEST, _LONGEST = 3, 254  # what that length can be: unit, function and 1 to 252 bytes
_BUFFER = 4_096  # bytes; with its own 264 pymodbus drops a late reply and the right one if they come in one piece
_MOST_SILENCES = 3


class _Reply(ModbusPDU):
    """One reply as it came: the unit that sent it, its function (0: garbage, no reply at all) and the bytes behind."""

    def __init__(self, asked_unit: int, transaction: int, unit: int = 0, function: int = 0, data: bytes = b"") -> None:
        super().__init__(dev_id=asked_unit, transaction_id=transaction)
        self.unit = unit
        self.function_code = function
        self.data = data


class _Frames(FramerSocket):
    """Finds the reply with the transaction number that was asked, skips all others, and recognises garbage at once."""

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:  # noqa: N802 - pymodbus's name
        """Give how many bytes are done with, and the reply awaited if it is complete."""
        used = 0
        while len(data) - used >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(data, used)
            if protocol or not _SHORTEST <= length <= _LONGEST:
                return len(data), _Reply(exp_devid, exp_tid)
            start, end = used + _HEADER.size, used + _HEADER.size - 1 + length
            if len(data) < end:
                break
            used = end
            if transaction == exp_tid:
                return used, _Reply(exp_devid, exp_tid, unit, data[start], data[start + 1 : end])
        return used, None


class ModbusDriver:
    """A Modbus TCP connection and the instruments behind it; fulfils `parkgate.drivers.driver.Driver`.

    What an instrument refuses is remembered over reconnections: enter the same object again.

    Raises:
        Unusable: the line's URL or an instrument's points cannot work as configured.

    """

    def __init__(self, line: Line, instruments: Sequence[Instrument], now: Now) -> None:
        self._line = line
        self._host, self._port = _endpoint(line)
        self._now = now
        self._routes = {instrument.name: Route(instrument) for instrument in instruments}
        self._identities: dict[int, Identity | None] = {}
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False
        self._unanswered = 0
        self._most_unanswered = max(_MOST_SILENCES, len(instruments))

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody accepted the connection within the line's timeout.

        """
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._line.timeout / 1_000,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        client.ctx.framer = _Frames(client.ctx.framer.decoder)
        client.ctx.max_buffer_size = _BUFFER
        self._client, self._unanswered = client, 0
        if not await client.connect():
            self._client = None
            client.close()
            raise Unreachable(
                say("no connection to {host}:{port}", host=self._host, port=self._port),
                where=self._line.name,
                hint=say("Check power, cable, address and port; many instruments accept one connection only."),
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
            await asyncio.sleep(0)  # the event loop closes the socket in its next round

    async def read(self, instrument: Instrument) -> Sequence[Snapshot]:
        """Read every point and state of an instrument once; the snapshot's time is when the last answer came.

        Raises:
            Unreachable: the connection is lost, or nothing on the line has answered several times in a row.
            Silent: a request got no answer in time. Values and states are of one turn or not at all.
            Garbled: a reply did not fit its request.

        """
        at = self._now()
        turn = Turn(self._routes[instrument.name], at)
        while block := turn.next():
            turn.take(block, await self._ask(instrument, block))
            at = self._now()
        return (turn.close(at),)

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask a unit once for its device identification; many an instrument knows no such question, or is silent at it.

        Raises:
            Unreachable: the connection is lost.

        """
        unit = instrument.unit
        if unit not in self._identities:
            request = ReadDeviceInformationRequest(read_code=identification.BASIC, dev_id=unit)
            try:
                reply = await self._exchange(request)
            except ModbusException:
                reply = _Reply(unit, 0)
            fits = (reply.unit, reply.function_code) == (unit, identification.FUNCTION)
            self._identities[unit] = identification.decode(reply.data) if fits else None
            if not reply.function_code:
                # The question is shorter than a read: who did not understand it may have lost its place in the stream.
                await self.__aexit__(None, None, None)
                await self.__aenter__()
        return self._identities[unit]

    async def _exchange(self, request: ModbusPDU) -> _Reply:
        """Send a request and give its reply as it came; that there is none in time is pymodbus's exception."""
        client = self._client
        if client is None:
            raise self._lost()
        self._asking = True
        try:
            return cast("_Reply", await client.execute(False, request))  # noqa: FBT003 - no keyword in pymodbus's protocol
        except ConnectionException:
            raise self._lost() from None
        finally:
            self._asking = False

    async def _ask(self, instrument: Instrument, block: Block) -> bytes | int:
        """Ask one block; give its data, or the code of an exception reply."""
        request = _REQUESTS[block.table](address=block.start, count=block.count, dev_id=instrument.unit)
        try:
            reply = await self._exchange(request)
        except ModbusException:
            raise self._unheard(self._silent(instrument)) from None
        if not reply.function_code:
            raise self._unheard(self._garbled(instrument, say("what came back is not Modbus TCP")))
        self._unanswered = 0
        return self._checked(instrument, block, request.function_code, reply)

    def _checked(self, instrument: Instrument, block: Block, function: int, reply: _Reply) -> bytes | int:
        if reply.unit != instrument.unit:
            raise self._garbled(instrument, say("unit {unit} answered instead", unit=reply.unit))
        if reply.function_code == function | _REFUSAL:
            code = reply.data[0]
            if code in _BEHIND_GATEWAY:
                raise Silent(
                    say("the gateway on this line cannot reach it (exception {code})", code=code),
                    where=self._where(instrument),
                    hint=say("Check the wiring behind that gateway, the instrument's power and its unit number."),
                )
            return code
        if reply.function_code != function:
            raise self._garbled(
                instrument,
                say("asked with function {asked}, answered {got}", asked=function, got=reply.function_code),
            )
        if reply.data[0] != block.size or len(reply.data) != block.size + 1:
            raise self._garbled(
                instrument, say("{asked} bytes were asked, {got} came", asked=block.size, got=len(reply.data) - 1)
            )
        return reply.data[1:]

    def _connection_changed(self, up: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        """Fail the pending request when the connection goes: pymodbus would let it wait out its time."""
        if up or not self._asking or self._client is None:
            return
        pending = self._client.ctx.response_future
        if not pending.done():
            pending.set_exception(ConnectionException())

    def _unheard(self, fault: Fault) -> Fault:
        """Count what was no answer; after enough of them the line is to blame, as with a half-open connection."""
        self._unanswered += 1
        if self._unanswered < self._most_unanswered:
            return fault
        return Unreachable(
            say("nothing answers any more, {count} times in a row", count=self._unanswered),
            where=f"{self._line.name} ({self._line.url})",
            hint=say("The connection is opened again; if it stays so, check the network and the instruments' power."),
        )

    def _lost(self) -> Unreachable:
        return Unreachable(
            say("the connection was closed"),
            where=f"{self._line.name} ({self._line.url})",
            hint=say("It is opened again; if it happens often, look for a second program that reads this instrument."),
        )

    def _silent(self, instrument: Instrument) -> Silent:
        return Silent(
            say("no answer within {timeout} ms", timeout=self._line.timeout),
            where=self._where(instrument),
            hint=say("Check the instrument's power and its unit number, or allow the line a longer timeout."),
        )

    def _garbled(self, instrument: Instrument, what: str) -> Garbled:
        return Garbled(
            what,
            where=self._where(instrument),
            hint=say("Nothing of it is used. Look for a second device with this unit number, or a wrong converter."),
        )

    def _where(self, instrument: Instrument) -> str:
        return f"{instrument.name} ({self._line.name}, unit {instrument.unit})"


def _endpoint(line: Line) -> tuple[str, int]:
    url = urlsplit(line.url)
    try:
        host, port = url.hostname, url.port or PORT
        (host or "").encode("idna")  # what the resolver does with a name, and would raise from inside the library
    except ValueError:
        host, port = None, PORT
    if url.scheme != "modbus-tcp" or not host:
        raise Unusable(
            say('"{url}" is not a Modbus TCP line', url=line.url),
            where=line.name,
            hint=say('Write it like "modbus-tcp://10.0.0.5:502".'),
        )
    return host, port
