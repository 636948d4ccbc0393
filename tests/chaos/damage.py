"""Outbox files damaged at random: no wrong value, nearly everything that is whole kept, the bad file kept, a new epoch.

Each case fills a real outbox (four series, an uplink that had some of it, a WAL or none), takes the folder as a killed
agent would leave it, damages it, opens it with the real Outbox and reads it as the forwarder does.

What is held to account are the records that were committed and not removed. One is **undamaged** where neither the
page that holds it nor one that its payload goes on in was touched, in the file or, where the newest version stands
there, in the WAL; a WAL that is cut off, gone or without its header touches every frame behind that. A record of the
last transaction of the WAL is left out where the damage is in that transaction: it cannot be told from the torn write
of a power cut, which was never published.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.row import Row

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing import pages, wal
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.outbox import Outbox

PAGE, HEADER, FRAME = 4096, 32, 24
SERIES = [("data", "a"), ("data", "b"), ("event", ""), ("alarm", "gas-1")]
WORDS = {"data": "values", "event": "event", "alarm": "alarm"}
Identity = tuple[str, str, str, int]
"""Kind, instrument, epoch and seq."""


@dataclass
class Case:
    """A folder as a killed agent left it, and what was in it."""

    folder: Path
    rng: random.Random
    epoch: str = ""
    bodies: dict[Identity, bytes] = field(default_factory=dict)
    rows: dict[Identity, int] = field(default_factory=dict)
    settled: set[Identity] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    bad_frames: set[int] = field(default_factory=set)
    last_frames: set[int] = field(default_factory=set)
    last: int = 0

    @property
    def main(self) -> Path:
        return self.folder / "outbox.sqlite"

    @property
    def log(self) -> Path:
        return self.folder / "outbox.sqlite-wal"


async def fill(case: Case) -> None:
    """Fill an outbox, and leave its files as kill -9 does."""
    rng = case.rng
    box = Outbox.open(case.folder, SystemClock(), 1.0, random.Random(rng.random()))
    case.epoch = box.epoch
    park = box.uplink("park")
    for _ in range(rng.randint(5, 60)):
        for _ in range(rng.randint(1, 40)):
            kind, instrument = rng.choice(SERIES)
            store(case, box, kind, instrument)
        case.last = box.newest
        await box.commit()
    delivered = rng.randint(0, box.newest)
    park.progress.settle(1, delivered)
    box.note(park)
    case.settled = {each for each, row in case.rows.items() if row <= delivered}
    await box.commit(progress=True)
    kept = {path: path.read_bytes() for path in case.folder.iterdir() if path.is_file()}
    await box.close()
    if rng.random() < 0.6:  # killed; else it was closed in order
        for path, content in kept.items():
            write(path, content)


def store(case: Case, box: Outbox, kind: str, instrument: str) -> None:
    source = "/".join(each for each in ("site", "gw", instrument) if each)
    text = case.rng.randbytes(case.rng.choice((10, 100, 100, 4_500))).hex()

    def encode(seq: int, low: int) -> bytes:
        body = {"source": source, "epoch": box.epoch, "seq": seq, "low": low, WORDS[kind]: text}
        case.bodies[kind, instrument, box.epoch, seq] = json.dumps(body).encode()
        return case.bodies[kind, instrument, box.epoch, seq]

    series = box.series(kind, instrument)
    row = box.store(series, 1, encode, urgent=kind == "alarm")
    case.rows[kind, instrument, box.epoch, series.seq] = row


def write(path: Path, content: bytes) -> None:
    """Write a file in place: it stays the same file."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(0)
        file.write(content)


def flip(case: Case, path: Path, begin: int = 0) -> list[int]:
    """Flip 1 to 200 bits of a file; give the places."""
    content = bytearray(path.read_bytes())
    places = [case.rng.randrange(begin, len(content)) for _ in range(case.rng.choice((1, 3, 20, 200)))]
    for place in places:
        content[place] ^= 1 << case.rng.randrange(8)
    write(path, bytes(content))
    return places


def flipped(case: Case) -> None:
    case.touched |= {place // PAGE + 1 for place in flip(case, case.main)}


def zeroed(case: Case) -> None:
    content = bytearray(case.main.read_bytes())
    for _ in range(case.rng.randint(1, 4)):
        page = case.rng.randrange(len(content) // PAGE)
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        case.touched.add(page + 1)
    write(case.main, bytes(content))


def torn(case: Case) -> None:
    size = case.main.stat().st_size
    cut = case.rng.randrange(1, size)
    write(case.main, case.main.read_bytes()[:cut])
    case.touched |= set(range(cut // PAGE + 1, size // PAGE + 1))


def header(case: Case) -> None:
    content = bytearray(case.main.read_bytes())
    size = case.rng.choice((16, 100, PAGE))
    content[:size] = case.rng.randbytes(size)
    write(case.main, bytes(content))
    case.touched.add(1)


def empty(case: Case) -> None:
    pages = case.main.stat().st_size // PAGE
    write(case.main, b"")
    case.touched |= set(range(1, pages + 1))


def text(case: Case) -> None:
    pages = case.main.stat().st_size // PAGE
    write(case.main, b"these are somebody's notes\n" * 400)
    case.touched |= set(range(1, pages + 1))


def log_flipped(case: Case) -> None:
    for place in flip(case, case.log):
        if place >= HEADER:
            case.bad_frames.add((place - HEADER) // (FRAME + PAGE))


def log_cut(case: Case) -> None:
    size = case.log.stat().st_size
    cut = case.rng.randrange(size)
    write(case.log, case.log.read_bytes()[:cut])
    case.bad_frames |= set(range(max(0, cut - HEADER) // (FRAME + PAGE), (size - HEADER) // (FRAME + PAGE)))


def log_gone(case: Case) -> None:
    case.bad_frames |= set(range((case.log.stat().st_size - HEADER) // (FRAME + PAGE)))
    case.log.unlink()


DAMAGES: list[Callable[[Case], None]] = [flipped, zeroed, torn, header, empty, text, flipped, zeroed]
LOG_DAMAGES: list[Callable[[Case], None]] = [log_flipped, log_cut, log_gone, log_flipped, *DAMAGES]
STRUCTURAL = {empty, log_gone}
"""The damages after which the file is always set aside: a WAL may hold every page that others destroy."""


def places(case: Case) -> dict[int, set[tuple[str, int]]]:
    """Give where each row stands: the pages of the file, or the frames of the WAL, that hold it and its overflow."""
    main, log = case.main.read_bytes(), case.log.read_bytes() if case.log.exists() else b""
    where: dict[int, tuple[str, int, bytes]] = {
        number + 1: ("page", number + 1, main[number * PAGE : (number + 1) * PAGE])
        for number in range(len(main) // PAGE)
    }
    for frame, (number, content) in enumerate(wal.pages(log)):
        where[number] = ("frame", frame, content)
    case.last_frames = last_transaction(log)
    found: dict[int, set[tuple[str, int]]] = {}
    for kind, number, content in where.values():
        used: set[tuple[str, int]] = set()

        def fetch(page: int, used: set[tuple[str, int]] = used) -> bytes:
            used.add(where[page][:2])
            return where[page][2]

        reading = pages.rows(content, fetch)
        while True:
            used.clear()
            row = next(reading, None)
            if row is None:
                break
            if isinstance(row[0], int) and len(row) == 7:
                found[row[0]] = {(kind, number), *used}
    return found


def last_transaction(log: bytes) -> set[int]:
    """Give the frames of the last transaction of a WAL."""
    _, found = wal.frames(log)
    end = wal.replayed(found)
    begin = max((n for n, each in enumerate(found[: end - 1], 1) if each.commit), default=0)
    return set(range(begin, end))


async def judge(case: Case, damage: Callable[[Case], None], count: Counter[str]) -> None:
    """Damage a case, open it and read everything; count what came of it."""
    stand = places(case)
    evidence = len(case.main.read_bytes())
    damage(case)
    harmed = {("page", page) for page in case.touched} | {("frame", frame) for frame in case.bad_frames}
    began = time.monotonic()
    box = Outbox.open(case.folder, SystemClock(), 1.0, random.Random(1))
    took = time.monotonic() - began
    aside = list(case.folder.glob("outbox-damaged-*.sqlite"))
    unpublished = set() if box.epoch != case.epoch else case.last_frames & case.bad_frames
    rows = [each for each in await box.read(0, max(box.newest, case.last), 10**6) if isinstance(each, Record)]
    read = {(each.series.kind, each.series.instrument, each.series.epoch, each.seq): each.body for each in rows}
    count["wrong"] += sum(case.bodies.get(key) != body for key, body in read.items())
    whole = {key for key, row in case.rows.items() if not stand.get(row, set()) & harmed}
    if unpublished:
        whole -= {
            key for key, row in case.rows.items() if stand.get(row, set()) & {("frame", n) for n in case.last_frames}
        }
    count["undamaged"] += len(whole)
    count["kept"] += len(whole & set(read))
    count["not durable"] += not box.durable
    count["aside"] += bool(aside)
    count["new epoch"] += bool(aside) and box.epoch > case.epoch
    count["evidence lost"] += bool(aside) and damage in (flipped, zeroed) and aside[0].stat().st_size < evidence
    count["structural"] += damage in STRUCTURAL
    count["structural aside"] += damage in STRUCTURAL and bool(aside)
    count["slow"] += took > 10
    count["slowest"] = max(count["slowest"], round(took * 1000))
    declared = {
        (detail["kind"], subject, detail["epoch"], seq)
        for name, subject, detail in box.news
        if name == "damaged"
        for seq in range(detail["from"], detail["to"] + 1)
    }
    if aside:
        lost = set(case.rows) - case.settled - set(read)
        count["lost"] += len(lost)
        count["declared"] += len(lost & declared)
        count["falsely declared"] += len(declared & set(read))
    if not unpublished:
        count["reused"] += await reused(case, box)
    await box.close()


async def reused(case: Case, box: Outbox) -> int:
    """Go on storing; give how many identities got other bytes than before."""
    count = 0
    for kind, instrument in SERIES:
        series = box.series(kind, instrument)
        box.store(series, 2, lambda seq, low: json.dumps({"seq": seq, "low": low, "new": True}).encode())
        count += (kind, instrument, box.epoch, series.seq) in case.bodies
    await box.commit()
    return count


async def once(seed: int, folder: Path, count: Counter[str]) -> None:
    """Run one case."""
    rng = random.Random(seed)
    case = Case(folder, rng)
    await fill(case)
    damage = rng.choice(LOG_DAMAGES if case.log.exists() else DAMAGES)
    count["cases"] += 1
    count[damage.__name__] += 1
    await judge(case, damage, count)


async def run(count: int, seed: int) -> list[Row]:
    """Damage so many outboxes."""
    seen: Counter[str] = Counter()
    for number in range(count):
        with tempfile.TemporaryDirectory() as name:
            await once(seed + number, Path(name), seen)
    return rows(seen)


def rows(seen: Counter[str]) -> list[Row]:
    kept = seen["kept"] / max(1, seen["undamaged"])
    declared = seen["declared"] / max(1, seen["lost"])
    name = f"{seen['cases']} damaged outboxes"
    return [
        Row(name, f"{seen['wrong']} wrong values", "0", ok=seen["wrong"] == 0),
        Row(name, f"{kept:.3%} of {seen['undamaged']} undamaged records kept", ">= 99 %", ok=kept >= 0.99),
        Row(name, f"{seen['reused']} identities used again", "0", ok=seen["reused"] == 0),
        Row(name, f"set aside {seen['aside']}, of them in a new epoch {seen['new epoch']}", "all",
            ok=seen["aside"] == seen["new epoch"]),
        Row(name, f"{seen['structural aside']} of {seen['structural']} destroyed files noticed", "all",
            ok=seen["structural aside"] == seen["structural"]),
        Row(name, f"{seen['evidence lost']} bad files not kept whole", "0", ok=seen["evidence lost"] == 0),
        Row(name, f"{seen['not durable']} not running on the disk", "0", ok=seen["not durable"] == 0),
        Row(name, f"opened within {seen['slowest']} ms", "10 s", ok=seen["slow"] == 0),
        Row(name, f"{declared:.1%} of {seen['lost']} lost records declared by number", "what can be known", ok=True),
    ]  # fmt: skip
