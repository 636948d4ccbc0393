"""What `parkgate trust` does: shows certificates to a person, and keeps which server may be trusted on which line."""

from __future__ import annotations

import asyncio
import json as documents
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.config.site import Line, Site
from parkgate.drivers.application import Application
from parkgate.drivers.faults import Fault, Unusable
from parkgate.drivers.opcua import certificates, secure
from parkgate.drivers.opcua.trust import Facts, grouped, remarks

_YES = frozenset({"y", "yes", "是"})
_FILES = (OSError, ValueError)

Result = TypeVar("Result")


def listed(site: Site, *, json: bool) -> int:
    """Show our own certificate and what is trusted on each secured line."""
    application = Application.of(site.gateway)
    lines = [line for line in site.lines if _secured(line)]
    if not lines:
        return _said({"own": None, "lines": []}, say("no line of this site has security: nothing to trust"), json=json)
    own = _own(application)
    found = {line.name: _pinned(application, line) for line in lines}
    if json:
        told = [
            {
                "line": line.name,
                "security": line.security,
                "ca": str(line.ca) if line.ca else None,
                "trusted": _plain(pin),
            }
            for line, pin in zip(lines, found.values(), strict=True)
        ]
        return _said(
            {"own": {"file": str(application.certificate), **(_plain(own) or {})}, "lines": told}, "", json=True
        )
    console = _console()
    console.print(
        say("this gateway's own certificate, for the servers' administrators: {file}", file=application.certificate)
    )
    console.print(_grid(own))
    for line in lines:
        _show_line(console, line, found[line.name])
    return 0


def _show_line(console: Console, line: Line, pin: Facts | None) -> None:
    console.print(f"\n{line.name}  {line.url}  {line.security}")
    if line.ca is not None:
        console.print(say("  trusted: servers that {ca} vouches for", ca=line.ca))
    if pin is not None:
        console.print(say("  trusted: this certificate"))
        console.print(_grid(pin))
    elif line.ca is None:
        console.print(say("  no server is trusted yet: parkgate trust SITE {line}", line=line.name))


def removed(site: Site, line: Line, *, json: bool) -> int:
    """Trust the server of a line no longer: 1 if none was trusted."""
    was = _on_files(lambda: certificates.unpin(Application.of(site.gateway), line.name), line.name)
    said = say("no certificate was trusted for line {line}", line=line.name)
    if was:
        said = say("no longer trusted for line {line}; a connection that is open lasts until it ends", line=line.name)
    return _said({"line": line.name, "removed": was, "trusted": False}, said, json=json, code=0 if was else 1)


def trusted(site: Site, line: Line, fingerprint: str | None, *, json: bool) -> int:
    """Ask a server for its certificate, show it, and trust it if a person or the fingerprint says so: 1 if not."""
    try:
        return _trusted(site, line, fingerprint, json=json)
    except Fault as fault:
        if not json:
            raise
        said = {"what": fault.what, "where": fault.where, "next": fault.hint}
        return _said({"line": line.name, "fault": said, "trusted": False}, "", json=True, code=1)


def _trusted(site: Site, line: Line, fingerprint: str | None, *, json: bool) -> int:
    application = Application.of(site.gateway)
    if not _secured(line):
        raise Unusable(
            say("it has no security, so there is no certificate to trust"),
            where=f'line "{line.name}"',
            hint=say('Write its security into the site file first, as "Basic256Sha256/SignAndEncrypt".'),
        )
    shown = asyncio.run(secure.asked(line))
    pin = _pinned(application, line)
    notes = remarks(shown.facts, urlsplit(line.url).hostname or "", shown.uri, datetime.now(UTC))
    if not json:
        _show(line, shown, pin, notes)
    already = pin is not None and pin.fingerprint == shown.facts.fingerprint
    wanted = already if fingerprint is None else fingerprint == shown.facts.fingerprint
    if fingerprint is None and not already and not json:
        wanted = _agreed()
    if wanted and not already:
        _on_files(lambda: certificates.pin(application, line.name, shown.certificate), line.name)
    told = {
        "line": line.name,
        "certificate": _plain(shown.facts),
        "application": shown.uri,
        "remarks": list(notes),
        "before": pin.fingerprint if pin else None,
        "trusted": wanted,
    }
    said = _verdict(application, line, fingerprint, wanted=wanted, already=already) if not json else ""
    return _said(told, said, json=json, code=0 if wanted else 1)


def _show(line: Line, shown: secure.Presented, pin: Facts | None, notes: tuple[str, ...]) -> None:
    console = _console()
    console.print(f"{line.name}  {line.url}  {line.security}")
    console.print(_grid(shown.facts))
    for note in notes:
        console.print(say("  note: {note}", note=note))
    if pin is not None and pin.fingerprint != shown.facts.fingerprint:
        console.print(say("  trusted so far is another one: SHA-256 {shown}", shown=grouped(pin.fingerprint)))


def _verdict(application: Application, line: Line, fingerprint: str | None, *, wanted: bool, already: bool) -> str:
    if not wanted and fingerprint is not None:
        return say("not trusted: it does not have the fingerprint given, {shown}", shown=grouped(fingerprint))
    if not wanted:
        return say("not trusted")
    if already:
        return say("it is trusted already")
    return say(
        "trusted for line {line}; a running agent takes it within 10 s. The server must accept this gateway too: "
        "{file}, SHA-256 {shown}",
        line=line.name,
        file=application.certificate,
        shown=grouped(_own(application).fingerprint),
    )


def _agreed() -> bool:
    """Ask a person, who has the server's own display at hand; nobody is no."""
    print(say("Compare the fingerprint with the server's display. Trust it? (y/N) "), end="", flush=True)
    with suppress(EOFError):
        return input().strip().lower() in _YES
    print()
    return False


def _secured(line: Line) -> bool:
    return kind_of(line) == "opcua" and line.security not in {None, "none"}


def _own(application: Application) -> Facts:
    certificate, _ = secure.own(application, where=socket.gethostname())
    return certificates.facts(certificate)


def _pinned(application: Application, line: Line) -> Facts | None:
    return _on_files(lambda: certificates.pinned(application, line.name), line.name)


def _on_files(work: Callable[[], Result], line: str) -> Result:
    try:
        return work()
    except _FILES as error:
        raise Unusable(
            say("what is trusted can be neither read nor changed: {reason}", reason=secure.reason(error)),
            where=f'line "{line}"',
            hint=say("Run it as the agent's user: sudo -u parkgate parkgate trust …"),
        ) from error


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _grid(facts: Facts) -> Table:
    grid = Table.grid(padding=(0, 2))
    rows = {
        say("subject"): facts.subject,
        say("issuer"): facts.issuer,
        say("valid"): say("{begin} to {end}", begin=f"{facts.begins:%Y-%m-%d}", end=f"{facts.ends:%Y-%m-%d}"),
        say("application"): ", ".join(facts.uris) or "-",
        say("hosts"): ", ".join(facts.hosts) or "-",
        "SHA-256": grouped(facts.fingerprint),
        "SHA-1": grouped(facts.thumbprint),
    }
    for name, value in rows.items():
        grid.add_row(f"  {name}", value)
    return grid


def _plain(facts: Facts | None) -> Mapping[str, object] | None:
    if facts is None:
        return None
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "begins": facts.begins.isoformat(),
        "ends": facts.ends.isoformat(),
        "applications": list(facts.uris),
        "hosts": list(facts.hosts),
        "sha256": facts.fingerprint,
        "sha1": facts.thumbprint,
    }


def _said(told: Mapping[str, object], said: str, *, json: bool, code: int = 0) -> int:
    if json:
        print(documents.dumps(told, ensure_ascii=False, indent=2))
    elif said:
        print(said, file=sys.stderr if code else sys.stdout)
    return code
