"""What `parkgate probe` does on OPC UA: one read, and what the server said of every node beside what it is judged."""

from __future__ import annotations

from collections.abc import Collection
from zoneinfo import ZoneInfo

from parkgate.config.flag import Flag
from parkgate.config.site import Instrument, Line, Site
from parkgate.drivers.application import Application
from parkgate.drivers.opcua.probing import probe
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.asked_line import agent_of
from parkgate.gateway.commands.asked_space import asked_space
from parkgate.gateway.commands.probe_nodes_table import Probed
from parkgate.gateway.processing.validity import Judge


async def probed(site: Site, line: Line, instrument: Instrument) -> Probed:
    """Read an instrument once and judge it; through the agent that runs, if one does.

    Raises:
        Fault: nothing was read.

    """
    now = SystemClock().now
    async with asked_space(agent_of(site), line, Application.of(site.gateway)) as asked:
        found = await probe(asked, instrument, now)
    return Probed(found, Judge.of(instrument)(found.snapshot), line, now(), ZoneInfo(site.gateway.timezone))


def fine(found: Probed, points: Collection[str], wrong: Collection[Flag]) -> bool:
    """Tell whether nothing of these points needs a look."""
    flags = [found.snapshot.flags.get(index) for index, point in enumerate(found.probe.instrument.points)
             if point.name in points]  # fmt: skip
    return set(wrong).isdisjoint(flags)
