"""One read of an instrument with everything that came: the registers themselves, and those beside a doubtful point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from parkgate.config.site import Instrument
from parkgate.drivers.modbus.address import Table
from parkgate.drivers.modbus.assistant import Advice, Place, advise, missing
from parkgate.drivers.modbus.frames import BEHIND_GATEWAY
from parkgate.drivers.modbus.plan import Block, Field, plan
from parkgate.drivers.modbus.route import Route, Turn
from parkgate.drivers.modbus.wire import named, unreached
from parkgate.drivers.snapshot import Snapshot

MOST_BESIDE = 32
"""How many requests more than planned a probe may spend on what stands beside doubtful points: the line is shared."""


class Asked(Protocol):
    """A line that answers single questions: a driver, or a running agent's line."""

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Give a block's data, or the code of an exception reply.

        Raises:
            Unreachable, Silent, Garbled: as a driver does.

        """
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """What one read of an instrument gave, not judged yet: its snapshot, its cells, and the codes it refused with."""

    instrument: Instrument
    snapshot: Snapshot
    cells: dict[tuple[Table, int], int]
    refused: dict[tuple[Table, int], int]

    def fields(self) -> Iterator[Field]:
        """Give what was read, points and then states, in the profile's order."""
        found = [field for block in plan(self.instrument) for field in block.fields]
        yield from sorted(found, key=lambda each: (each.role, each.index))

    def words(self, field: Field) -> tuple[int, ...]:
        """Give what stood in a field's registers; empty where they could not be read."""
        places = [(field.table, register) for register in range(field.start, field.end)]
        return tuple(self.cells[place] for place in places) if all(place in self.cells for place in places) else ()

    def exception(self, field: Field) -> int | None:
        """Give the exception that the instrument answered for a field with, None if there was none."""
        return None if self.words(field) else self.refused.get((field.table, field.start))


async def probe(line: Asked, instrument: Instrument, now: Callable[[], int]) -> Probe:
    """Read an instrument once, by the very requests that the agent reads it with.

    Raises:
        Unreachable, Silent, Garbled: as a driver does; Unusable: a point cannot be read as configured.

    """
    cells: dict[tuple[Table, int], int] = {}
    refused: dict[tuple[Table, int], int] = {}
    turn = Turn(Route(instrument), now())
    while block := turn.next():
        answer = await line.ask(instrument.unit, block)
        if answer in BEHIND_GATEWAY:
            raise unreached(named(instrument), int(answer))
        if isinstance(answer, bytes):
            _keep(cells, block, answer)
        else:
            refused |= {(field.table, field.start): answer for field in block.fields}
        turn.take(block, answer)
        await asyncio.sleep(instrument.pause / 1000)
    return Probe(instrument, turn.close(now()), cells, refused)


async def advices(line: Asked, probed: Probe, wanted: Collection[str] = ()) -> dict[str, Advice]:
    """Give the assistant's advice on every point; what stands beside doubtful and `wanted` ones is asked for it.

    Raises:
        Unreachable, Silent, Garbled: as a driver does.

    """
    found: dict[str, Advice] = {}
    left = MOST_BESIDE
    for point in probed.instrument.points:
        place = Place(probed.instrument, point)
        advice = advise(place, probed.cells)
        lacking = missing(place, probed.cells)
        if left and lacking is not None and (advice.doubtful or point.name in wanted):
            left -= 1
            answer = await line.ask(probed.instrument.unit, lacking)
            if isinstance(answer, bytes):
                _keep(probed.cells, lacking, answer)
                advice = advise(place, probed.cells)
            await asyncio.sleep(probed.instrument.pause / 1000)
        found[point.name] = advice
    return found


def _keep(cells: dict[tuple[Table, int], int], block: Block, data: bytes) -> None:
    for index in range(block.count):
        if block.of_bits:
            value = data[index // 8] >> index % 8 & 1
        else:
            value = int.from_bytes(data[2 * index : 2 * index + 2], "big")
        cells[block.table, block.start + index] = value
