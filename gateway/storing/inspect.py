"""Looking into an outbox that no agent has open: for `status` when the agent is dead."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from parkgate.config.language import say
from parkgate.gateway.storing.database import OutboxFault
from parkgate.gateway.storing.progress import Progress


def inspect(data: Path) -> dict[str, object] | None:
    """Give the account of the outbox in a data folder, read only; None where there is none.

    Raises:
        OutboxFault: the file cannot be read, or an agent has it open.

    """
    path = data / "outbox.sqlite"
    if not path.exists():
        return None
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2)  # an agent keeps its lock for life
    try:
        return _account(Database(connection), path)
    except sqlite3.Error as error:
        raise OutboxFault(
            say("the outbox cannot be read: {error}", error=error),
            where=str(path),
            hint=say("If an agent runs, ask it through its socket; else check that this user may read the file."),
        ) from error
    finally:
        connection.close()


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
        "bytes": path.stat().st_size,
        "free_bytes": free.f_bavail * free.f_frsize,
        "stored": stored,
        "uplinks": [_uplink(row, stored, aside.get(row["name"], 0)) for row in uplinks],
    }


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
