"""What an outbox goes through in its life, and books about it that are kept without asking it.

A seeded load on the real `Outbox`: series of several instruments and alarms, group commits, two uplinks whose real
`Reader`s settle rows that later commits record, the real `Keeper` that removes what was delivered and declares what
expires, pages given back, and starts in between. The books say after which recorded operation each commit had returned.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parkgate.config.site import Outbox as Limits
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.storing.database import OutboxFault, Record
from parkgate.gateway.storing.keeper import Keeper
from parkgate.gateway.storing.opening import News
from parkgate.gateway.storing.outbox import Footing, Outbox
from parkgate.gateway.storing.reader import Reader

SERIES = [("data", "a"), ("data", "b"), ("data", "c"), ("stats", "a"), ("event", ""), ("alarm", "gas-1")]
SIZES = (5, 40, 40, 40, 150, 150, 900, 900, 3_000, 6_000)
UPLINKS = ("park", "city")
PAGES = 12
"""Pages of the WAL after which it is merged into the file: a small one has many merges."""
BUDGET = 150_000
UNDER_WAY = 2**62
"""After which operation a commit returned that never did."""
Identity = tuple[str, str, str, int]
"""Kind, instrument, epoch and seq."""
Entry = tuple[Identity, int, bytes]
"""What a row is: its identity, its time and its payload."""


@dataclass(frozen=True)
class Commit:
    """One commit, between two numbers of operations: what it was to store and remove, and what it recorded for sure."""

    begin: int
    end: int
    stored: dict[int, Entry]
    removed: frozenset[int]
    settled: dict[str, int]


@dataclass
class Books:
    """What happened, and after which number of operations."""

    count: Callable[[], int]
    epoch: str = ""
    opened: int = 0
    commits: list[Commit] = field(default_factory=list)
    published: dict[Identity, tuple[int, int, bytes]] = field(default_factory=dict)
    """What a follower was handed: after which operation, its row and its payload."""
    acknowledged: dict[str, dict[int, int]] = field(default_factory=lambda: {name: {} for name in UPLINKS})
    """After which operation an uplink's broker had taken a row."""
    removed: dict[int, int] = field(default_factory=dict)
    """Before which operation the removal of a row began."""
    identities: set[Identity] = field(default_factory=set)
    """Everything that was ever to be stored."""
    marks: list[tuple[int, str | None]] = field(default_factory=list)
    """What the marker said, None without one, before which operation it was seen so."""

    named: int = 0
    """Before which operation the epoch's own file was seen."""

    def publish(self, records: Sequence[Record]) -> None:
        for each in records:
            now = self.count(), each.id, each.body
            assert self.published.setdefault(_identity(each), now) is now, "an identity was handed on twice"

    def seen(self, marker: Path) -> None:
        """Note what the marker says, if it is news."""
        try:
            says: str | None = marker.read_text(encoding="ascii")
        except FileNotFoundError:
            says = None
        if not self.named and (marker.parent / "epoch").exists():
            self.named = self.count()
        if not self.marks or self.marks[-1][1] != says:
            self.marks.append((self.count(), says))


def _identity(record: Record) -> Identity:
    return record.series.kind, record.series.instrument, record.series.epoch, record.seq


class Booked(Outbox):
    """An outbox whose commits are entered in the books."""

    books: Books

    async def commit(
        self, removed: Sequence[int] = (), *, progress: bool = False, declared: Sequence[News] = ()
    ) -> None:
        books, queue = self.books, list(self._queue)
        gone = [*self._removed, *removed]
        begin = books.count()
        for row in gone:
            books.removed.setdefault(row, begin)
        books.identities.update(map(_identity, queue))
        recorded = {each.name: each.progress.settled for each in self._uplinks.values()} if progress or gone else {}
        try:
            await super().commit(removed, progress=progress, declared=declared)
        except OutboxFault:
            # Whether it reached the disk nobody knows: it is under way for ever.
            asked = {each.id: (_identity(each), each.ts, each.body) for each in queue}
            books.commits.append(Commit(begin, UNDER_WAY, asked, frozenset(gone), {}))
            raise
        left = set(map(id, self._queue))
        stored = {each.id: (_identity(each), each.ts, each.body) for each in queue if id(each) not in left}
        if self.fault:
            gone, recorded = [] if self._removed else gone, {}
        books.commits.append(Commit(begin, books.count(), stored, frozenset(gone), recorded))


class Still(SystemClock):
    """A clock that stands, and goes on when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_000.0

    def now(self) -> int:
        return 1_700_000_000_000 + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class Load:
    """A life of an outbox, decided by chance."""

    def __init__(self, folder: Path, footing: Footing, books: Books, seed: int) -> None:
        self.folder = folder
        self.books = books
        self.rng = random.Random(seed)
        self.clock = Still()
        self.outbox: Booked
        self.connected = dict.fromkeys(UPLINKS, True)
        self.restarts = True
        self._footing = footing

    async def start(self) -> None:
        box = Booked.open(self.folder, self.clock, 1.0, self.rng, self._footing)
        assert isinstance(box, Booked)
        assert box.durable
        assert not box.news
        self.outbox, box.books = box, self.books
        self.books.epoch = self.books.epoch or box.epoch
        assert box.epoch == self.books.epoch
        if not self.books.opened:
            self.books.opened = self.books.count()
        self.readers: list[Reader] = []
        self.flying: dict[str, list[int]] = {name: [] for name in UPLINKS}
        for name in UPLINKS:
            Reader(box, box.uplink(name), self.readers)
        box.followers += [self.books.publish, self._forward]
        limits = Limits.model_validate({"keep": {"data": "1d", "stats": "1d", "events": "2d"}, "max_size": BUDGET})
        self.keeper = Keeper(
            box, limits, self.readers, self.clock, self._tell,
            trusted=self.clock.now, safety={"c"}, heart=Heart())  # fmt: skip
        await self._hold()

    async def live(self, rounds: int) -> None:
        """Live so many rounds."""
        for _ in range(rounds):
            self.clock.seconds += self.rng.choice((1.0, 1.0, 20.0, 3_000.0))
            await self.round()

    async def round(self) -> None:
        rng, box = self.rng, self.outbox
        for _ in range(rng.choice((0, 1, 3, 6, 12))):
            self.store()
        await box.commit(progress=rng.random() < 0.3)
        self.acknowledge()
        if rng.random() < 0.15:
            await self._fetch(rng.choice(self.readers))
        if rng.random() < 0.08:
            self._lose(rng.choice(UPLINKS))
        if rng.random() < 0.10:
            self.clock.seconds += 40_000
            await self.keeper.remove_old()
            await box.ask(lambda file: file.give_back(rng.choice((2, 512))))
        if rng.random() < 0.10:
            await self.keeper.make_room()
            await self._hold()
        if rng.random() < 0.03:
            metas = [("a", str(rng.randrange(9)), rng.randbytes(200))]
            await box.ask(lambda file: file.descriptions.keep(metas, box.newest))
        if self.restarts and rng.random() < 0.04:
            await self.restart()

    async def restart(self) -> None:
        """Close it in order, and open it again."""
        await self.outbox.commit(progress=True)
        await self.outbox.close()
        await self.start()

    async def _hold(self) -> None:
        """Hold the WAL small, as a small disk does: what the keeper allows is made for the disk of this machine."""
        await self.outbox.ask(lambda file: file.limit(100 * BUDGET, PAGES * 4096))

    def store(self) -> None:
        rng, box = self.rng, self.outbox
        kind, instrument = rng.choice(SERIES)
        text = rng.randbytes(rng.choice(SIZES)).hex()

        def encode(seq: int, low: int) -> bytes:
            return json.dumps({"of": [kind, instrument], "seq": seq, "low": low, "values": text}).encode()

        box.store(box.series(kind, instrument), self.clock.now(), encode, urgent=kind == "alarm")

    def _tell(self, name: str, subject: str, **detail: object) -> int:
        body = {"event": name, "subject": subject, "detail": detail}
        return self.outbox.store(
            self.outbox.series("event", ""), self.clock.now(), lambda seq, _: json.dumps({**body, "seq": seq}).encode()
        )

    def _forward(self, records: Sequence[Record]) -> None:
        """Hand fresh records to the uplinks that are connected."""
        for reader in self.readers:
            if self.connected[reader.state.name]:
                reader.take(records)
                self.flying[reader.state.name] += [each.id for each in records]

    async def _fetch(self, reader: Reader) -> None:
        """Connect an uplink, and hand it some of what waits for it."""
        name = reader.state.name
        self.connected[name] = True
        if self.rng.random() < 0.5:
            self.flying[name] += [each.id for each in await reader.alarms()]
        rows, gone = await reader.backlog()
        self.flying[name] += [each.id for each in rows]
        reader.expire(gone, self.clock.now())

    def acknowledge(self) -> None:
        """Let each broker take some of what flies, in any order."""
        for reader in self.readers:
            self._acknowledge(reader)

    def _acknowledge(self, reader: Reader) -> None:
        flying = self.flying[reader.state.name]
        taken = sorted(row for row in flying if self.rng.random() < 0.6)
        if not taken:
            return
        for row in taken:
            self.books.acknowledged[reader.state.name].setdefault(row, self.books.count())
            flying.remove(row)
        reader.settle(taken, self.clock.now())

    def _lose(self, name: str) -> None:
        """Lose a connection: what flies will be handed out again."""
        self.connected[name] = False
        self.flying[name].clear()
        next(each for each in self.readers if each.state.name == name).rewind()
