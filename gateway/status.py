"""What the agent is like now, pulled from its rooms when somebody asks; nobody imports this page but the agent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version as distribution_version

from parkgate.config.site import Site
from parkgate.gateway.collecting.collector import Collector, Station
from parkgate.gateway.collecting.origins import Origins
from parkgate.gateway.forwarding.forwarder import Forwarder
from parkgate.gateway.storing.outbox import Outbox

_DAY_MS = 86_400_000
_ENOUGH = 5_000  # rows: below, the empty pages of a young file weigh too much


def version() -> str:
    """Give the version of Parkgate that runs."""
    return distribution_version("parkgate")


def source(site: Site) -> str:
    """Give the name of the gateway as it stands in its records: `site/gateway`."""
    return f"{site.gateway.site}/{site.gateway.id}"


def silent(collectors: Iterable[Collector]) -> list[str]:
    """Give the names of the instruments that did not answer their last turn."""
    stations = (station for each in collectors for station in each.state.stations.values())
    return sorted(station.instrument.name for station in stations if station.silent)


def line(collector: Collector) -> dict[str, object]:
    """Give what a line is like."""
    state = collector.state
    return {
        "name": collector.line.name,
        "title": collector.line.title,
        "url": collector.line.url,
        "state": "up" if state.up else "down",
        "since": state.since,
        "fault": state.fault,
    }


def instrument(collector: Collector, station: Station, origins: Origins) -> dict[str, object]:
    """Give what became of an instrument's turns, and its last values with their units and flags.

    `simulated` is None until it was asked. `unsupported` names the points that it refuses, which are asked again
    rarely; `rests` is for how long (ms) it is not asked at all, where it has been silent for long. `reasons` says why
    points have no usable value, `remarks` what else is not as it was asked for; `dropped` counts changes never told.
    `units` are the points that the instrument has in another unit than its profile.
    """
    standing = collector.standing(station)
    about, latest = station.instrument, station.latest
    points = {}
    for place, point in enumerate(about.quantities if latest else ()):
        value = latest.values[place] if latest else None
        flag = latest.flags.get(place) if latest else None
        points[point.name] = {"title": point.title, "unit": point.unit, "value": value, "flag": flag}
    return {
        "name": about.name,
        "title": about.title,
        "line": about.line,
        "protocol": about.protocol,
        "profile": about.profile,
        "unit": about.unit,
        "every": about.every,
        "state": "silent" if station.silent else "answering" if latest else "starting",
        "fault": station.fault or origins.fault(about.name),
        "simulated": origins.simulated.get(about.name),
        "at": latest.at if latest else None,
        "reads": station.reads,
        "failed": station.failed,
        "missed": collector.schedule.missed[station.instrument.name],
        "unsupported": list(standing.unsupported),
        "units": dict(standing.units),
        "rests": round(1000 * standing.rests),
        "reasons": dict(standing.reasons),
        "remarks": list(standing.remarks),
        "dropped": station.dropped,
        "seq": station.series.seq,
        "low": station.series.low,
        "points": points,
    }


def uplink(forwarder: Forwarder, quarantined: int) -> dict[str, object]:
    """Give how an uplink stands: stored = delivered + waiting + expired + quarantined."""
    return {
        "name": forwarder.uplink.name,
        "title": forwarder.uplink.title,
        "url": forwarder.uplink.url,
        "state": "online" if forwarder.online else "offline",
        "since": forwarder.since,
        "fault": forwarder.fault,
        "connection": forwarder.reader.state.connections,
        "delivered": forwarder.reader.delivered - quarantined,
        "waiting": forwarder.reader.waiting,
        "expired": forwarder.reader.state.expired,
        "quarantined": quarantined,
        "nobody": forwarder.counters.nobody,
        "refused": {f"0x{code:02X}": count for code, count in forwarder.counters.refused.items()},
        "sent_bytes": forwarder.counters.sent_bytes,
    }


def outbox(box: Outbox, site: Site, usage: tuple[int, int]) -> dict[str, object]:
    """Give the outbox's account: collected = stored + rejected + queued, since the agent started.

    `days_left` is how long an outage the disk holds, as records came so far; None while there are too few to tell.
    """
    size, rows = usage
    free = os.statvfs(site.gateway.data)
    room = min(site.outbox.max_size, size + free.f_bavail * free.f_frsize)
    rows_a_day = sum(_DAY_MS / each.every for each in site.instruments)
    return {
        "path": str(site.gateway.data),
        "epoch": box.epoch,
        "bytes": size,
        "max_size": site.outbox.max_size,
        "free_bytes": free.f_bavail * free.f_frsize,
        "days_left": round(room * rows / size / rows_a_day, 1) if rows >= _ENOUGH else None,
        "collected": box.collected,
        "stored": box.stored,
        "queued": box.queued,
        "rejected": box.rejected,
        "fault": box.fault,
    }


def account(box: Outbox, collectors: Iterable[Collector], uplinks: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Give the account that a clean stop ends with."""
    stations = [station for each in collectors for station in each.state.stations.values()]
    shown = ("delivered", "waiting", "expired", "quarantined")
    return {
        "collected": box.collected,
        "stored": box.stored,
        "rejected": box.rejected,
        "uplinks": {str(each["name"]): {key: each[key] for key in shown} for each in uplinks},
        "instruments": {
            each.instrument.name: {"stored": each.series.seq, "delivered": each.series.low - 1} for each in stations
        },
    }
