"""What is asked of one Modbus instrument, turn by turn: its plan, less what the instrument was found to refuse.

Pure: a turn says which block to ask next and takes what came back, bytes or the code of an exception reply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from parkgate.config.flag import Flag
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.codec import Decoder
from parkgate.drivers.modbus.plan import Block, Field, blocks, instead, plan
from parkgate.drivers.snapshot import Snapshot, Value

RETRY_MS, LONGEST_RETRY_MS = 10_000, 600_000
"""How long a field that its instrument refused is left out before it is asked again: at first, as while an instrument
starts up, and after the refusals of a field that is not there, twice as long each time."""

MOST_PIECES = 32
"""How many more requests than planned one turn may spend on finding what is refused; others share the line."""

ILLEGAL_FUNCTION = 1
_ILLEGAL_ADDRESS = frozenset({2, 3})  # many instruments say 3 (illegal value) where the protocol says 2
_BUSY = frozenset({5, 6})  # acknowledged, will take long; busy with something else: both want to be asked again later
BUSY_MS = 200
"""How long a block of an instrument that is busy waits, behind the other blocks of its turn, to be asked again."""


_maps: dict[tuple[object, ...], tuple[tuple[Block, ...], dict[int, Decoder]]] = {}


def _map_of(instrument: Instrument) -> tuple[tuple[Block, ...], dict[int, Decoder]]:
    """Give an instrument's plan and the decoders of its blocks, which all instruments of the same map share."""
    key = (instrument.points, instrument.states, instrument.order, instrument.base, instrument.max_gap)
    if key not in _maps:
        _maps[key] = (plan(instrument), {})
    return _maps[key]


class Route:
    """The blocks that stand for one instrument, and the fields it refuses.

    Of each, when it was last asked (ms UTC) and how long it is left out then.

    Raises:
        Unusable: a point or state of the instrument cannot be read as configured.

    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._map = _map_of(instrument)
        self.blocks, self._decoders = self._map
        self.refused: dict[Field, tuple[int, int]] = {}

    def due(self, now: int) -> tuple[Block, ...]:
        """Give the blocks to ask now: the standing ones, and one by one the refused fields whose time has come.

        Where nothing else is left to ask, one refused field a turn: an instrument that starts up may refuse everything.
        """
        again = [field for field, (since, wait) in self.refused.items() if abs(now - since) >= wait]
        if not self.blocks and not again:
            again = [*self.refused][:1]
        return (*self.blocks, *(block for field in again for block in blocks([field], 0)))

    def unsupported(self) -> tuple[str, ...]:
        """Give the names of the points that the instrument refuses."""
        return tuple(self.instrument.points[each.index].name for each in self.refused if each.role == "point")

    def decoder(self, block: Block) -> Decoder:
        """Give a block's decoder; that of a standing block is compiled once."""
        decoder = self._decoders.get(id(block))  # hashing a block would cost more than decoding its answer
        if decoder is None:
            decoder = Decoder(self.instrument, block)
            if any(block is standing for standing in self.blocks):
                self._decoders[id(block)] = decoder
        return decoder

    def learn(self, kept: Sequence[Block], refused: Sequence[Field], now: int) -> None:
        """Take what a turn showed. A field that answers again means a changed instrument: it is planned afresh."""
        if self.refused and any(field in self.refused for block in kept for field in block.fields):
            self.blocks, self._decoders = self._map
            self.refused = {}
            return
        for field in refused:
            _, wait = self.refused.pop(field, (0, 0))  # so that it goes to the end of those waiting
            self.refused[field] = now, min(LONGEST_RETRY_MS, 2 * wait or RETRY_MS)
        if self.blocks != tuple(kept):
            self.blocks, self._decoders = tuple(kept), {}


class Turn:
    """One read of one instrument while its answers come in. `now` is when it began (ms UTC).

    `wait`: the milliseconds that its next question waits for an instrument that said it is busy.
    """

    def __init__(self, route: Route, now: int) -> None:
        due = route.due(now)
        self._route = route
        self._now = now
        self._queue = deque(due)
        self._left = len(due) + MOST_PIECES
        self._busy: list[Block] = []
        self.wait = 0
        self._kept: list[Block] = []
        self._refused: list[Field] = []
        self._values: list[Value | None] = [None] * len(route.instrument.points)
        self._states: list[int | None] = [None] * len(route.instrument.states)
        self._flags: dict[int, Flag] = {}
        if route.refused:
            asked = {field for block in due for field in block.fields}
            self._flag([field for field in route.refused if field not in asked], Flag.BAD_CONFIGURATION)

    def next(self) -> Block | None:
        """Give the next block to ask, None when the turn is complete."""
        if not self._queue:
            return None
        if self._left == 0:
            for block in self._queue:
                self._put_off(block, Flag.NO_COMMUNICATION)
            self._queue.clear()
            return None
        self._left -= 1
        block = self._queue.popleft()
        self.wait = BUSY_MS if block in self._busy else 0
        return block

    def take(self, block: Block, answer: bytes | int) -> None:
        """Take a block's answer: its data, `block.size` bytes, or the code of an exception reply (V1.1b3, 7)."""
        if isinstance(answer, bytes):
            self._decode(block, answer)
        elif answer in _ILLEGAL_ADDRESS and (pieces := instead(block)):
            self._queue.extendleft(reversed(pieces))
        elif answer in _ILLEGAL_ADDRESS or answer == ILLEGAL_FUNCTION:
            self._refused += block.fields
            self._flag(block.fields, Flag.BAD_CONFIGURATION)
        elif answer in _BUSY and block not in self._busy:
            self._busy.append(block)
            self._queue.append(block)
        else:
            self._put_off(block, Flag.NO_COMMUNICATION if answer in _BUSY else Flag.FAULT)

    def close(self, at: int) -> Snapshot:
        """End the turn: the route learns from it. `at` is when the last answer came."""
        if self._busy:  # asked behind the others, which is no new order
            self._kept.sort(key=lambda block: (block.table, block.start))
        self._route.learn(self._kept, self._refused, self._now)
        return Snapshot(
            self._route.instrument.name, at, tuple(self._values), flags=self._flags, states=tuple(self._states)
        )

    def _decode(self, block: Block, data: bytes) -> None:
        decoder = self._route.decoder(block)
        decoded = decoder.decode(data)
        if decoder.run:
            self._values[decoder.run] = decoded.values
        else:
            for index, value in zip(decoder.points, decoded.values, strict=True):
                self._values[index] = value
        for index, state in zip(decoder.states, decoded.states, strict=True):
            self._states[index] = state
        self._flags |= decoded.flags
        self._kept.append(block)

    def _put_off(self, block: Block, flag: Flag) -> None:
        self._kept.append(block)
        self._flag(block.fields, flag)

    def _flag(self, fields: Sequence[Field], flag: Flag) -> None:
        self._flags |= dict.fromkeys((field.index for field in fields if field.role == "point"), flag)
