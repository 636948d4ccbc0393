"""Power cuts: what a disk may hold after any operation of the agent's own outbox, opened by the agent again.

Loads on the real outbox are recorded (`support.outbox_load`, `support.recording_files`). An image is what a prefix of
the operations left on the disk (`support.disk_images`), with the files that stand beside: `epoch`, with the number of
no file, since an image is another file; and the marker, which is never synced: absent, or anything that it had said.
Each image is opened with `Outbox.open` on plain SQLite, read whole, and stored into (`support.outbox_judge`).

Two controls hold the same judge to outboxes that do not sync as they should: it must find fault with both.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.row import Row
from support.disk_images import MODES, Disk
from support.outbox_judge import CORRUPT, LOST, ORDER, Finding, Stand, judged, undeclared
from support.outbox_load import Books, Load
from support.recording_files import Recording
from support.virtual_loop import Inline

from parkgate.gateway.storing.outbox import Footing

PER_LOAD = 500
"""Images of one load."""
ROUNDS = 60
_SHARED = Path("/dev/shm")  # a folder in memory: an image has a few syncs of its own


async def recorded(seed: int, folder: Path, synchronous: str) -> tuple[Recording, Books]:
    """Let a load live, and give what it did."""
    files = Recording(synchronous)
    books = Books(lambda: files.count)
    files.at.append(lambda: books.seen(folder / "outbox.open"))
    load = Load(folder, Footing(files.connect, Inline), books, seed)
    await load.start()
    await load.live(ROUNDS)
    await load.outbox.close()
    books.seen(folder / "outbox.open")
    if missing := undeclared(books):
        raise AssertionError(f"rows {missing} were removed, and nothing that was committed with that declares them")
    return files, books


def beside(books: Books, now: int, rng: random.Random) -> dict[str, bytes]:
    """Give the files that the agent writes beside its outbox, as they may stand behind so many operations."""
    image: dict[str, bytes] = {}
    if now >= books.opened or (now >= books.named and rng.random() < 0.5):
        image["epoch"] = f"{books.epoch}\n".encode()
    says = rng.choice([None, *marker(books, now)])
    if says is not None:
        image["outbox.open"] = says.encode()
    return image


def marker(books: Books, now: int) -> list[str | None]:
    """Give what the marker may say: anything since it was made, for it is never synced. Its removal is synced."""
    marks = [(at, says) for at, says in books.marks if at <= now]
    if marks and marks[-1][1] is None and marks[-1][0] < now:
        return [None]
    begin = max((number for number, (_, says) in enumerate(marks[:-1]) if says is None), default=-1)
    return [says for _, says in marks[begin + 1 :]]


def laid(folder: Path, image: dict[str, bytes]) -> None:
    """Make a folder what an image is."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)


async def cut(seed: int, images: int, synchronous: str = "FULL") -> list[tuple[str, list[Finding]]]:
    """Record a load and judge so many images of it; give what each is and what is wrong with it."""
    rng = random.Random(seed)
    seen = []
    with _temporary() as lived, _temporary() as image:
        files, books = await recorded(seed, Path(lived), synchronous)
        disk, stand = Disk(), Stand(books)
        for now in sorted(rng.choices(range(files.count + 1), k=images)):
            for operation in files.operations[stand.now : now]:
                disk.take(operation)
            stand.advance(now)
            mode = rng.choice(MODES)
            laid(Path(image), {**disk.cut(mode, rng), **beside(books, now, rng)})
            seen.append((f"seed {seed}, {synchronous}, {now} operations, {mode}", await judged(Path(image), stand)))
    return seen


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=_SHARED if _SHARED.is_dir() else None)


def tried(images: int, seed: int, synchronous: str = "FULL") -> Counter[str]:
    """Judge so many images; count those with each kind of fault, and tell of the first few."""
    count: Counter[str] = Counter()
    while count["images"] < images:
        size = min(PER_LOAD, images - count["images"])
        for name, found in asyncio.run(cut(seed, size, synchronous)):
            count["images"] += 1
            count["faulty"] += bool(found)
            count.update({kind for kind, _ in found})
            if found and synchronous == "FULL" and count["faulty"] <= 5:
                print(f"{name}: {found[:5]}")
        seed += 1
    return count


def run(images: int, seed: int = 1) -> list[Row]:
    """Cut the power so often, and a hundred times or more where the outbox does not sync as it should."""
    logging.disable(logging.CRITICAL)  # an outbox that lost what it had says so at each start
    try:
        return _compared(images, seed)
    finally:
        logging.disable(logging.NOTSET)


def _compared(images: int, seed: int) -> list[Row]:
    began = time.monotonic()
    full = tried(images, seed)
    name = f"{full['images']} power cuts, synchronous FULL"
    rows = [Row(name, f"{full[kind]} {kind}", "0", ok=full[kind] == 0) for kind in (LOST, CORRUPT, ORDER)]
    print(f"{full['images']} images in {time.monotonic() - began:.1f} s")
    for synchronous, kind in (("NORMAL", LOST), ("OFF", CORRUPT)):
        seen = tried(max(100, images // 100), seed, synchronous)
        figure = f"{seen['faulty']} of {seen['images']} at fault: {seen[LOST]} lost, {seen[CORRUPT]} corrupt"
        rows.append(Row(f"control: synchronous {synchronous}", figure, f"some {kind}", ok=seen[kind] > 0))
    return rows


if __name__ == "__main__":
    for row in run(int(sys.argv[1]), *map(int, sys.argv[2:])):
        print(row)
