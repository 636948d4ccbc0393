"""What a site's parts must be beyond their types. Pure: keys and sentence out; the file and its lines are load.py's."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from parkgate.config.language import say
from parkgate.config.problem import shown, suggestion
from parkgate.config.resolve import Entry
from parkgate.config.site import Gateway, Instrument, Line, Uplink

Finding = tuple[str, str]
"""A key of the thing checked, and what is wrong there."""

PROTOCOLS = {"modbus-tcp": "modbus", "opc.tcp": "opcua"}
"""The schemes of a line's URL that this version opens, and the protocol that a profile on it has."""

_BROKERS = ("mqtt", "mqtts")
_SOCKET = "/control.sock"
_SOCKET_BYTES = 100
_SHORTEST_MS = 5
_LONGEST_MS = 3_600_000
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


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
    url = _split(uplink.url)
    if "@" in uplink.url:
        yield "url", say("must not hold a user or password; give username and password as keys of their own")
    elif url is None or url.scheme not in _BROKERS or not _plain(url) or url.path.strip("/"):
        text = say(
            '"{url}" is not the URL of a broker; write mqtt://host or mqtts://host, with :port if it is another',
            url=shown(_without_user(uplink.url)),
        )
        yield "url", text
    elif url.scheme == "mqtt":
        for key in ("ca", "cert", "key"):
            if getattr(uplink, key) is not None:
                yield key, say("goes only with mqtts://; change the URL or leave it out")
    for key, other in (("cert", "key"), ("key", "cert")):
        if getattr(uplink, key) is None and getattr(uplink, other) is not None:
            yield key, say("is missing; a certificate and its key go together")
    if uplink.password is not None and uplink.username is None:
        yield "username", say("is missing; a password needs it")
    if uplink.password is not None and len(uplink.password.model_dump(exclude_none=True)) != 1:
        text = say('needs exactly one of credential, file and env, as {{ credential = "park-password" }}')
        yield "password", text


def line_findings(line: Line) -> Iterator[Finding]:
    """Give what is wrong with a line's URL and its security."""
    url = _split(line.url)
    if url is None or url.scheme not in PROTOCOLS:
        text = say(
            '"{url}" is not the URL of a line; this version opens modbus-tcp://host:502 and opc.tcp://host:4840/path',
            url=shown(_without_user(line.url)),
        )
        yield "url", text
    elif not _plain(url) or (url.scheme == "modbus-tcp" and url.path.strip("/")):
        text = say(
            '"{url}" needs a host name or address and at most a port, as {scheme}://10.0.0.9:{port}',
            url=shown(_without_user(line.url)),
            scheme=url.scheme,
            port=502 if url.scheme == "modbus-tcp" else 4840,
        )
        yield "url", text
    elif url.scheme == "opc.tcp" and line.security is None:
        yield "security", say('is missing; this version opens OPC UA unsecured, so write security = "none" on purpose')
    elif url.scheme == "modbus-tcp" and line.security is not None:
        yield "security", say("Modbus has no security to choose; leave it out")


def entry_findings(entry: Entry, lines: Sequence[str]) -> Iterator[Finding]:
    """Give what is wrong with an instrument's entry before its profile is known."""
    if entry.line not in lines:
        yield "line", say('there is no line "{line}"', line=shown(entry.line)) + suggestion(entry.line, lines)
    if not _SHORTEST_MS <= entry.every <= _LONGEST_MS:
        yield "every", say("must be at least 5 ms and at most 1 h")


def instrument_findings(instrument: Instrument, line: Line) -> Iterator[Finding]:
    """Give what is wrong with an instrument on its line: the profile must speak the line's protocol."""
    url = _split(line.url)
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


def _split(url: str) -> SplitResult | None:
    """Split a URL; None if it is none, or its port is no number from 1 to 65535."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return None if port == 0 else parts


def _plain(url: SplitResult) -> bool:
    """Tell whether a URL has a host, and neither a user, a query nor a fragment."""
    host = url.hostname or ""
    return bool(_HOST.fullmatch(host)) and "@" not in url.netloc and not url.query and not url.fragment


def _without_user(url: str) -> str:
    """Leave out the user and password that someone wrote into a URL: messages end up in logs."""
    return re.sub(r"//[^/]*@", "//…@", url)
