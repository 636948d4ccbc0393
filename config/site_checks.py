"""What a site's parts must be beyond their types. Pure: keys and sentence out; the file and its lines are load.py's."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping, Sequence

from parkgate.config.language import say
from parkgate.config.line_checks import PROTOCOLS, Finding, kind_of
from parkgate.config.login_checks import login_findings
from parkgate.config.problem import shown, suggestion
from parkgate.config.resolve import Entry
from parkgate.config.site import Gateway, Instrument, Line, Uplink
from parkgate.config.urls import plain, split, without_user

_BROKERS = ("mqtt", "mqtts")
_SOCKET = "/control.sock"
_SOCKET_BYTES = 100
_SHORTEST_MS = 5
_LAST_UNIT = 247  # MODBUS over Serial Line V1.02, 2.2
_LONGEST_MS = 3_600_000


def gateway_findings(gateway: Gateway) -> Iterator[Finding]:
    """Give what is wrong with `[gateway]`: its data path must hold a Unix socket, its time zone must exist."""
    path = f"{gateway.data}{_SOCKET}"
    length = len(path.encode(errors="surrogateescape"))
    if length > _SOCKET_BYTES:
        text = say(
            "the control socket {path} would be {length} bytes long; choose a folder that makes it {most} at most",
            path=shown(path),
            length=length,
            most=_SOCKET_BYTES,
        )
        yield "data", text
    if "\0" in path:
        yield "data", say("must be a path without control characters")
    try:
        zoneinfo.ZoneInfo(gateway.timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a relative path, a folder such as "Asia"
        text = say('unknown time zone "{zone}"', zone=shown(gateway.timezone))
        yield "timezone", text + suggestion(gateway.timezone, zoneinfo.available_timezones())


def uplink_findings(uplink: Uplink) -> Iterator[Finding]:
    """Give what is wrong with an uplink's URL, its password and its certificates."""
    url = split(uplink.url)
    if "@" in uplink.url:
        yield "url", say("must not hold a user or password; give username and password as keys of their own")
    elif url is None or url.scheme not in _BROKERS or not plain(url) or url.path.strip("/"):
        text = say(
            '"{url}" is not the URL of a broker; write mqtt://host or mqtts://host, with :port if it is another',
            url=shown(without_user(uplink.url)),
        )
        yield "url", text
    elif url.scheme == "mqtt":
        for key in ("ca", "cert", "key"):
            if getattr(uplink, key) is not None:
                yield key, say("goes only with mqtts://; change the URL or leave it out")
    yield from login_findings(uplink)


def entry_findings(entry: Entry, lines: Sequence[str]) -> Iterator[Finding]:
    """Give what is wrong with an instrument's entry before its profile is known."""
    if entry.line not in lines:
        yield "line", say('there is no line "{line}"', line=shown(entry.line)) + suggestion(entry.line, lines)
    if not _SHORTEST_MS <= entry.every <= _LONGEST_MS:
        yield "every", say("must be at least 5 ms and at most 1 h")


def instrument_findings(instrument: Instrument, line: Line) -> Iterator[Finding]:
    """Give what is wrong with an instrument on its line: the profile must speak the line's protocol."""
    url = split(line.url)
    spoken = PROTOCOLS.get(url.scheme) if url else None
    if spoken is not None and spoken != instrument.protocol:
        text = say(
            'profile "{profile}" is for {protocol}, but line "{line}" speaks {spoken}; choose another of either',
            profile=instrument.profile,
            protocol=instrument.protocol,
            line=line.name,
            spoken=spoken,
        )
        yield "profile", text
    yield from _acquisition_findings(instrument)
    if kind_of(line) in {"rtu", "rtu-over-tcp"} and not 1 <= instrument.unit <= _LAST_UNIT:
        yield "unit", say("must be 1 to 247 on a serial line: 0 speaks to all, and nobody answers")
    if instrument.heartbeat is not None and instrument.heartbeat <= instrument.every:
        text = say(
            'profile "{profile}" gives its heartbeat {limit} ms to change, which must be longer than the period of the '
            "readings; read it more often, or copy the profile and give its heartbeat a longer limit",
            profile=instrument.profile,
            limit=instrument.heartbeat,
        )
        yield "every", text
    limits = {each.name: each.unchanged for each in instrument.points if each.unchanged is not None}
    if short := [name for name, limit in limits.items() if limit <= instrument.every]:
        text = say(
            "{points}: unchanged must be longer than {every} ms, the period of the readings; better several times that",
            points=", ".join(short),
            every=instrument.every,
        )
        yield "points", text


def _acquisition_findings(instrument: Instrument) -> Iterator[Finding]:
    """Give what is wrong with how an instrument's values come."""
    if instrument.protocol == "modbus" and instrument.acquisition != "read":
        yield "acquisition", say("Modbus has no subscriptions; leave it out")
    if instrument.sampling is None:
        return
    if instrument.acquisition == "read":
        yield "sampling", say('goes only with acquisition = "subscription"; leave it out')
    elif instrument.sampling > instrument.every:
        yield "sampling", say("must not be longer than every, {every} ms", every=instrument.every)


def name_findings(names: Sequence[str | None]) -> Iterator[tuple[int, str]]:
    """Give the index of each name that stands there before already."""
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield index, say('"{name}" stands there twice; names must differ', name=shown(name))


def unit_findings(instruments: Mapping[int, Instrument]) -> Iterator[tuple[int, str]]:
    """Give the index of each that shares a Modbus unit of a line with an earlier one: allowed, but mostly a slip."""
    first: dict[tuple[str, int], str] = {}
    for index, each in instruments.items():
        if each.protocol != "modbus":
            continue
        if (earlier := first.setdefault((each.line, each.unit), each.name)) != each.name:
            text = say(
                'instrument "{other}" on line "{line}" has unit {unit} too; check the unit if they are two devices',
                other=earlier,
                line=each.line,
                unit=each.unit,
            )
            yield index, text
