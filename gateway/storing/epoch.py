"""One life of the outbox: its name, and when a new one begins.

An epoch is a counter and a random part (`0007-k3f9a1`), so that epochs sort and two never share a name. The counter
stands in a file beside the outbox, so that it goes on when the outbox file is set aside or lost.
"""

from __future__ import annotations

import hashlib
import os
import random
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
    try:
        return counter.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def next_epoch(counter: Path, known: str, rng: random.Random) -> str:
    """Count a new epoch, behind that of the file `counter` and the one `known`, and give its name.

    The file is replaced whole and synced.
    """
    past = max(_count(read_epoch(counter)), _count(known))
    epoch = f"{past + 1:04d}-" + "".join(rng.choices(_LETTERS, k=6))
    new = counter.with_suffix(".new")
    with new.open("w", encoding="ascii") as file:
        file.write(epoch + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(counter)
    return epoch


def _count(epoch: str) -> int:
    head = epoch.partition("-")[0]
    return int(head) if head.isascii() and head.isdigit() else 0
