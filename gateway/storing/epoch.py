"""One life of the outbox: its name, and when a new one begins.

An epoch is a counter and a random part (`0007-k3f9a1`), so that epochs sort and two never share a name. The counter
stands in a file beside the outbox, so that it goes on when the outbox file is set aside or lost. Behind it stands the
inode of the outbox file: a copy that is put back has another, even where both files are put back together.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable
from pathlib import Path

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def machine() -> str:
    """Give a digest of this machine's id (machine-id(5)), which itself is not to be shown to others."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return hashlib.sha256(b"parkgate" + Path(path).read_bytes()).hexdigest()[:16]
        except OSError:
            continue
    return ""


def read_epoch(counter: Path) -> str:
    """Give the epoch that the file `counter` names; nothing if there is none."""
    return _words(counter)[0]


def same_file(counter: Path, outbox: Path) -> bool | None:
    """Tell whether the file `counter` was written beside this very outbox file; None where it does not say."""
    inode = _words(counter)[1]
    return inode == str(outbox.stat().st_ino) if inode else None


def next_epoch(known: Iterable[str], rng: random.Random) -> str:
    """Give the name of a new epoch, behind all that are known."""
    return f"{max(map(_count, known), default=0) + 1:04d}-" + "".join(rng.choices(_LETTERS, k=6))


def note_epoch(counter: Path, epoch: str, outbox: Path) -> None:
    """Write an epoch and the inode of its outbox to the file `counter`, which is replaced whole and synced."""
    new = counter.with_suffix(".new")
    with new.open("w", encoding="ascii") as file:
        file.write(f"{epoch} {outbox.stat().st_ino}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(counter)


def _words(counter: Path) -> tuple[str, str]:
    try:
        epoch, _, inode = counter.read_text(encoding="ascii").strip().partition(" ")
    except (OSError, ValueError):
        return "", ""
    return epoch, inode


def _count(epoch: str) -> int:
    head = epoch.partition("-")[0]
    return int(head) if head.isascii() and head.isdigit() else 0
