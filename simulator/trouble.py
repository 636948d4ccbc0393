"""What goes wrong in a park, and what of it an honest gateway has to say. Pure.

A trouble is an episode of one of `KINDS`, of an instrument, a line or an uplink. Those of the wire turn the answer to a
request into what a client gets instead (`spoilt`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.profile import PointName
from parkgate.simulator.episode import Episode
from parkgate.simulator.shapes import Span
from parkgate.simulator.wire import Framing, Request

Of = Literal["instrument", "line", "uplink"]

_LOST = frozenset({Flag.NO_COMMUNICATION})
_NOT_THERE = frozenset({Flag.NO_COMMUNICATION, Flag.BAD_CONFIGURATION})
_OLD = frozenset({Flag.NO_COMMUNICATION, Flag.STALE})
_BAD = frozenset({Flag.FAULT, Flag.NO_COMMUNICATION})
_FINE: frozenset[Flag] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trouble: whose it can be, on which protocols, what it needs to be told, and what comes of it.

    `flags` are those that an honest gateway may put on the points meanwhile; none where their values are fine. `must`:
    it cannot get a value then, so one of them has to stand there. `noticed`: the flag of a gateway that was told enough
    of the instrument to notice; without it nothing is wrong. `unknown`: what is read meanwhile is not what the
    instrument measures, and nobody can tell.
    """

    of: frozenset[Of]
    flags: frozenset[Flag] = _FINE
    protocols: frozenset[str] = frozenset({"modbus"})
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    must: bool = True
    noticed: Flag | None = None
    unknown: bool = False

    @property
    def whole(self) -> bool:
        """Whether it concerns every point of an instrument."""
        return "line" in self.of or not self.of


_INSTRUMENT: frozenset[Of] = frozenset({"instrument"})
_LINE: frozenset[Of] = frozenset({"line"})
_EITHER: frozenset[Of] = frozenset({"instrument", "line"})
_UPLINK: frozenset[Of] = frozenset({"uplink"})
_BOTH = frozenset({"modbus", "opcua"})
_OPCUA = frozenset({"opcua"})

RECOVERY = frozenset({"cut", "exception", "late", "noise", "reboot", "refuse", "session-drop", "shifted", "silent"})
"""After these a gateway needs a while: it may hold back from what was silent, or refused to be read."""
NEIGHBOURS = frozenset({"cut", "noise"})
"""These end the connection of a line, and with it perhaps a read of another instrument there."""
NEARBY = "nearby"
"""What the truth calls it that a neighbour has one of those."""

KINDS: Mapping[str, Kind] = {
    "silent": Kind(_EITHER, _LOST, _BOTH),
    "slow": Kind(_EITHER, _FINE, _BOTH, needs=("by",)),
    "late": Kind(_EITHER, _LOST, _BOTH, needs=("by",)),
    "exception": Kind(_EITHER, _NOT_THERE, needs=("code",)),
    "wrong-unit": Kind(_EITHER, _LOST),
    "wrong-length": Kind(_EITHER, _LOST),
    "bad-crc": Kind(_EITHER, _LOST),
    "noise": Kind(_EITHER, _LOST, must=False),
    "cut": Kind(_EITHER, _LOST),
    "byte-by-byte": Kind(_EITHER, takes=("by",)),
    "refuse": Kind(_LINE, _LOST, _BOTH),
    "reboot": Kind(_LINE, _LOST, _BOTH),
    "session-drop": Kind(_LINE, _LOST, _BOTH, must=False),
    "subscription-silence": Kind(_LINE, _OLD, _OPCUA, must=False),
    "frozen": Kind(_INSTRUMENT, _FINE, _BOTH, takes=("points",), noticed=Flag.STALE),
    "shifted": Kind(_INSTRUMENT, _FINE, needs=("registers",), unknown=True),
    "wrong-clock": Kind(_INSTRUMENT, _FINE, _OPCUA, needs=("by",)),
    "bad": Kind(_INSTRUMENT, _BAD, _OPCUA, takes=("points",)),
    "uncertain": Kind(_INSTRUMENT, _FINE, _OPCUA, takes=("points",)),
    "missing": Kind(_INSTRUMENT, _NOT_THERE, _OPCUA, takes=("points",)),
    NEARBY: Kind(frozenset(), _LOST, must=False),
    "link-cut": Kind(_UPLINK),
    "link-stall": Kind(_UPLINK),
    "link-slow": Kind(_UPLINK, needs=("rate",)),
}
"""The kinds of trouble by the word a scenario calls them."""


class Trouble(Episode):
    """An entry of `[[trouble]]`.

    `by` says how long something takes or differs (ms), `code` is a Modbus exception, `registers` how far a map is
    shifted, `rate` bytes a second, `points` those concerned (all, if none is named).
    """

    kind: str
    instrument: str | None = None
    line: str | None = None
    uplink: str | None = None
    by: Span | None = None
    code: Annotated[int, Field(ge=1, le=255)] | None = None
    registers: Annotated[int, Field(ge=-65_535, le=65_535)] | None = None
    rate: Annotated[int, Field(ge=1)] | None = None
    points: tuple[PointName, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Trouble:
        kind = KINDS.get(self.kind)
        if kind is None:
            return self  # the scenario says which word was perhaps meant
        whose = [of for of in ("instrument", "line", "uplink") if getattr(self, of) is not None]
        if len(whose) != 1 or whose[0] not in kind.of:
            wanted = " | ".join(sorted(kind.of))
            raise PydanticCustomError("trouble_of", say('"{kind}" is of one {of}', kind=self.kind, of=wanted))
        given = {name for name in ("by", "code", "registers", "rate", "points") if getattr(self, name)}
        if lacking := set(kind.needs) - given:
            text = say('"{kind}" needs {names}', kind=self.kind, names=", ".join(sorted(lacking)))
            raise PydanticCustomError("trouble_needs", text)
        if extra := given - {*kind.needs, *kind.takes}:
            text = say('"{kind}" does not take {names}', kind=self.kind, names=", ".join(sorted(extra)))
            raise PydanticCustomError("trouble_takes", text)
        return self

    @property
    def whose(self) -> str:
        """The name of the instrument, line or uplink that has it."""
        return self.instrument or self.line or self.uplink or ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an answer, and how many seconds pass before they are sent."""

    after: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets instead of a good answer: pieces in their order, and perhaps the end of the connection."""

    pieces: tuple[Piece, ...] = ()
    close: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer before it is put on the wire: the request, the PDU that answers it, and the wire's framing."""

    framing: Framing
    request: Request
    pdu: bytes

    def frame(self, pdu: bytes | None = None, unit: int | None = None) -> bytes:
        """Give its frame, or that of another PDU or unit."""
        unit = self.request.unit if unit is None else unit
        return self.framing.frame(self.request, unit, self.pdu if pdu is None else pdu)


Spoiler = Callable[[Reply, Trouble, Random], Answer]
_UNITS = 247
_DRIP_MS = 5
_MOST_NOISE = 8


def good(reply: Reply) -> Answer:
    """Give an answer as it should be."""
    return Answer((Piece(0.0, reply.frame()),))


def spoilt(reply: Reply, troubles: Sequence[Trouble], rng: Random) -> Answer:
    """Give what comes of an answer under the first of some troubles that is of the wire; it is good if none is."""
    found = next((each for each in troubles if each.kind in _SPOILERS), None)
    return good(reply) if found is None else _SPOILERS[found.kind](reply, found, rng)


def _late(reply: Reply, trouble: Trouble, _rng: Random) -> Answer:
    return Answer((Piece((trouble.by or 0) / 1000, reply.frame()),))


def _exception(reply: Reply, trouble: Trouble, _rng: Random) -> Answer:
    return Answer((Piece(0.0, reply.frame(bytes((reply.pdu[0] | 0x80, trouble.code or 1)))),))


def _wrong_unit(reply: Reply, _trouble: Trouble, _rng: Random) -> Answer:
    return Answer((Piece(0.0, reply.frame(unit=reply.request.unit % _UNITS + 1)),))


def _wrong_length(reply: Reply, _trouble: Trouble, _rng: Random) -> Answer:
    """Give two bytes fewer than were asked for, in a frame that is sound in itself."""
    function, data = reply.pdu[:1], reply.pdu[2:-2]
    return Answer((Piece(0.0, reply.frame(function + bytes((len(data),)) + data)),))


def _bad_crc(reply: Reply, _trouble: Trouble, _rng: Random) -> Answer:
    frame = reply.frame()
    return Answer((Piece(0.0, frame[:-1] + bytes((frame[-1] ^ 0xFF,))),))


def _noise(reply: Reply, _trouble: Trouble, rng: Random) -> Answer:
    return Answer((Piece(0.0, rng.randbytes(rng.randint(1, _MOST_NOISE)) + reply.frame()),))


def _cut(reply: Reply, _trouble: Trouble, rng: Random) -> Answer:
    frame = reply.frame()
    return Answer((Piece(0.0, frame[: rng.randrange(1, len(frame))]),), close=True)


def _byte_by_byte(reply: Reply, trouble: Trouble, _rng: Random) -> Answer:
    gap = (trouble.by or _DRIP_MS) / 1000
    return Answer(tuple(Piece(gap, bytes((byte,))) for byte in reply.frame()))


_SPOILERS: Mapping[str, Spoiler] = {
    "silent": lambda _reply, _trouble, _rng: Answer(),
    "slow": _late,
    "late": _late,
    "exception": _exception,
    "wrong-unit": _wrong_unit,
    "wrong-length": _wrong_length,
    "bad-crc": _bad_crc,
    "noise": _noise,
    "cut": _cut,
    "byte-by-byte": _byte_by_byte,
}
