"""What goes wrong in a virtual world, drawn from its seed: when, where, for how long."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from support.virtual_broker import DOORS
from support.virtual_disk import FAILED, FAILED_LATE, FULL
from support.virtual_park import TROUBLES

HOUR = 3_600_000
STEPS = (HOUR, -HOUR, 87_600 * HOUR, -87_600 * HOUR)
"""How far a clock is stepped, milliseconds: an hour, ten years."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at `at` (seconds) for `lasting` seconds: what, of whom, and how."""

    at: float
    lasting: float
    what: str
    whom: str = ""
    how: str | int = ""


def drawn(rng: random.Random, seconds: float, uplinks: Sequence[str], lines: Sequence[str]) -> list[Fault]:
    """Give the faults of a stretch of time: each kind is on for some seeds only, so that they meet in every mixture."""
    kinds: dict[str, Callable[[], tuple[str, str | int]]] = {
        "link": lambda: (rng.choice(uplinks), rng.choice(("cut", "cut", "black"))),
        "door": lambda: (rng.choice(uplinks), rng.choice(DOORS)),
        "acks": lambda: (rng.choice(uplinks), rng.choice(("lost", "late"))),
        "code": lambda: (rng.choice(uplinks), rng.choice((0x80, 0x83, 0x87, 0x97))),
        "dismiss": lambda: (rng.choice(uplinks), rng.choice((0x81, 0x8B, 0x8D, 0x8E, 0x93, 0x98, 0x9C))),
        "narrow": lambda: (rng.choice(uplinks), rng.choice((1, 2, 3))),
        "small": lambda: (rng.choice(uplinks), rng.choice((600, 2_000))),
        "trouble": lambda: (rng.choice(lines), rng.choice(TROUBLES)),
        "disk": lambda: ("", rng.choice((FULL, FULL, FAILED, FAILED_LATE))),
        "clock": lambda: ("", rng.choice((*STEPS, "stop"))),
        "death": lambda: ("", rng.choice(("now", "before", "after"))),
        "stop": lambda: ("", ""),
    }
    on = [kind for kind in kinds if rng.random() < 0.7] or ["link"]
    return sorted(_faults(rng, seconds, on, kinds), key=lambda fault: fault.at)


def _faults(rng: random.Random, seconds: float, on: list[str], kinds: dict) -> Iterator[Fault]:
    for kind in on:
        for _ in range(rng.randint(1, 6)):
            lasting = min(rng.expovariate(1 / 900), seconds / 6)
            yield Fault(rng.uniform(0, seconds - lasting), lasting, kind, *kinds[kind]())
