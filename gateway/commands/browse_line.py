"""How `scan` reaches an OPC UA server: through the agent of its site, else by a session of its own, secured as asked.

Without a word about security the best that the server offers is taken; none only where it offers nothing else, and
that is said. A server is trusted as on a line: by a fingerprint that a person compared, or by an authority.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from parkgate.config.language import say
from parkgate.config.line_checks import line_findings
from parkgate.config.site import Line, Secret, Security, Site
from parkgate.drivers.application import Application
from parkgate.drivers.faults import Unreachable, Unusable
from parkgate.gateway.commands.asked_line import agent_of

_BEST: Final[tuple[Security, ...]] = (
    "Aes256_Sha256_RsaPss/SignAndEncrypt",
    "Basic256Sha256/SignAndEncrypt",
    "Aes128_Sha256_RsaOaep/SignAndEncrypt",
    "Aes256_Sha256_RsaPss/Sign",
    "Basic256Sha256/Sign",
    "Aes128_Sha256_RsaOaep/Sign",
    "none",
)
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
_LONGEST = 26
_URI, _NAME = "urn:parkgate:scan", "Parkgate scan"


@dataclass(frozen=True, slots=True)
class Way:
    """How the server is reached: the line as it is secured, whose keys are used, the running agent if there is one.

    `remark` is what a person should know of it.
    """

    line: Line
    application: Application
    agent: Path | None = None
    remark: str = ""


async def way(arguments: argparse.Namespace, line: Line, site: Site | None) -> Way:
    """Choose how the server is reached.

    Raises:
        NotRunning: an agent may run but cannot be asked.
        Unreachable: the server does not answer, is not trusted, or offers nothing that can be used.
        Unusable: what was asked for does not go together.

    """
    if site is not None:
        return Way(line, Application.of(site.gateway), await asyncio.to_thread(agent_of, site))
    application = Application(_URI, _NAME, _home() / "opcua")
    secured = line.model_copy(update={"name": _named(line), **_login(arguments)})
    security = arguments.security or await _best(secured)
    secured = secured.model_copy(update={"security": security})
    _fit(secured)
    if security != "none":
        await _trusted(secured, application, arguments.fingerprint)
        return Way(secured, application)
    if arguments.fingerprint or (arguments.security is None and await _known(secured, application)):
        raise Unreachable(
            say("without security there is no certificate, and one was trusted here"),
            where=line.url,
            hint=say("Find out why the server no longer shows it. To read without all the same: --security none"),
        )
    if arguments.security is not None:
        return Way(secured, application, None, say("Without security, as asked for."))
    told = say("The server offers no security: nobody vouches for what comes, and all of it can be read.")
    return Way(secured, application, None, told)


def _home() -> Path:
    """Give the folder for what this user trusts and shows (XDG Base Directory Specification)."""
    told = os.environ.get("XDG_STATE_HOME", "")
    return (Path(told) if told.startswith("/") else Path.home() / ".local/state") / "parkgate"


def _named(line: Line) -> str:
    """Name a line after its host and port, so that what is trusted there is found again."""
    parts = urlsplit(line.url)
    return f"{_NO_WORD.sub('-', parts.hostname or '')[:_LONGEST].strip('-')}-{parts.port or 4840}"


def _login(arguments: argparse.Namespace) -> dict[str, object]:
    told: dict[str, object] = {}
    if arguments.user is not None:
        told["username"] = arguments.user
    if arguments.password_file is not None:
        told["password"] = Secret(file=arguments.password_file.absolute())
    if arguments.password_env is not None:
        told["password"] = Secret(env=arguments.password_env)
    if arguments.ca is not None:
        told["ca"] = arguments.ca.absolute()
    return told


async def _best(line: Line) -> Security:
    from parkgate.drivers.opcua import secure  # noqa: PLC0415  # OPC UA's library is large, and not everywhere

    offers = await secure.offered(line)
    found = next((each for each in _BEST if each in offers), None)
    if found is None:
        raise Unreachable(
            say("the server offers only {offers}", offers=", ".join(offers) or "-"),
            where=line.url,
            hint=say("Switch on one of these at the server: {names}", names=", ".join(get_args(Security))),
        )
    return found


def _fit(line: Line) -> None:
    for key, text in line_findings(line):
        hint = say("The server offers no security, or none was asked for: see --security.")
        raise Unusable(f"{key} {text}", where=line.url, hint=hint)


async def _known(line: Line, application: Application) -> bool:
    """Tell whether a certificate was trusted at this host and port: then the server has one to show."""
    from parkgate.drivers.opcua import certificates  # noqa: PLC0415  # as above

    return await asyncio.to_thread(certificates.pinned, application, line.name) is not None


async def _trusted(line: Line, application: Application, fingerprint: str | None) -> None:
    """Hold the server's certificate against what is trusted; trust it from now on if it has the fingerprint given."""
    from parkgate.drivers.opcua import certificates, secure  # noqa: PLC0415  # as above
    from parkgate.drivers.opcua.trust import grouped  # noqa: PLC0415  # as above

    shown = await secure.asked(line)
    if fingerprint is not None and fingerprint != shown.facts.fingerprint:
        raise Unreachable(
            say("not trusted: it does not have the fingerprint given, {shown}", shown=grouped(fingerprint)),
            where=line.url,
            hint=say("It has {shown}. Compare it with the server's display.", shown=grouped(shown.facts.fingerprint)),
        )
    if fingerprint is not None:
        await asyncio.to_thread(certificates.pin, application, line.name, shown.certificate)
    doubt = secure.doubted(line, line.url, shown, application, where=line.url)
    if doubt is not None:
        raise Unreachable(
            doubt.what,
            where=line.url,
            hint=say(
                "Compare it with the server's display, then: parkgate scan {url} --fingerprint {fingerprint}. Or read "
                "without: --security none",
                url=line.url,
                fingerprint=shown.facts.fingerprint,
            ),
        )
