"""The disk fails at every place in turn: the first, the second … the n-th write, truncate or sync of a short life.

An I/O error ends the process; a full disk keeps what is to be stored in memory, and it is stored once there is room.
Whatever happens, opening the files again finds what was committed, and everything that was handed on
(`support.outbox_judge`).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from support.disk_images import DROPPED, Disk
from support.failing_files import ENOSPC, Failing
from support.outbox_judge import CORRUPT, Finding, Stand, judged
from support.outbox_load import Books, Load, Still
from support.recording_files import Recording
from support.virtual_loop import Inline

from parkgate.gateway.storing import space
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.outbox import Footing, Outbox

_SHARED = Path("/dev/shm")  # a folder in memory: a sweep has some ten thousand syncs


@dataclass
class Life:
    """What became of one life: how it ended, and what was found behind it."""

    failed: int = 0
    fault: bool = False
    waited: bool = False
    left: int = 0
    found: list[Finding] = field(default_factory=list)


async def lived(failing: Failing, seed: int) -> Life:
    """Live a short life on a disk that fails, and judge what it left."""
    life = Life()
    with _temporary() as name, _temporary() as image:
        folder = Path(name)
        books = Books(lambda: failing.all)
        load = Load(folder, Footing(failing.connect, Inline), books, seed)
        load.restarts = False
        await load.start()
        failing.armed = True
        try:
            await _live(load, life)
            life.left = load.outbox.queued
            await load.outbox.close()
        except OutboxFault:
            life.fault = True
        failing.armed = False
        life.failed = failing.failed
        stand = Stand(books)
        stand.advance(failing.all + 1)
        kept = _held(folder)
        if life.fault:
            load.outbox._opened.folder.unlock()
            load.outbox._database.close()
        life.found += await _judged(Path(image), kept, stand)
        if life.fault and failing.recording:  # after a failed sync, what it was to cover is not on the disk
            disk = Disk()
            for operation in failing.recording.operations:
                disk.take(operation)
            beside = {name: content for name, content in kept.items() if not name.startswith("outbox.sqlite")}
            life.found += await _judged(Path(image), {**disk.cut(DROPPED, random.Random(1)), **beside}, stand)
    return life


async def _live(load: Load, life: Life) -> None:
    """Live through everything that writes; behind it the disk has room again."""
    box = load.outbox
    for day in range(2):
        for _ in range(4):
            load.clock.seconds += 20
            for _ in range(4):
                load.store()
            await box.commit(progress=load.rng.random() < 0.3)
            life.waited = life.waited or bool(box.queued)
            load.acknowledge()
        load.clock.seconds += 100_000 * day
        await load.keeper.remove_old()
        await _where_room(load, life)
    for _ in range(40):
        await box.commit(progress=True)
        if not box.queued:
            break


async def _where_room(load: Load, life: Life) -> None:
    try:
        await load.outbox.ask(lambda file: file.give_back(512))
    except sqlite3.Error as error:
        if not space.is_full(error):
            raise
        life.waited = True


async def _judged(folder: Path, files: dict[str, bytes], stand: Stand) -> list[Finding]:
    _lay(folder, files)
    return await judged(folder, stand)


def _lay(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder of files; `epoch` without the number of the outbox file, which is another one."""
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content.split(b" ")[0] if name == "epoch" else content)


def _held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=_SHARED if _SHARED.is_dir() else None)


def swept(kind: str, number: int, times: int = 1, seed: int = 1) -> list[Life]:
    """Fail each call of a kind in turn, until a life passes that met no failure."""
    lives: list[Life] = []
    while not lives or lives[-1].failed:
        with Failing(kind, number, len(lives) + 1, times) as failing:
            lives.append(asyncio.run(lived(failing, seed)))
    return lives


async def reopened(failing: Failing, left: dict[str, bytes], stand: Stand) -> Life:
    """Open what a killed agent left, on a disk that fails; what matters is what the next start finds."""
    life = Life()
    with _temporary() as name, _temporary() as image:
        folder = Path(name)
        _lay(folder, left)
        failing.armed = True
        try:
            box = Outbox.open(folder, Still(), 1.0, random.Random(1), Footing(failing.connect, Inline))
        except OutboxFault:
            life.fault = True
        else:
            life.waited = not box.durable
            failing.armed = False
            await box.close()
        failing.armed = False
        life.failed = failing.failed
        found = await _judged(Path(image), _held(folder), stand)
        # After an I/O error it may have been set aside, and a new epoch begun; a full disk is no reason for that.
        life.found += [each for each in found if each[0] is not CORRUPT or failing.number == ENOSPC]
    return life


async def killed(seed: int = 1) -> tuple[dict[str, bytes], Stand]:
    """Give what an agent that is killed leaves, and what is committed in it."""
    with _temporary() as name:
        files = Recording()
        books = Books(lambda: files.count)
        load = Load(Path(name), Footing(files.connect, Inline), books, seed)
        load.restarts = False
        await load.start()
        await _live(load, Life())
        load.store()
        await load.outbox.commit()
        left = _held(Path(name))
        stand = Stand(books)
        stand.advance(files.count + 1)
        await load.outbox.close()
    return left, stand


def swept_openings(kind: str, number: int, times: int = 1) -> list[Life]:
    """Fail each call of a kind in turn while an outbox is opened, until it opens without meeting a failure."""
    left, stand = asyncio.run(killed())
    lives: list[Life] = []
    while not lives or lives[-1].failed:
        with Failing(kind, number, len(lives) + 1, times) as failing:
            lives.append(asyncio.run(reopened(failing, left, stand)))
    return lives
