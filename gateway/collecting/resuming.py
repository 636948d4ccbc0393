"""What totalisers stood at when the agent ended, read back from the outbox: differences go on behind a restart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from parkgate.config.site import Instrument
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

    Only from a snapshot of the same configuration: another unit would make a difference of its own. `source` is the
    gateway's.
    """
    wanted = {each.name: _revs(source, each) for each in instruments if derivers[each.name].remembers}
    last = outbox.newest
    oldest = max(0, last - MOST)
    while wanted and last > oldest:
        records = await outbox.read(max(oldest, last - ROWS), last, ROWS)
        for record in reversed(records):
            if isinstance(record, Record) and record.series.kind == "data" and record.series.instrument in wanted:
                stored = json.loads(record.body)
                if stored.get("history"):
                    continue  # stored last and older than what was counted: it would be counted again
                if stored["rev"] in wanted[record.series.instrument] and derivers[record.series.instrument].resume(
                    stored["values"]
                ):
                    del wanted[record.series.instrument]
        last = max(oldest, last - ROWS)


def _revs(source: str, instrument: Instrument) -> set[str]:
    """Give the `rev` that its snapshots have now, whether it says that it is simulated or not."""
    return {meta(f"{source}/{instrument.name}", instrument, simulated=simulated)[0] for simulated in (False, True)}
