"""What a scenario says of states, troubles and ways to serve, held against its site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from parkgate.config.document import Place
from parkgate.config.explain import unknown_word
from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.site import Instrument, Site
from parkgate.simulator.device import set_by
from parkgate.simulator.episode import Condition
from parkgate.simulator.shapes import Span
from parkgate.simulator.trouble import KINDS, Trouble


class Serve(Model):
    """How a line is served: a Modbus line on TCP as its url says, as RTU over TCP, or as RTU on a pseudo-terminal.

    On a pseudo-terminal bytes take the time that `baudrate` gives them, 11 bits each. An OPC UA server with `security`
    offers the policies of a site file too, signed or also encrypted; its `certificate` may be expired; it keeps the
    `history` of every point for so long (ms), or none.
    """

    as_: Literal["tcp", "rtu-over-tcp", "pty"] = Field(alias="as", default="tcp")
    baudrate: Annotated[int, Field(ge=300, le=4_000_000)] = 9_600
    security: bool = False
    certificate: Literal["good", "expired"] = "good"
    history: Span | None = None


_OF_MODBUS = frozenset({"as_", "baudrate"})


def check_episodes(
    place: Place,
    site: Site,
    serve: Mapping[str, Serve],
    conditions: Mapping[int, Condition],
    troubles: Mapping[int, Trouble],
) -> None:
    """Report names that nobody has, states that no profile has, and troubles that cannot happen there."""
    lines = {each.name: each for each in site.lines}
    for name in serve:
        if name not in lines:
            place.at("serve", name).problem(unknown_word("line", name, lines))
        elif (given := serve[name].model_fields_set) and bool(given & _OF_MODBUS) != lines[name].url.startswith(
            "modbus"
        ):
            text = say('a Modbus line has "as" and "baudrate", an OPC UA line "security", "certificate" and "history"')
            place.at("serve", name).problem(text)
    for number, condition in conditions.items():
        _check_condition(place.at("state", number), site, condition)
    for number, trouble in troubles.items():
        _check_trouble(place.at("trouble", number), site, serve, trouble)


def _check_condition(place: Place, site: Site, condition: Condition) -> None:
    instrument = _instrument(place, site, condition.instrument)
    if instrument is None:
        return
    _check_points(place, instrument, (*condition.points, *condition.values))
    if not set_by(instrument, condition):
        flags = sorted({state.flag for state in instrument.states if state.equals})
        place.at("flag").problem(unknown_word("state", condition.flag, flags))


def _check_trouble(place: Place, site: Site, serve: Mapping[str, Serve], trouble: Trouble) -> None:
    kind = KINDS.get(trouble.kind)
    if kind is None:
        place.at("kind").problem(unknown_word("trouble", trouble.kind, KINDS))
        return
    protocols = {each.name: each.protocol for each in site.instruments}
    if trouble.instrument is not None:
        instrument = _instrument(place, site, trouble.instrument)
        if instrument is None:
            return
        _check_points(place, instrument, trouble.points)
        line, protocol = instrument.line, instrument.protocol
    elif trouble.line is not None:
        if trouble.line not in {each.name for each in site.lines}:
            place.at("line").problem(unknown_word("line", trouble.line, [each.name for each in site.lines]))
            return
        line = trouble.line
        protocol = next((protocols[each.name] for each in site.instruments if each.line == line), "modbus")
    else:
        if trouble.uplink not in {each.name for each in site.uplinks}:
            place.at("uplink").problem(unknown_word("uplink", trouble.uplink, [each.name for each in site.uplinks]))
        return
    if protocol not in kind.protocols:
        place.at("kind").problem(say("{protocol} does not know this trouble", protocol=protocol))
    elif protocol == "opcua" and trouble.line is None and "line" in kind.of:
        place.at("instrument").problem(say("over OPC UA this happens to a whole line: write line"))
    elif trouble.kind == "bad-crc" and serve.get(line, Serve()).as_ == "tcp":
        place.at("kind").problem(
            say('Modbus TCP has no CRC: serve the line as RTU, [serve.{line}] as = "pty"', line=line)
        )


def _instrument(place: Place, site: Site, name: str) -> Instrument | None:
    found = next((each for each in site.instruments if each.name == name), None)
    if found is None:
        place.at("instrument").problem(unknown_word("instrument", name, [each.name for each in site.instruments]))
    return found


def _check_points(place: Place, instrument: Instrument, names: tuple[str, ...]) -> None:
    known = [point.name for point in instrument.points]
    for name in names:
        if name not in known:
            place.at("points").problem(unknown_word("point", name, known))
