"""The instruments as they are described now: kept in the outbox before any row refers to it."""

from __future__ import annotations

from collections.abc import Sequence

from parkgate.config.site import Instrument
from parkgate.gateway.messages import encode
from parkgate.gateway.storing.outbox import Outbox

Description = tuple[str, str, bytes]
"""An instrument, its `rev`, and the payload that describes it."""


class Described:
    """The descriptions of a site's instruments; one that turns out to be another is described anew."""

    def __init__(self, source: str, instruments: Sequence[Instrument], outbox: Outbox) -> None:
        self._source = source
        self._outbox = outbox
        self._now = {each.name: self._meta(each) for each in instruments}
        self._in_use = list(self._now.values())
        self._kept = False

    def _meta(self, instrument: Instrument, *, simulated: bool = False) -> Description:
        rev, payload = encode.meta(f"{self._source}/{instrument.name}", instrument, simulated=simulated)
        return instrument.name, rev, payload

    async def keep(self) -> None:
        """Keep what this life's rows begin with.

        Raises:
            sqlite3.Error: the file takes nothing.

        """
        in_use, newest = list(self._in_use), self._outbox.newest
        await self._outbox.ask(lambda database: database.descriptions.keep(in_use, newest))
        self._kept = True

    async def anew(self, instrument: Instrument, *, simulated: bool = False) -> Description:
        """Describe an instrument otherwise from now on; queued rows may still refer to what it was before.

        What a full disk does not keep is kept later: the rows wait for the same room.
        """
        description = self._meta(instrument, simulated=simulated)
        if description not in self._in_use:
            self._in_use.append(description)
        self._kept = False
        await self._catch_up()
        self._now[instrument.name] = description
        return description

    def encoder(self, instrument: Instrument) -> encode.SnapshotEncoder:
        """Give the encoder of the snapshots that refer to an instrument's description of now."""
        name, rev, _ = self._now[instrument.name]
        return encode.SnapshotEncoder(f"{self._source}/{name}", self._outbox.epoch, rev, instrument)

    def rev(self, instrument: str) -> str:
        """Give what names an instrument's description of now; nothing of one that left the site."""
        return self._now[instrument][1] if instrument in self._now else ""

    async def needed(self, position: int) -> Sequence[Description]:
        """Give the descriptions that rows after row `position` refer to: past ones first, then today's."""
        await self._catch_up()
        past = await self._outbox.ask(lambda database: database.descriptions.needed(position))
        today = list(self._now.values())
        in_use = {each[:2] for each in today}
        return [*(each for each in past if each[:2] not in in_use), *today]

    async def left(self, uplink: str) -> dict[str, list[str]]:
        """Give the instruments that left the site, with their revs, that this uplink still holds retained."""
        cleared = await self._outbox.ask(lambda database: database.descriptions.cleared(uplink))
        left: dict[str, list[str]] = {}
        for name, rev in await self._outbox.ask(lambda database: database.descriptions.all()):
            if name not in self._now and name not in cleared:
                left.setdefault(name, []).append(rev)
        return left

    async def _catch_up(self) -> None:
        """Keep what is not kept yet."""
        if not self._kept:
            in_use, newest = list(self._in_use), self._outbox.newest
            kept = await self._outbox.write(lambda database: database.descriptions.keep(in_use, newest))
            self._kept = kept and len(in_use) == len(self._in_use)
