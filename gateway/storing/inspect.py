"""Looking into an outbox that no agent has open: for `status` and `trail` when the agent is dead."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from parkgate.config.language import say
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.progress import Progress
from parkgate.gateway.storing.trail import Trail

_EMPTY = "the file is empty"
_T = TypeVar("_T")


def inspect(data: Path) -> dict[str, object] | None:
    """Give the account of the outbox in a data folder, read only; None where there is none.

    Raises:
        OutboxFault: the file cannot be read, or an agent has it open.

    """
    return _read(data, lambda connection, path: _account(Database(connection), path))


def inspect_trail(data: Path, rev: str | None) -> dict[str, list[tuple[object, ...]]] | None:
    """Give the trail in a data folder as the agent's control socket does, read only; None where there is no outbox.

    Raises:
        OutboxFault: the file cannot be read, or an agent has it open.

    """
    return _read(data, lambda connection, _: _trail(connection, rev))


def _read(data: Path, work: Callable[[sqlite3.Connection, Path], _T]) -> _T | None:
    path = data / "outbox.sqlite"
    try:
        if not path.stat().st_size:
            raise sqlite3.DatabaseError(_EMPTY)  # SQLite would delete the WAL beside it, which may be all there is
        with closing(_opened(path)) as connection:
            return work(connection, path)
    except FileNotFoundError:
        return None
    except (OSError, sqlite3.Error) as error:
        raise OutboxFault(
            say("the outbox cannot be read: {error}", error=error),
            where=str(path),
            hint=say(
                "If an agent runs, ask it through its socket; else check that this user may read the file: "
                "join the group parkgate, or use sudo."
            ),
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    return sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=0.2)  # an agent keeps its lock for life


def _trail(connection: sqlite3.Connection, rev: str | None) -> dict[str, list[tuple[object, ...]]]:
    kept, entries, named = Trail(connection), list[tuple[object, ...]](), list[tuple[object, ...]]()
    if "trail" in Database(connection).table_names():  # an older file has none until an agent opens it
        entries = [(epoch, n, body.hex(), sound) for epoch, n, body, sound in kept.entries()]
        named = [] if rev is None else [*kept.named(rev)]
    return {"entries": entries, "configurations": named}


def _account(database: Database, path: Path) -> dict[str, object]:
    aside = {row["uplink"]: row["count"] for row in database.query(
        "select uplink, count(*) as count from quarantine group by uplink")}  # fmt: skip
    uplinks = list(database["uplink"].rows)
    newest = next(database.query("select coalesce(max(id), 0) as id from record"))["id"]
    stored = max([newest, *(_progress(row).highest for row in uplinks)])
    free = os.statvfs(path)
    return {
        "path": str(path),
        "epoch": next((row["epoch"] for row in database["identity"].rows), ""),
        "bytes": path.stat().st_size + _size(path.with_name(f"{path.name}-wal")),
        "free_bytes": free.f_bavail * free.f_frsize,
        "stored": stored,
        "uplinks": [_uplink(row, stored, aside.get(row["name"], 0)) for row in uplinks],
    }


def _size(path: Path) -> int:
    """Give how large a file is that is not always there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _progress(row: dict[str, int | str]) -> Progress:
    return Progress.parse(int(row["position"]), str(row["ahead"]))


def _uplink(row: dict[str, int | str], stored: int, quarantined: int) -> dict[str, object]:
    settled = _progress(row).settled
    expired = int(row["expired"])
    return {
        "name": row["name"],
        "delivered": settled - int(row["born"]) - quarantined - expired,
        "waiting": stored - settled,
        "expired": expired,
        "quarantined": quarantined,
    }
