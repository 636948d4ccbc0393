"""What the gateway itself must give: a clock, a data folder that can be written, and disk for an outage."""

from __future__ import annotations

import os
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from parkgate.config.language import say
from parkgate.config.site import Instrument, Site
from parkgate.gateway.commands.finding import Finding, Result
from parkgate.gateway.commands.sizes import usual_snapshots, usual_statistics
from parkgate.gateway.processing.periods import periods
from parkgate.gateway.processing.statistics import Plan
from parkgate.gateway.status import source
from parkgate.gateway.storing.database import LEVEL, OutboxFault
from parkgate.gateway.storing.inspect import inspect

_EARLIEST, _LATEST = 2025, 2100
"""Years between which a clock may be right: a gateway without a battery wakes up in 1970, or when it was built."""
_DAY = 86_400_000
_FEW_DAYS = 3.0
_SAMPLE = 20
_ROW = 40
"""Bytes that a row of the outbox takes beside its packed payload: measured with real files."""
MIB = 1024 * 1024


def clock(now: int, in_step: bool | None) -> Finding:  # noqa: FBT001  # what `synchronised` says
    """Judge the clock: `now` is what it shows, milliseconds UTC."""
    shown = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    advice = say("Let the gateway ask a time server: install chrony, or give systemd-timesyncd an NTP= it can reach.")
    if not _EARLIEST <= int(shown[:4]) < _LATEST:
        found = say("it shows {time}: every value would be stored under a wrong time", time=shown)
        return Finding("clock", "", Result.PROBLEM, found, advice)
    if in_step is None:
        found = say("it shows {time}; whether it is synchronised cannot be told", time=shown)
        return Finding("clock", "", Result.WARNING, found, say("Compare it with a clock you trust."))
    if not in_step:
        return Finding("clock", "", Result.WARNING, say("it shows {time}, not synchronised", time=shown), advice)
    return Finding("clock", "", Result.OK, say("it shows {time}, synchronised", time=shown))


def data_folder(folder: Path) -> Finding:
    """Tell whether the data folder can be written; a folder that is not there yet is not made."""
    here = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=here) as file:
            file.write(b"\0" * 4_096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        found = say("{folder} cannot be written: {reason}", folder=here, reason=error.strerror or error)
        advice = say(
            "Give this user the right to write there, or run the check as the agent's user: sudo -u parkgate …"
        )
        return Finding("data", str(folder), Result.PROBLEM, found, advice)
    found = say("can be written") if here == folder else say("is not there yet; the agent can make it")
    return Finding("data", str(folder), Result.OK, found)


def outbox(folder: Path) -> list[Finding]:
    """Tell whether the outbox in the data folder, if there is one, is an outbox; it is only read."""
    path = folder / "outbox.sqlite"
    try:
        found = inspect(folder)
    except OutboxFault as fault:
        advice = say(
            "Stop what uses the file. If it is no outbox, give [gateway] data a folder of its own; if it is a damaged "
            "one, move it aside and keep it: it is evidence."
        )
        advice = advice if os.access(path, os.R_OK) else fault.hint
        return [Finding("outbox", str(path), Result.PROBLEM, fault.what, advice)]
    if found is None:
        return []
    return [
        Finding("outbox", str(path), Result.OK, say("can be read: {stored} records stored", stored=found["stored"]))
    ]


def disk(site: Site) -> Finding:
    """Tell how long an outage the disk holds: what the site stores a day, against `max_size` and the free space."""
    here = _existing(site.gateway.data)
    status = os.statvfs(here)
    free = status.f_bavail * status.f_frsize
    used = sum(each.stat().st_size for each in here.glob("outbox.sqlite*")) if here == site.gateway.data else 0
    daily = bytes_a_day(site)
    days = min(site.outbox.max_size, used + free) / daily
    numbers = {"free": free // MIB, "daily": round(daily / MIB, 1), "days": round(days, 1)}
    if site.outbox.max_size < used + free:
        found = say(
            "{daily} MiB a day: max_size of [outbox], {most} MiB, lasts for an outage of {days} days ({free} MiB free)",
            most=site.outbox.max_size // MIB,
            **numbers,
        )
    else:
        found = say(
            "{daily} MiB a day: the disk, {free} MiB free, lasts for an outage of {days} days; max_size allows "
            "{most} MiB",
            most=site.outbox.max_size // MIB,
            **numbers,
        )
    if days >= _FEW_DAYS:
        return Finding("disk", "", Result.OK, found)
    advice = say("Free some disk, raise max_size of [outbox], or read the instruments less often.")
    return Finding("disk", "", Result.PROBLEM if days < 1 else Result.WARNING, found, advice)


def bytes_a_day(site: Site, *, safety: bool = False) -> float:
    """Estimate what the outbox grows by in a day: a snapshot a turn, and the statistics; packed as the outbox does.

    With `safety`, of the safety instruments alone: what is left when the others have given up their room.
    """
    daily = 0.0
    for each in site.instruments:
        if safety and not each.safety:
            continue
        packed = [len(zlib.compress(body, LEVEL)) for body in usual_snapshots(source(site), each, _SAMPLE)]
        daily += (sum(packed) / _SAMPLE + _ROW) * _DAY / each.every
        plan = Plan.of(each, site.statistics, periods(site.statistics, site.gateway.timezone))
        daily += _statistics_a_day(source(site), each, plan) if plan else 0.0
    return daily


def _statistics_a_day(of: str, instrument: Instrument, plan: Plan) -> float:
    daily = 0.0
    for period in plan.periods:
        bodies = usual_statistics(of, instrument, plan, period.name) if period.name in plan.sent else ()
        daily += sum(len(zlib.compress(body, LEVEL)) + _ROW for body in bodies) * _DAY / period.length
    return daily


def outage_days(site: Site) -> tuple[float, float | None]:
    """Give how many days of outage `max_size` holds: of everything, and of the safety instruments alone, if any."""
    most, safety = site.outbox.max_size, bytes_a_day(site, safety=True)
    return most / bytes_a_day(site), most / safety if safety else None


def _existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())
