"""What totalisers stood at when the agent ended, read back from the outbox: differences go on behind a restart."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.gateway.messages.changes import read
from parkgate.gateway.messages.encode import meta
from parkgate.gateway.processing.derive import Deriver
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.outbox import Outbox

ROWS, MOST = 500, 10_000
"""Rows that are read at once, and how far back the last reading is looked for: an hour of a large site."""


async def resume(
    source: str, instruments: Iterable[Instrument], derivers: Mapping[str, Deriver], outbox: Outbox
) -> None:
    """Let the derived points that count from their last reading go on from the newest stored one.

    Only from a snapshot of the same configuration, whatever its server told besides: another unit would make a
    difference of its own. `source` is the gateway's.
    """
    about = {each.name: each for each in instruments if derivers[each.name].remembers}
    wanted = {name: _revs(source, each) for name, each in about.items()}
    others: dict[tuple[str, str], bool] = {}
    last = outbox.newest
    oldest = max(0, last - MOST)
    while wanted and last > oldest:
        records = await outbox.read(max(oldest, last - ROWS), last, ROWS)
        for record in reversed(records):
            if isinstance(record, Record) and record.series.kind == "data" and record.series.instrument in wanted:
                stored, name = json.loads(record.body), record.series.instrument
                if stored.get("history"):
                    continue  # stored last and older than what was counted: it would be counted again
                if (key := (name, stored["rev"])) not in others:
                    others[key] = key[1] in wanted[name] or await _differs_by_what_was_told(*key, about[name], outbox)
                if others[key] and derivers[name].resume(stored["values"]):
                    del wanted[name]
        last = max(oldest, last - ROWS)


async def _differs_by_what_was_told(name: str, rev: str, now: Instrument, outbox: Outbox) -> bool:
    """Tell whether a `rev` of an instrument names what it is configured as now, and what its server told of points."""
    text = await outbox.ask(lambda database: database.trail.text(name, rev))
    return text is not None and _alike(text, now)


def _alike(text: str, now: Instrument) -> bool:
    """Tell whether a configuration is that of now, but for ranges and units that only its server can have told.

    The unit of what is counted is none of these.
    """
    said = dict(read(text))
    said.pop("simulated", None)
    try:
        before = Instrument.model_validate(said)
    except ValueError:
        return False  # an older version's
    counted = {each.point for derived in now.derived for each in derived.inputs if not each.instrument}
    configured = {each.name: each for each in now.points}
    points = tuple(_without(each, configured.get(each.name), counted) for each in before.points)
    return before.model_copy(update={"points": points}) == now


def _without(point: Point, configured: Point | None, counted: Collection[str]) -> Point:
    """Give a point without what its server told of it."""
    told: dict[str, object] = {}
    if configured is not None and configured.range is None:
        told["range"] = None
    if configured is not None and not configured.unit and point.name not in counted:
        told["unit"] = ""
    return point.model_copy(update=told)


def _revs(source: str, instrument: Instrument) -> set[str]:
    """Give the `rev` that its snapshots have now, whether it says that it is simulated or not."""
    return {meta(f"{source}/{instrument.name}", instrument, simulated=simulated)[0] for simulated in (False, True)}
