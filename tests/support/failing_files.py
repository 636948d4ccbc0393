"""A disk that fails when it is told: the system calls that SQLite writes with, and the syncs, counted.

Writes and truncates fail below SQLite's own file system, with a real `errno`: SQLite itself makes of it what it will,
and swallows what it swallows. Its syncs cannot be reached there, and fail in `Recording` above it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw
from support.recording_files import Connection, Recording

WRITE, TRUNCATE, SYNC = "write", "truncate", "sync"
_CALLS: dict[str, tuple[str, Any]] = {
    WRITE: (
        "pwrite64",
        ctypes.CFUNCTYPE(
            ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
        ),
    ),
    TRUNCATE: ("ftruncate", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True)),
}


class Failing:
    """Fails the calls of one kind from number `first` on, `times` of them, with `number` (an errno); 0 is never."""

    def __init__(self, kind: str, number: int, first: int, times: int = 1) -> None:
        self.armed = False
        self.calls = 0
        """Calls of this kind since it was armed."""
        self.all = 0
        """Calls of any kind."""
        self.failed = 0
        self.recording = Recording(before=self._before_sync) if kind == SYNC else None
        self._kind = kind
        self.number = number
        self._span = range(first, first + times)
        self._system = apsw.VFS(f"system-{id(self)}", "")
        self._kept: list[Any] = []

    def connect(self, path: Path) -> Any:
        """Open a file as the gateway does, on this disk."""
        return self.recording.connect(path) if self.recording else Connection(path)

    def __enter__(self) -> Self:
        for kind, (name, prototype) in _CALLS.items():
            real = prototype(self._system.xGetSystemCall(name))
            replaced = prototype(self._replacing(kind, real))
            self._kept.append(replaced)
            self._system.xSetSystemCall(name, ctypes.cast(replaced, ctypes.c_void_p).value)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, _ in _CALLS.values():
            self._system.xSetSystemCall(name, 0)

    def _replacing(self, kind: str, real: Callable[..., int]) -> Callable[..., int]:
        def called(*arguments: Any) -> int:
            if self._fails(kind):
                ctypes.set_errno(self.number)
                return -1
            return real(*arguments)

        return called

    def _before_sync(self) -> None:
        if self._fails(SYNC):
            error = apsw.IOError(os.strerror(self.number))
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise error

    def _fails(self, kind: str) -> bool:
        self.all += 1
        if not self.armed or kind != self._kind:
            return False
        self.calls += 1
        if self.calls not in self._span:
            return False
        self.failed += 1
        return True


EIO, ENOSPC = errno.EIO, errno.ENOSPC
