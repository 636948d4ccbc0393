"""One uplink's view of the outbox: what was handed out to its lanes, what came of it, and how far `low` may rise.

`taken` is what was handed out since the connection was accepted, `progress` is what was settled. Both are ranges of
rows. A lost connection forgets `taken`: whatever is not settled is handed out again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise

from parkgate.gateway.storing.database import Damaged, Record, Series, UplinkState
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.progress import Progress

CHUNK, PIECE = 1_000, 200
"""Rows handed out of the backlog together, and read in one go: a commit, and an alarm in it, waits behind one piece."""
LATELY = 86_400_000
"""Milliseconds: an uplink that was not reached for so long no longer holds `low` back."""
_MOST_ALARMS = 1_000
_TRAIL = 20_000


class Reader:
    """What one uplink takes from the outbox, and gives back as settled."""

    def __init__(self, outbox: Outbox, state: UplinkState, peers: list[Reader]) -> None:
        self.state = state
        self.low: dict[int, int] = {}
        self._outbox = outbox
        self._peers = peers
        peers.append(self)
        self._taken = Progress()
        self._barrier = outbox.newest
        self._risen: dict[int, Series] = {}
        self._live: deque[tuple[int, Series, int]] = deque()
        self._late: deque[tuple[int, Series, int]] = deque()
        self._first: deque[tuple[int, Series, int]] = deque()
        self._rewound = 0
        self.rewind()

    @property
    def waiting(self) -> int:
        """Give how many stored rows are not settled."""
        return self._outbox.newest - self.state.progress.settled

    @property
    def settled(self) -> int:
        """Give how many rows were settled since this uplink was configured."""
        return self.state.progress.settled - self.state.born

    @property
    def delivered(self) -> int:
        """Give how many rows the broker took, or refused for ever: what was settled and did not expire."""
        return self.settled - self.state.expired

    @property
    def behind(self) -> bool:
        """Tell whether there is a row that was not handed out."""
        return self._taken.position < self._outbox.newest

    def rewind(self, flying: Iterable[int] = ()) -> None:
        """Forget what was handed out and not settled, but for the rows in the window: it will be handed out again."""
        progress = self.state.progress
        self._rewound += 1
        self._taken = Progress.parse(progress.position, progress.ahead)
        for row in flying:
            self._taken.settle(row, row)
        self._live.clear()
        self._late.clear()
        self._first.clear()

    def take(self, records: Sequence[Record]) -> None:
        """Note that freshly committed records were handed out as live, but for the late ones: these are backlog."""
        records = [each for each in records if not each.late]
        for record in records:
            self._taken.settle(record.id, record.id)
        self._live.extend((each.id, each.series, each.seq) for each in records)
        if len(self._live) > _TRAIL:
            newest = {series.id: (row, series, seq) for row, series, seq in self._live}
            self._live = deque(sorted(newest.values(), key=lambda entry: entry[0]))

    def handed_out(self, row: int) -> bool:
        """Tell whether a row is with the lanes of a session, and not settled."""
        return self._taken.covers(row) and not self.state.progress.covers(row)

    async def alarms(self) -> list[Record]:
        """Hand out the alarms that were stored and not handed out, the oldest first: they go before everything.

        Nothing where it was rewound meanwhile: older ones come first now.
        """
        after, rewound = self._taken.position, self._rewound
        waiting = await self._outbox.ask(lambda database: database.urgent(after, _MOST_ALARMS))
        found: list[Record] = []
        for row in waiting:
            if not self._taken.covers(row):
                found += [each for each in await self._outbox.read(row - 1, row, 1) if isinstance(each, Record)]
        if rewound != self._rewound:
            return []
        for record in found:
            self._taken.settle(record.id, record.id)
            self._first.append((record.id, record.series, record.seq))
        return found

    async def backlog(self) -> tuple[list[Record | Damaged], list[tuple[int, int]]]:
        """Hand out the oldest rows that were not: up to `CHUNK`, and none that live records passed already.

        Gives with them the ranges of rows that should be there and are not: they left while this uplink was not
        configured, and may be millions. Nothing where it was rewound meanwhile: older rows come first now.
        """
        rewound = self._rewound
        after = self._taken.position
        last = self._taken.hole_ends(self._outbox.newest)
        rows: list[Record | Damaged] = []
        while len(rows) < CHUNK:
            piece = await self._outbox.read(rows[-1].id if rows else after, last, PIECE)
            rows += piece
            if len(piece) < PIECE:
                break
        if rewound != self._rewound:
            return [], []
        end = rows[-1].id if len(rows) == CHUNK else last
        edges = [after, *(each.id for each in rows), end + 1]
        gone = [(left + 1, right - 1) for left, right in pairwise(edges) if right - left > 1]
        self._taken.settle(after + 1, end)
        self._late.extend((each.id, each.series, each.seq) for each in rows if each.series is not None)
        return rows, gone

    def settle(self, rows: Sequence[int], now: int) -> None:
        """Note that rows (ascending) were delivered or declared, at `now` (ms UTC)."""
        progress = self.state.progress
        for row in rows:
            progress.settle(row, row)
        self.state.reached = now
        self._settled(now)

    def expire(self, ranges: Iterable[tuple[int, int]], now: int) -> int:
        """Note that ranges of rows left the outbox before this uplink had them; tell how many rows it had not."""
        progress = self.state.progress
        before = progress.settled
        for first, last in ranges:
            progress.settle(first, last)
        expired = progress.settled - before
        self.state.expired += expired
        self._settled(now)
        return expired

    def bar(self, row: int) -> None:
        """Keep `low` where it is until everything up to this row, which declares a loss, is settled.

        Else `low` would pass the hole before its declaration has arrived, and a consumer would call it lost.
        """
        self._barrier = max(self._barrier, row)

    @property
    def barred(self) -> bool:
        """Tell whether a declaration is still on its way."""
        return self.state.progress.position < self._barrier

    def _settled(self, now: int) -> None:
        progress = self.state.progress
        self._outbox.note(self.state)
        for trail in (self._first, self._live, self._late):
            while trail and trail[0][0] <= progress.position:
                _, series, seq = trail.popleft()
                self.low[series.id] = max(seq + 1, self.low.get(series.id, 1))
                self._risen[series.id] = series
        if not self.barred:
            risen, self._risen = self._risen, {}
            for series in risen.values():
                self._raise_low(series, now)

    def _raise_low(self, series: Series, now: int) -> None:
        """Raise a series' `low` to what every uplink that was reached lately has had."""
        readers = [each for each in self._peers if now - each.state.reached <= LATELY]
        if not any(each.barred for each in readers):
            series.low = max(series.low, min((each.low.get(series.id, 1) for each in readers), default=1))
