"""Simulated instruments for a virtual world: drivers with faults, and a ledger of every answer that was given."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Standing
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot

TROUBLES = ("silent", "garbled", "slow", "down", "bug", "shut")
"""What may be wrong with a line or an instrument: `shut` fails at opening, `down` at reading, `bug` in our own code."""
SLOWEST = 20.0
"""Seconds that a slow answer takes at most."""


@dataclass
class Park:
    """Every line and instrument, what troubles them now, and what was answered.

    Each answer's first value is a number that no other answer has: it is found again in what is stored and received.
    `generation` counts the deaths of those who ask.
    """

    rng: random.Random
    log: Callable[[str], None]
    trouble: dict[str, str] = field(default_factory=dict)
    answered: dict[int, str] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    generation: int = 0

    def open_driver(self, line: Line, instruments: Sequence[Instrument], now: Callable[[], int]) -> _Driver:
        del instruments
        return _Driver(self, line, now)

    def answer(self, instrument: Instrument, at: int) -> Snapshot:
        number = len(self.answered) + 1
        self.answered[number] = instrument.name
        self.times[number] = asyncio.get_running_loop().time()
        rest = tuple(self.rng.random() for _ in instrument.points[1:])
        self.log(f"{instrument.name} answers {number}")
        return Snapshot(instrument.name, at, (number, *rest))


class _Driver:
    """One line."""

    def __init__(self, park: Park, line: Line, now: Callable[[], int]) -> None:
        self._park = park
        self._line = line
        self._now = now
        self._generation = park.generation

    async def __aenter__(self) -> Self:
        await asyncio.sleep(self._park.rng.uniform(0.001, 0.05))
        match self._park.trouble.get(self._line.name):
            case "shut" | "down":
                raise Unreachable("nobody answers", where=self._line.name, hint="Look at the cable.")
            case "bug":
                raise ZeroDivisionError("a fault of ours at opening")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)

    async def read(self, instrument: Instrument, between: object = None) -> Sequence[Snapshot]:
        park, where = self._park, instrument.name
        trouble = park.trouble.get(self._line.name) or park.trouble.get(where, "")
        await asyncio.sleep(park.rng.uniform(0.01, SLOWEST if trouble == "slow" else 0.2))
        if self._generation != park.generation:
            await asyncio.get_running_loop().create_future()  # who asks is dead
        match trouble:
            case "silent":
                raise Silent("no answer", where=where, hint="Look at the instrument.")
            case "garbled":
                raise Garbled("not an answer", where=where, hint="Look at the wiring.")
            case "down":
                raise Unreachable("the line went down", where=where, hint="Look at the cable.")
            case "bug":
                raise IndexError("a fault of ours")
        return (park.answer(instrument, self._now()),)

    def standing(self, instrument: Instrument) -> Standing:
        """Tell that nothing is left out."""
        return Standing()

    def described(self, instrument: Instrument) -> Instrument:
        """Give the instrument itself."""
        return instrument

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask an instrument what it is."""
        await asyncio.sleep(self._park.rng.uniform(0.01, 0.2))
        if self._generation != self._park.generation:
            await asyncio.get_running_loop().create_future()  # who asks is dead
        return Identity("Maker", "Model") if len(instrument.name) % 2 else None
