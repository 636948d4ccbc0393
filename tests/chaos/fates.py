"""A row's fate by every answer of a broker: what was designed, and what came of it. `run` makes the table."""

from __future__ import annotations

import asyncio
import random
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from chaos.row import Row
from support.scripted_broker import ScriptedBroker, accept, acknowledge, connack
from support.uplink_bench import Bench, running

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.forwarding import refusals, window
from parkgate.gateway.forwarding import session as room
from parkgate.gateway.forwarding.forwarder import QUICK
from parkgate.gateway.storing.database import Database
from parkgate.gateway.storing.outbox import Outbox

DELIVERED = "delivered"
KEPT = "kept, tried again, delivered once the broker relents"
APART = "quarantined and declared"
AGAIN = "sent again, byte for byte, by the next connection"
NONE = None

PUBACKS: dict[tuple[int | None, str], str] = {
    (0x00, "deliver"): DELIVERED,
    (0x10, "deliver"): DELIVERED,
    (0x10, "hold"): KEPT,
    (0x80, "deliver"): KEPT,
    (0x83, "deliver"): KEPT,
    (0x87, "deliver"): KEPT,
    (0x90, "deliver"): APART,
    (0x91, "deliver"): AGAIN,
    (0x97, "deliver"): KEPT,
    (0x99, "deliver"): APART,
    (0xA5, "deliver"): KEPT,  # MQTT 5, table 3-4, knows no such code
    (NONE, "deliver"): AGAIN,
}
"""By reason code (None: no PUBACK comes) and what the site says of nobody's having subscribed."""

SOON, PATIENT, ALARMED, LOCKED = (0.0, QUICK), (5.0, 300.0), (60.0, 600.0), (300.0, 600.0)
"""Seconds, at least and at most, before the next try."""
CONNACKS: dict[int, tuple[type[refusals.UplinkFault], tuple[float, float] | None]] = {
    0x84: (refusals.VersionRefused, None),
    0x85: (refusals.Misconfigured, ALARMED),
    0x86: (refusals.NotAdmitted, LOCKED),
    0x87: (refusals.NotAdmitted, LOCKED),
    0x88: (refusals.Busy, PATIENT),
    0x89: (refusals.Busy, PATIENT),
    0x8C: (refusals.NotAdmitted, LOCKED),
    0x97: (refusals.Busy, PATIENT),
    0x9A: (refusals.WillRefused, None),
    0x9B: (refusals.WillRefused, None),
    0x9C: (refusals.Busy, PATIENT),
}
"""By reason code: the fault, and the wait; None where the next try speaks otherwise, and at once."""
DISCONNECTS: dict[int, tuple[type[refusals.UplinkFault], tuple[float, float]]] = {
    0x81: (refusals.LinkLost, SOON),
    0x8B: (refusals.Busy, PATIENT),
    0x8E: (refusals.TakenOver, ALARMED),
    0x93: (refusals.LinkLost, SOON),
    0x97: (refusals.Busy, PATIENT),
    0x98: (refusals.LinkLost, SOON),
    0x9D: (refusals.Busy, PATIENT),
}
"""By reason code: the fault, and the wait."""
_TRIES = 3


@dataclass(frozen=True)
class PubackSeen:
    """What became of one row: its fate, and how often it was counted as delivered before and after the relenting."""

    fate: str
    refused: int
    delivered: int


@dataclass(frozen=True)
class EndSeen:
    """What connections that end with a code are taken for, the waits after them, and what arrived at last."""

    faults: list[type]
    waits: list[float]
    spoken: list[tuple[int, int, bool]]
    """Of each CONNECT: the version, and QoS and retain of the will."""
    rows: list[bytes]
    stored: list[bytes]


async def puback(outbox: Outbox, code: int | None, nobody: str) -> PubackSeen:
    """Answer a row with a code until it was tried twice, then take it; tell its fate."""
    tries: list[bytes] = []
    relented = asyncio.Event()

    def answer(session, publish):
        if not publish.topic.endswith("/a") or "/meta/" in publish.topic:
            acknowledge(session, publish)
            return
        tries.append(publish.payload)
        if relented.is_set():
            acknowledge(session, publish)
        elif code is not None:
            session.ack(publish, code)

    with mock.patch.multiple(room, PAUSE=0.02, WATCH=0.02):
        async with ScriptedBroker(on_publish=answer) as broker:
            bench = Bench(outbox, broker.url, nobody=nobody)
            async with running(bench):
                await bench.until(lambda: bench.forwarder.online and bench.forwarder._session._lanes.greeted)
                await bench.store("a")
                await bench.until(lambda: tries)
                if code is None:
                    bench.clock.ahead += window.STUCK + 1
                await bench.until(lambda: len(tries) > 1 or not bench.reader.waiting)
                before = bench.forwarder.counters.delivered
                relented.set()
                if code is None:
                    bench.clock.ahead += window.STUCK + 1
                await bench.until(lambda: not bench.reader.waiting)
                fate = await _fate(bench, tries)
                refused = before if len(tries) > 1 or fate == APART else 0
                return PubackSeen(fate, refused, bench.forwarder.counters.delivered)


async def _fate(bench: Bench, tries: list[bytes]) -> str:
    apart = await bench.outbox.ask(Database.quarantined)
    if apart:
        told = [each for each in bench.told if each[:2] == ("quarantined", "a")]
        return APART if (apart, len(told)) == ({"park": 1}, 1) else "quarantined without a word"
    if len(bench.links) > 1:
        return AGAIN if tries[1] == b"[" + tries[0] + b"]" else "sent again with other bytes"
    if len(tries) > 1:
        return KEPT if set(tries) == {tries[0]} else "tried again with other bytes"
    return DELIVERED


async def connack_code(outbox: Outbox, code: int) -> EndSeen:
    """Refuse connections with a code: those of MQTT 5 by 0x84, those with the will by 0x9A and 0x9B, others thrice."""

    def refuses(connect, tried: int) -> bool:
        will = connect.will
        return {0x84: connect.version == 5, 0x9A: will.retain, 0x9B: will.qos > 0}.get(code, tried <= _TRIES)

    def answer(session, connect):
        if refuses(connect, len(broker.sessions)):
            session.writer.write(connack(connect.version, code))
        else:
            accept(session, connect)

    async with ScriptedBroker(on_connect=answer) as broker:
        return await _ended(outbox, broker)


async def disconnect_code(outbox: Outbox, code: int) -> EndSeen:
    """End connections with a code as soon as they have begun, thrice."""

    def answer(session, publish):
        if len(broker.sessions) <= _TRIES:
            session.dismiss(code)
        else:
            acknowledge(session, publish)

    async with ScriptedBroker(on_publish=answer) as broker:
        return await _ended(outbox, broker)


async def _ended(outbox: Outbox, broker: ScriptedBroker) -> EndSeen:
    bench = Bench(outbox, broker.url)
    await bench.store("a")
    stored = [each.body for each in await outbox.read(0, outbox.newest, 10)]
    async with running(bench):
        await bench.until(lambda: not bench.reader.waiting)
        faults = [type(link.lost.result()) for link in bench.links if link.lost.done()]
    greetings = [session.connect for session in broker.sessions]
    spoken = [(each.version, each.will.qos, each.will.retain) for each in greetings]
    rows = [each.payload for each in broker.sessions[-1].publishes if each.topic.endswith("/backfill/a")]
    return EndSeen(faults, bench.clock.waits, spoken, rows, stored)


def lost_nothing(seen: EndSeen) -> bool:
    """Tell whether what was stored arrived as it was stored."""
    return seen.rows == [b"[" + b",".join(seen.stored) + b"]"]


def as_designed(seen: EndSeen, fault: type, wait: tuple[float, float] | None) -> bool:
    """Tell whether every end was taken for `fault`, waited for as designed, and cost nothing."""
    if set(seen.faults) != {fault} or not lost_nothing(seen):
        return False
    if wait is None:
        return not seen.waits and len(seen.spoken) == 2 and seen.spoken[0] != seen.spoken[1]
    return len(seen.waits) == _TRIES and all(wait[0] <= each <= wait[1] for each in seen.waits)


@asynccontextmanager
async def _fresh():
    with tempfile.TemporaryDirectory(prefix="fates-") as folder:
        outbox = Outbox.open(Path(folder), SystemClock(), 1.0, random.Random(1))
        try:
            yield outbox
        finally:
            await outbox.close()


async def _pubacks() -> list[Row]:
    rows = []
    for (code, nobody), fate in PUBACKS.items():
        async with _fresh() as outbox:
            seen = await puback(outbox, code, nobody)
        figure = f"{seen.fate}; counted {seen.delivered}, {seen.refused} of it while refused"
        name = "no PUBACK" if code is None else f"PUBACK 0x{code:02X}" + ", nobody = hold" * (nobody == "hold")
        ok = (seen.fate, seen.refused, seen.delivered) == (fate, 0, int(fate != APART))
        rows.append(Row(name, figure, fate, ok))
    return rows


async def _ends() -> list[Row]:
    rows = []
    for name, table, answered in (
        ("CONNACK", CONNACKS, connack_code), ("DISCONNECT", DISCONNECTS, disconnect_code),
    ):  # fmt: skip
        for code, (fault, wait) in table.items():
            async with _fresh() as outbox:
                seen = await answered(outbox, code)
            waits = " ".join(f"{each:.1f}" for each in seen.waits) or "none"
            found = " ".join(sorted({each.__name__ for each in seen.faults}))
            goal = f"{fault.__name__}, " + (f"{wait[0]:g} to {wait[1]:g} s" if wait else "at once, in another way")
            kept = "nothing lost" if lost_nothing(seen) else "LOST"
            rows.append(
                Row(f"{name} 0x{code:02X}", f"{found}; waits {waits} s; {kept}", goal, as_designed(seen, fault, wait))
            )
    return rows


async def _all() -> list[Row]:
    return [*await _pubacks(), *await _ends()]


def run() -> list[Row]:
    """Give each answer, and tell what became of the row."""
    return asyncio.run(_all())
