"""The data folder of an outbox: its lock, the files beside the outbox file, and setting a damaged file aside.

`outbox.open` is there while an agent has the outbox open. It names the newest row that was committed: written behind
each commit and never synced, so that it may be behind after a power cut, but never ahead. An outbox that ends before
that row has lost what it had. `outbox.suspect` says why the next start must not trust the file. A damaged outbox
becomes `outbox-damaged-….sqlite`; what could be read of it stands in `….carried` until it takes its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from parkgate.gateway.storing import wal
from parkgate.gateway.storing.database import running
from parkgate.gateway.storing.seal import seal

_PROBE = 262_144
"""Bytes: a start writes the descriptions of the instruments that changed, and what of the WAL that takes."""
_BESIDE = ("-wal", "-shm", "-journal", "")
"""What belongs to a SQLite file; the file itself is moved last."""
_CARRIED = ".carried"


class Folder:
    """A data folder that this process has locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outbox = path / "outbox.sqlite"
        self.counter = path / "epoch"
        self._opened = path / "outbox.open"
        self._suspect = path / "outbox.suspect"
        self._lock = -1
        self._mark = -1
        self._log = b""

    def lock(self) -> None:
        """Make the folder if need be, and lock it for as long as this process lives or until `unlock`.

        Raises:
            OutboxFault: another agent has it.

        """
        if self._lock >= 0:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.unlock()
            raise running(self.outbox) from None

    def unlock(self) -> None:
        """Let another agent have the folder."""
        for number in (self._lock, self._mark):
            if number >= 0:
                os.close(number)
        self._lock = self._mark = -1

    def probe(self) -> None:
        """Write, sync and remove a file, as the outbox will, of the size of what a start writes.

        Raises:
            OSError: the disk takes nothing.

        """
        path = self.path / "outbox.probe"
        with path.open("wb") as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()

    def distrust(self, reason: str) -> None:
        """Note that the outbox file must be set aside at the next start."""
        with contextlib.suppress(OSError):
            self._write(self._suspect, reason)

    def mark(self, newest: int) -> None:
        """Note the newest row that was committed."""
        if self._mark >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._mark, f"{newest:020d} {seal('open', newest):08x}\n".encode(), 0)

    def opened(self, newest: int) -> None:
        """Note that the outbox is open, and synced to its WAL up to the row `newest`."""
        self._write(self._opened, "")
        self._mark = os.open(self._opened, os.O_WRONLY)
        self.mark(newest)

    def closing(self) -> None:
        """Note that the outbox is about to be closed: its WAL will go."""
        self._opened.unlink(missing_ok=True)
        self._sync()

    def gave_up(self) -> None:
        """Note that the outbox could not be opened, and was closed again: its WAL, if merged, is gone in order."""
        if not self._beside("-wal").exists():
            with contextlib.suppress(OSError):
                self.closing()

    def committed(self) -> int | None:
        """Give a row that was committed for certain, 0 if it is not known; None if the outbox was closed in order."""
        try:
            number, _, crc = self._opened.read_text(encoding="ascii").strip().partition(" ")
            newest = int(number)
            return newest if crc == f"{seal('open', newest):08x}" else 0
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return 0

    def damage(self) -> str:
        """Tell what speaks against the file before SQLite may see it, which deletes the WAL of an empty file."""
        with contextlib.suppress(OSError):
            return self._suspect.read_text(encoding="utf-8", errors="replace").strip() or "suspect"
        left, log = self.committed() is not None, self._beside("-wal")
        there = log.is_file() and log.stat().st_size > 0
        if not self.outbox.exists():
            return "the file is gone" if left or there else ""
        if not self.outbox.is_file():
            return "not a file"
        if not self.outbox.stat().st_size:
            return "the file is empty" if left or there or self.counter.exists() else ""
        if not there:
            return "the WAL is gone" if left else ""
        self._log = log.read_bytes()
        return "the WAL is damaged" if wal.damaged(self._log) else ""

    def restore(self) -> None:
        """Put the WAL back as it was found, if SQLite has merged it into the file since: it is evidence."""
        log = self._beside("-wal")
        if self._log and not log.exists():
            log.write_bytes(self._log)

    def size(self) -> int:
        """Give the bytes of the outbox with all that belongs to it."""
        return sum(self._beside(end).stat().st_size for end in _BESIDE if self._beside(end).is_file())

    def carry(self, now: int) -> Path:
        """Give where to write what can be read of a damaged outbox: `switch` makes it the outbox."""
        stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in range(1, 10_000):
            name = f"outbox-damaged-{stamp}{f'-{number}' if number > 1 else ''}.sqlite"
            if not any(self.path.glob(f"{name}*")):
                break
        for old in self.path.glob("*.building*"):
            old.unlink()
        return self.path / f"{name}{_CARRIED}.building"

    def switch(self, building: Path | None = None) -> str:
        """Set the damaged outbox aside, whole, and put what was carried over in its place; give the name aside.

        It can be cut off anywhere: the next start calls it again, without `building`, and it goes on.
        """
        if building is not None:
            building.rename(building.with_suffix(""))
            self._sync()
        for carried in self.path.glob(f"outbox-damaged-*{_CARRIED}"):
            aside = carried.with_suffix("")
            for end in _BESIDE:
                # A name that is taken is never written over: then this part was moved before.
                if os.path.lexists(self._beside(end)) and not os.path.lexists(f"{aside}{end}"):
                    self._beside(end).rename(f"{aside}{end}")
            self._opened.unlink(missing_ok=True)
            self._suspect.unlink(missing_ok=True)
            self._sync()
            carried.rename(self.outbox)
            self._sync()
            return aside.name
        return ""

    def _beside(self, end: str) -> Path:
        return Path(f"{self.outbox}{end}")

    def _write(self, path: Path, text: str) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
