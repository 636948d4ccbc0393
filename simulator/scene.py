"""A simulated park as it is now, as people see it: the live table, and its troubles. Prints nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from rich.console import Group
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.profile import Point
from parkgate.gateway.messages.table import Reading, Row, live_table
from parkgate.simulator.shapes import Value
from parkgate.simulator.trouble import Trouble
from parkgate.simulator.world import World

KEYS = "123456789abcdefghijklmnopqrstuvwxyz"
"""What switches the scenario's troubles, by their places."""


def rows(world: World, now_ms: int) -> tuple[Row, ...]:
    """Give the park's instruments as rows: what they show now, and what of it may not be used."""
    found = []
    for name, device in world.devices.items():
        flags, values = {**device.flags(), **world.spoilt(name)}, device.values()
        readings = tuple(
            Reading(p.name, p.title, _readable(p, values[p.name]), p.unit, min(flags.get(p.name, ()), default=""))
            for p in device.instrument.points
        )
        troubles = " ".join(each.kind for each in world.of_instrument(name))
        protocol = "OPC UA" if device.instrument.protocol == "opcua" else "Modbus"
        title = f"! {troubles}" if troubles else device.instrument.title
        found.append(Row(name, title, protocol, readings, now_ms))
    return tuple(found)


def scene(world: World, urls: Mapping[str, str], now_ms: int, *, keys: bool) -> Group:
    """Give the park at this moment; `keys` names those that switch its troubles."""
    table = live_table(rows(world, now_ms), now_ms, world.scenario.head.title)
    clock = say("scenario time {time}", time=_time(world))
    where = "  ".join(f"{name} {url}" for name, url in urls.items())
    parts: list[Table | Text] = [table, Text(where, style="dim"), Text(clock, style="dim")]
    if world.scenario.troubles:
        parts.append(_troubles(world, keys=keys))
    return Group(*parts)


def _readable(point: Point, value: Value) -> Value:
    """Give a value as a gateway would send it; where the profile says nothing of digits, with six."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if point.digits is None else round(value, point.digits)


def _time(world: World) -> str:
    now = dt.datetime.fromtimestamp(world.now_ms / 1000, tz=world.scenario.head.start.tzinfo)
    return f"{now:%Y-%m-%d %H:%M:%S}"


def _troubles(world: World, *, keys: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for place, trouble in enumerate(world.scenario.troubles):
        on = trouble in world.troubles
        key = KEYS[place] if keys and place < len(KEYS) else ""
        state = Text(say("on"), style="bold red") if on else Text(say("off"), style="dim")
        table.add_row(Text(key, style="bold"), state, Text(trouble.whose), Text(trouble.kind), Text(_about(trouble)))
    return table


def _about(trouble: Trouble) -> str:
    """Give when it is on by itself, and what it is told."""
    when = f"{trouble.time}" if trouble.time is not None else f"{_span(trouble.at or 0)}"
    given = {"by": trouble.by and _span(trouble.by), "code": trouble.code, "registers": trouble.registers}
    given |= {"rate": trouble.rate and f"{trouble.rate} B/s", "points": " ".join(trouble.points)}
    details = "  ".join(f"{name} {value}" for name, value in given.items() if value)
    return "  ".join(filter(None, (f"{when} + {_span(trouble.for_)}", details)))


def _span(milliseconds: int) -> str:
    for size, unit in ((3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds / 1000:g} s"
