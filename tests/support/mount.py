"""A small disk of its own, full when it is full: a tmpfs of so many bytes. Needs root."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """Give the folder where a file system of so many bytes is mounted, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        _do("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
        try:
            yield Path(folder)
        finally:
            _do("umount", "--lazy", folder)


def writable(folder: Path, *, yes: bool) -> None:
    """Mount a small disk again, read-only or not; refused by the kernel while a file on it is open for writing."""
    _do("mount", "-o", f"remount,{'rw' if yes else 'ro'}", str(folder))
