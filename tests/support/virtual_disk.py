"""The disk of a virtual world: real SQLite files whose commits may fail, and the death of the machine around them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FULL, FAILED, FAILED_LATE = "SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"
"""No room; an error before anything was written; an error after the transaction reached the file after all."""


@dataclass
class Disk:
    """Says of every commit what comes of it. `trouble` is the SQLite error that commits meet, "" for none.

    `at_commit` is called once, before (True) or after (False) the next COMMIT: where a machine dies.
    """

    folder: Path
    log: Callable[[str], None]
    trouble: str = ""
    at_commit: dict[bool, Callable[[], None]] = field(default_factory=dict)
    commits: int = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open a file as the gateway does, on this disk."""
        disk = self

        class Faulty(sqlite3.Connection):
            def execute(self, sql, *rest):
                if sql == "COMMIT":
                    return disk.commit(super().execute)
                return super().execute(sql, *rest)

        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0, factory=Faulty)

    def commit(self, execute: Callable[[str], sqlite3.Cursor]) -> sqlite3.Cursor:
        if self.trouble in {FULL, FAILED}:
            raise _error(self.trouble)
        self._die(before=True)
        done = execute("COMMIT")
        self.commits += 1
        self._die(before=False)
        if self.trouble == FAILED_LATE:
            raise _error(self.trouble)
        return done

    def _die(self, *, before: bool) -> None:
        if (die := self.at_commit.pop(before, None)) is not None:
            die()

    def held(self) -> dict[str, bytes]:
        """Give every file as the kernel holds it now: all that was written, whatever becomes of the process."""
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def put_back(self, files: dict[str, bytes]) -> None:
        """Make the folder what it was when `files` were taken."""
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"simulated: {name}")
    error.sqlite_errorname = name
    return error
