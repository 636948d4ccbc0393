"""Every fault of a Modbus wire on every transport: what becomes of the reading, and when it is over."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.row import Row
from support import serial_wire
from support.late_replies import expected, instrument_at, rounds
from support.serial_wire import TRANSPORTS, SerialWire, late, refuse

from parkgate.config.site import Line
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.modbus.driver import ModbusDriver
from parkgate.drivers.modbus.rests import LATEST

WAIT = 0.15
"""Seconds: the timeout of the line."""
SLACK = 0.4
"""Seconds beyond its timeout share that a busy machine may add to what is measured."""
SICK, WELL = instrument_at(1, 0), instrument_at(2, 0)

FAULTS = {
    "silence": serial_wire.silence,
    "late by half the timeout": late(1.5 * WAIT),
    "late by 3 timeouts": late((1 + 0.97 * LATEST) * WAIT),
    "short": serial_wire.short,
    "long": serial_wire.long,
    "wrong unit": serial_wire.wrong_unit,
    "wrong function": serial_wire.wrong_function,
    "bad CRC": serial_wire.bad_crc,
    "noise before": serial_wire.noise_before,
    "noise after": serial_wire.noise_after,
    "cut in mid-frame": serial_wire.cut,
    "byte by byte": serial_wire.byte_by_byte,
    **{f"exception {code}": refuse(code) for code in range(1, 12)},
}
GOOD = "good"
_NEVER_ON_TCP = frozenset({"bad CRC"})
_READ = frozenset({"noise after", "byte by byte", "exception 2", "exception 3", "exception 5", "exception 6"})
"""The reading stands nevertheless: noise stands outside the frame, a block that is refused once is asked for in pieces,
and an instrument that is busy is asked again."""
_SERIAL_READ = _READ | {"bad CRC", "noise before"}
"""On a serial line a frame is found among noise, and one that is spoilt as a whole is asked for again."""
_REFUSED, _FAULTY = frozenset({"exception 1"}), "fault"


@dataclass(frozen=True)
class Seen:
    """What became of the reading (`GOOD`, a flag, or the fault's name), and the seconds until a good one.

    `neighbour`: the longest (seconds) that one took and the neighbour after it; `wrong`: values of another question.
    """

    outcome: str
    recovery: float
    neighbour: float
    wrong: int


def designed(fault: str, transport: str) -> str:
    """Give what the reading becomes by design."""
    if fault in (_READ if transport == "tcp" else _SERIAL_READ):
        return GOOD
    if fault in _REFUSED:
        return "bad-configuration"
    if fault.startswith("exception"):
        return "no-communication (Silent)" if fault.endswith((" 10", " 11")) else _FAULTY
    silent = fault.startswith(("late", "silence")) or (fault == "cut in mid-frame" and transport == "tcp")
    silent = silent or (fault == "wrong unit" and transport != "tcp")
    return f"no-communication ({'Silent' if silent else 'Garbled'})"


async def suffer(fault: str, transport: str) -> Seen:
    """Let one unit suffer a fault once, while it and its neighbour are read by turns."""
    wrong, outcome, began, slowest = 0, "", 0.0, 0.0
    async with SerialWire(transport) as wire:
        serial = {} if transport == "tcp" else {"baudrate": 115_200}
        line = Line(name="l", url=wire.url, timeout=round(1_000 * WAIT), **serial)
        driver = ModbusDriver(line, (SICK, WELL), lambda: round(1_000 * monotonic()))
        async with driver:
            await driver.read(WELL)
            times = 2 if fault.startswith("exception") and fault not in _READ and fault not in _REFUSED else 1
            wire.script[SICK.unit].extend([FAULTS[fault]] * times)
            began = monotonic()
            while True:
                before = monotonic()
                said, values = await _reading(driver, SICK)
                wrong += values is not None and values != expected(SICK)
                outcome = outcome or said
                if said == GOOD and (outcome != GOOD or not wire.script[SICK.unit]):
                    break
                said, values = await _reading(driver, WELL)
                slowest = max(slowest, monotonic() - before)
                wrong += values is not None and values != expected(WELL)
                await asyncio.sleep(0.001)
                if outcome in {"bad-configuration", _FAULTY} and not wire.script[SICK.unit]:
                    break
    return Seen(outcome, monotonic() - began, slowest, wrong)


async def _reading(driver: ModbusDriver, instrument: object) -> tuple[str, tuple[object, ...] | None]:
    try:
        (snapshot,) = await driver.read(instrument)
    except Unreachable:
        await driver.__aexit__(None, None, None)
        await driver.__aenter__()
        return "no-communication (Unreachable)", None
    except (Silent, Garbled) as fault:
        return f"no-communication ({type(fault).__name__})", None
    flags = {str(flag) for flag in snapshot.flags.values()}
    return (flags.pop(), None) if flags else (GOOD, snapshot.values)


def _row(fault: str, transport: str, seen: Seen) -> Row:
    wanted = designed(fault, transport)
    figure = f"{seen.outcome}; again after {seen.recovery:.2f} s; neighbour {1_000 * seen.neighbour:.0f} ms at most"
    ok = seen.outcome == wanted and not seen.wrong and seen.neighbour < WAIT + SLACK
    return Row(f"{transport}: {fault}", figure, f"{wanted}; no wrong value", ok)


async def faults() -> list[Row]:
    """Give a row for every fault on every transport."""
    return [
        _row(fault, transport, await suffer(fault, transport))
        for transport in TRANSPORTS
        for fault in FAULTS
        if transport != "tcp" or fault not in _NEVER_ON_TCP
    ]


async def late_replies(count: int, lines: int) -> list[Row]:
    """Ask many lines at once, half of all answers late by up to three timeouts; no value may be another question's."""
    rows = []
    for transport in ("rtu", "rtu-over-tcp"):
        seen = await asyncio.gather(*(rounds(transport, count // lines, seed, waits=0.1) for seed in range(lines)))
        wrong, good, tardy = (sum(getattr(each, what) for each in seen) for what in ("wrong", "good", "late"))
        asked = sum(each.rounds for each in seen)
        figure = f"{wrong} wrong of {good} read; {tardy} of {asked} answers late"
        rows.append(Row(f"{transport}: late by up to 3 timeouts", figure, "0 wrong", wrong == 0 and good > 0))
    return rows


async def run(count: int = 10_000, lines: int = 50) -> list[Row]:
    """Give the table of faults and the late replies."""
    return [*await faults(), *await late_replies(count, lines)]


if __name__ == "__main__":
    for each in asyncio.run(faults()):
        print("ok    " if each.ok else "FAILED", each.case, "|", each.figure, "|", each.goal)
