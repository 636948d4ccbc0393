"""SQLite's files with a memory: every write, truncate, sync and delete of them, in the order in which SQLite made it.

`Recording.connect` is handed to the real outbox in place of the agent's own: the files are real, the operations reach
them, and each is noted. It needs `locking_mode=EXCLUSIVE`: there is no shared memory between SQLite and Python.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

_NUMBERS = itertools.count(1)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Operation:
    """What SQLite did to one file: `kind` is create, write, truncate, sync or delete.

    `inode` tells a file from one of the same name that was deleted. A truncate's `size` is the length that is left.
    A delete or a sync with `size` 1 is one with which the folder was synced too: SQLite does so behind a delete when it
    is told, and with the first sync of a journal or WAL that it opened (os_unix.c, UNIXFILE_DIRSYNC).
    """

    kind: str
    inode: int
    name: str
    offset: int = 0
    data: bytes = b""
    size: int = 0


class Recording(apsw.VFS):
    """A file system of SQLite that notes what is done to the files of an outbox.

    `synchronous` is what the agent's own pragma is turned into: FULL leaves it as it is. `before` is asked before each
    sync, and may raise what the sync is to fail with.
    """

    def __init__(self, synchronous: str = "FULL", before: Callable[[], None] = lambda: None) -> None:
        self.named = f"recording-{next(_NUMBERS)}"
        super().__init__(self.named, "")
        self.operations: list[Operation] = []
        self.at: list[Callable[[], None]] = []
        self.before = before
        self._synchronous = synchronous
        self._inodes: dict[str, int] = {}
        self._numbers = itertools.count(1)

    @property
    def count(self) -> int:
        return len(self.operations)

    def connect(self, path: Path) -> Any:
        """Open a file as the gateway does, recorded."""
        rewritten = {"PRAGMA synchronous = FULL": f"PRAGMA synchronous = {self._synchronous}"}
        return Connection(path, self.named, rewritten)

    def note(self, kind: str, name: str, offset: int = 0, data: bytes = b"", size: int = 0) -> None:
        for look in self.at:
            look()
        self.operations.append(Operation(kind, self._inodes[name], name, offset, data, size))

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802  # SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        short = Path(path).name
        new = short not in self._inodes
        file = _File(self, name, short, flags)
        if new:
            self._inodes[short] = next(self._numbers)
            self.note("create", short)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802  # SQLite's signature
        super().xDelete(filename, syncdir)
        short = Path(filename).name
        self.note("delete", short, size=int(syncdir))
        del self._inodes[short]


class _File(apsw.VFSFile):
    """One open file."""

    def __init__(self, recording: Recording, name: Any, short: str, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._recording = recording
        self._short = short
        self._folder_too = not short.endswith(".sqlite")

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name, here and below
        super().xWrite(data, offset)
        self._recording.note("write", self._short, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._recording.note("truncate", self._short, size=newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._recording.before()
        super().xSync(flags)
        self._recording.note("sync", self._short, size=int(self._folder_too))
        self._folder_too = False


class Rows:
    """What a statement gave, as a cursor gives it."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)


class Connection:
    """A connection of apsw with what the gateway uses of Python's own."""

    def __init__(self, path: Path, vfs: str | None = None, rewritten: dict[str, str] | None = None) -> None:
        self._rewritten = rewritten or {}
        self._inner = _told(lambda: apsw.Connection(str(path), vfs=vfs))
        # The file may be in WAL mode already, and the agent looks at its version before it says so itself.
        self.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._checkpoint_at(1000)

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        sql = self._rewritten.get(sql, sql)
        rows = Rows(_told(lambda: list(self._inner.execute(sql, parameters or None))))
        if sql.startswith("PRAGMA wal_autocheckpoint = "):
            self._checkpoint_at(int(sql.rpartition(" ")[2]))
        return rows

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Rows:
        return Rows(_told(lambda: list(self._inner.executemany(sql, parameters))))

    def executescript(self, sql: str) -> Rows:
        return self.execute(sql)

    def set_progress_handler(self, handler: Callable[[], object] | None, steps: int) -> None:
        self._inner.set_progress_handler(handler, steps)

    def close(self) -> None:
        # SQLite says nothing of what fails while the last connection merges the WAL.
        with suppress(apsw.IOError, apsw.FullError):
            self._inner.close()

    def _checkpoint_at(self, most: int) -> None:
        """Merge the WAL once it has so many pages, as SQLite does: a failure of that is no failure of the commit."""

        def committed(connection: apsw.Connection, name: str, pages: int) -> int:
            if pages >= most > 0:
                try:
                    connection.wal_checkpoint(name)
                except apsw.Error:
                    return apsw.SQLITE_OK
            return apsw.SQLITE_OK

        self._inner.set_wal_hook(committed)


def _told(work: Callable[[], _T]) -> _T:
    """Do something; an error of apsw becomes the one that Python's sqlite3 would raise."""
    try:
        return work()
    except apsw.Error as error:
        code = getattr(error, "extendedresult", 0)
        names = {**apsw.mapping_result_codes, **apsw.mapping_extended_result_codes}
        told = sqlite3.OperationalError(str(error))
        told.sqlite_errorcode = code
        told.sqlite_errorname = str(names.get(code, "SQLITE_ERROR"))
        raise told from error
