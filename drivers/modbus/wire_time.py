"""How long a Modbus line is busy with what is asked of it, before anything is asked: its load. Pure.

On a serial line every character takes its time, and the line answers one question at a time: what the instruments take
together, each in its period, must fit into the time there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parkgate.config.line_checks import kind_of
from parkgate.config.site import Instrument, Line
from parkgate.drivers.modbus.plan import Block, plan

USUAL_RESPONSE_MS, USUAL_TCP_RESPONSE_MS = 20, 10
"""What an instrument takes to begin an answer where nobody told: most meters and transmitters stay below it."""

REQUEST = 8
"""Characters of a request: unit, function, address, count, CRC (MODBUS over Serial Line V1.02, 2.5.1)."""
REPLY = 5
"""Characters of a reply besides its data: unit, function, byte count, CRC."""
_SILENCE, _SHORTEST_SILENCE_MS, _FAST = 3.5, 1.75, 19_200
"""The silence before a frame: 3.5 characters, and above 19200 baud 1.75 ms (V1.02, 2.5.1.1)."""
_SERIAL = frozenset({"rtu", "rtu-over-tcp"})
FULL = 100.0
"""Percent."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one instrument takes of its line: `requests` a turn, `ms` a turn, and `longest` of them alone (ms)."""

    name: str
    every: int
    requests: int
    ms: float
    longest: float

    @property
    def percent(self) -> float:
        """Its part of the line's time."""
        return FULL * self.ms / self.every


@dataclass(frozen=True, slots=True)
class Load:
    """What all instruments take of a line: `percent` of its time, and their `shares`, those read most often first.

    `excess` names those that do not fit: the first whose share makes it more than the line has, and all behind it.
    """

    line: str
    percent: float
    shares: tuple[Share, ...]
    excess: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Tell whether the line has time for all of them."""
        return not self.excess

    @property
    def holding_up(self) -> tuple[tuple[Share, Share], ...]:
        """Give those of which one request alone takes longer than the shortest period, and whom they hold up."""
        if not self.shares:
            return ()
        first = self.shares[0]
        return tuple((each, first) for each in self.shares[1:] if each.longest > first.every)


def load(line: Line, instruments: Sequence[Instrument]) -> Load:
    """Give the load of a Modbus line by these instruments.

    Raises:
        Unusable: a point or state of one of them cannot be read as configured.

    """
    shares = sorted((_share(line, each) for each in instruments), key=lambda share: share.every)
    percent, excess = 0.0, []
    for share in shares:
        percent += share.percent
        if percent > FULL:
            excess.append(share.name)
    return Load(line.name, percent, tuple(shares), tuple(excess))


def worth_telling(line: Line, instruments: Sequence[Instrument]) -> bool:
    """Tell whether a line can be overbooked as far as is known.

    Every serial line can; one of Modbus TCP only where somebody told of a pause or of slow answers.
    """
    kind = kind_of(line)
    slow = line.pause or any(each.pause or each.response is not None for each in instruments)
    return bool(instruments) and (kind in _SERIAL or (kind == "tcp" and bool(slow)))


def character_ms(line: Line) -> float:
    """Give how long a character takes on a serial line: a start bit, 8 of data, parity if there is one, stop bits."""
    bits = 1 + 8 + (line.parity != "none") + line.stopbits
    return 1_000 * bits / line.baudrate


def silence_ms(line: Line) -> float:
    """Give the silence that stands before a frame on a serial line."""
    return _SHORTEST_SILENCE_MS if line.baudrate > _FAST else _SILENCE * character_ms(line)


def characters_ms(line: Line, block: Block) -> float:
    """Give how long the characters of a question and its reply take on a serial line."""
    return (REQUEST + REPLY + block.size) * character_ms(line)


def request_ms(line: Line, instrument: Instrument, block: Block) -> float:
    """Give how long a line is busy with one request: the silence before it, it, the instrument's thinking, the reply.

    A serial instrument knows that a request is over when the silence behind it has passed, and only then begins to
    think: so its `response` is counted besides. On Modbus TCP bytes cost nothing.
    """
    if kind_of(line) not in _SERIAL:
        thinking = USUAL_TCP_RESPONSE_MS if instrument.response is None else instrument.response
        return float(max(line.pause, instrument.pause) + thinking)
    silence = silence_ms(line)
    before = max(silence, line.pause, instrument.pause) + (line.rs485.delay_before if line.rs485 else 0)
    thinking = USUAL_RESPONSE_MS if instrument.response is None else instrument.response
    return before + silence + thinking + characters_ms(line, block)


def _share(line: Line, instrument: Instrument) -> Share:
    times = list(_times(line, instrument))
    return Share(instrument.name, instrument.every, len(times), sum(times), max(times, default=0.0))


def _times(line: Line, instrument: Instrument) -> Iterator[float]:
    return (request_ms(line, instrument, block) for block in plan(instrument))
