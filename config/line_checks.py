"""What a site's lines must be beyond their types: their URLs, and the keys that go with each kind. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal
from urllib.parse import SplitResult

from parkgate.config.language import say
from parkgate.config.login_checks import login_findings
from parkgate.config.problem import shown
from parkgate.config.profile import Protocol
from parkgate.config.site import Instrument, Line
from parkgate.config.urls import plain, split, without_user

Finding = tuple[str, str]
"""A key of the thing checked, and what is wrong there."""

Kind = Literal["tcp", "rtu", "rtu-over-tcp", "opcua"]
KINDS: Mapping[str, Kind] = {
    "modbus-tcp": "tcp",
    "modbus-rtu": "rtu",
    "modbus-rtu-over-tcp": "rtu-over-tcp",
    "opc.tcp": "opcua",
}
"""The schemes of a line's URL, and the kind of line that each means."""

PROTOCOLS: Mapping[str, Protocol] = {scheme: "opcua" if kind == "opcua" else "modbus" for scheme, kind in KINDS.items()}
"""The protocol that a profile on a line of a scheme has."""

_EXAMPLES: Mapping[Kind, str] = {
    "tcp": "modbus-tcp://10.0.0.9:502",
    "rtu": "modbus-rtu:///dev/ttyS1",
    "rtu-over-tcp": "modbus-rtu-over-tcp://10.0.0.9:4001",
    "opcua": "opc.tcp://10.0.0.9:4840",
}
_SERIAL, _OVER_TCP = frozenset({"baudrate", "parity", "stopbits", "rs485", "echo"}), frozenset({"rs485"})
_LOGIN = ("username", "password", "ca", "cert", "key")
_MISPLACED: Mapping[Kind, Collection[str]] = {
    "tcp": _SERIAL.union(_LOGIN),
    "rtu": _LOGIN,
    "rtu-over-tcp": _OVER_TCP.union(_LOGIN),
    "opcua": _SERIAL | {"pause"},
}
"""The keys that mean nothing on a kind of line. A serial line behind a network still has its baud rate."""


def kind_of(line: Line) -> Kind | None:
    """Tell what kind of line it is, None if its URL is of none."""
    url = split(line.url)
    return KINDS.get(url.scheme) if url else None


def line_findings(line: Line) -> Iterator[Finding]:
    """Give what is wrong with a line's URL, its security and the keys that do not go with its kind."""
    url, kind = split(line.url), kind_of(line)
    if url is None or kind is None:
        text = say(
            '"{url}" is not the URL of a line; write one like {examples}',
            url=shown(without_user(line.url)),
            examples=", ".join(_EXAMPLES.values()),
        )
        yield "url", text
        return
    if not _whole(url, kind):
        text = say(
            '"{url}" is not whole; write it like {example}', url=shown(without_user(line.url)), example=_EXAMPLES[kind]
        )
        yield "url", text
    for key in sorted(line.model_fields_set & frozenset(_MISPLACED[kind])):
        yield key, say("means nothing on a line of {scheme}; leave it out", scheme=url.scheme)
    if kind == "opcua":
        yield from _security_findings(line)
    elif line.security is not None:
        yield "security", say("Modbus has no security to choose; leave it out")


def _security_findings(line: Line) -> Iterator[Finding]:
    """Give what is wrong with the security of an OPC UA line, which is never left out, and who logs in there."""
    if line.security is None:
        text = say('is missing; write "{strong}", or "none" on purpose', strong="Basic256Sha256/SignAndEncrypt")
        yield "security", text
    elif line.security == "none":
        for key in _LOGIN:
            if getattr(line, key) is not None:
                yield key, say('would not be safe with security = "none"; choose another, or leave this out')
        return
    if line.username is not None and line.cert is not None:
        yield "username", say("a user has either a password or a certificate; leave one of them out")
    yield from login_findings(line)


def _whole(url: SplitResult, kind: Kind) -> bool:
    """Tell whether a URL names what its kind needs: a device file; a host and, where none is usual, a port."""
    if kind == "rtu":
        return not url.netloc and len(url.path) > 1 and not url.query and not url.fragment
    if kind == "rtu-over-tcp" and url.port is None:
        return False
    return plain(url) and (kind == "opcua" or not url.path.strip("/"))


def shared_findings(lines: Mapping[int, Line], instruments: Collection[Instrument]) -> Iterator[tuple[int, str]]:
    """Give the index of each line that opens once more what another line has open already, beyond what it takes."""
    places: dict[str, list[int]] = {}
    for index, line in lines.items():
        url, kind = split(line.url), kind_of(line)
        if url is not None and kind not in {None, "opcua"}:
            place = url.path if kind == "rtu" else f"{url.hostname}:{url.port or 502}"
            places.setdefault(place, []).append(index)
    for place, sharing in places.items():
        names = {lines[index].name for index in sharing}
        serial = place.startswith("/")
        takes = 1 if serial else min((each.connections for each in instruments if each.line in names), default=1)
        for index in sharing[takes:]:
            text = say(
                'line "{other}" opens {place} already; put the instruments on that line',
                other=lines[sharing[0]].name,
                place=shown(place),
            )
            if not serial:
                text += say(
                    ", or say connections = {wanted} in the profile if the manual allows so many", wanted=len(sharing)
                )
            yield index, text
