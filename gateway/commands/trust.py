"""`parkgate trust SITE [LINE]`: which OPC UA servers are trusted, and the certificate by which they trust us."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parkgate.config.language import say
from parkgate.config.load import load_site

HELP = "show this gateway's own OPC UA certificate and what it trusts; with a line, trust its server"
_DIGITS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("line", nargs="?", metavar="LINE", help=say("ask the server of this line for its certificate"))
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--fingerprint",
        type=fingerprint,
        metavar="SHA256",
        help=say("trust it without asking if it has this fingerprint, for scripts"),
    )
    which.add_argument("--remove", action="store_true", help=say("trust the server of this line no longer"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Show, ask and trust: 0, or 1 if the server is not trusted; 2 if there is no such line."""
    site = load_site(arguments.site)
    line = next((each for each in site.lines if each.name == arguments.line), None)
    if arguments.line is None and (arguments.fingerprint or arguments.remove):
        print(say("name the line whose server is meant"), file=sys.stderr)
        return 2
    if arguments.line is not None and line is None:
        known = ", ".join(each.name for each in site.lines)
        print(
            say(
                'there is no line "{name}" in {file}; known: {known}', name=arguments.line, file=site.path, known=known
            ),
            file=sys.stderr,
        )
        return 2
    from parkgate.gateway.commands import trusting  # noqa: PLC0415  # OPC UA's library is large, and not everywhere

    if line is None:
        return trusting.listed(site, json=arguments.json)
    if arguments.remove:
        return trusting.removed(site, line, json=arguments.json)
    return trusting.trusted(site, line, arguments.fingerprint, json=arguments.json)


def fingerprint(text: str) -> str:
    """Read a fingerprint however it is grouped."""
    digits = "".join(text.replace(":", " ").split()).upper()
    if len(digits) != _DIGITS or not set(digits) <= set("0123456789ABCDEF"):
        raise argparse.ArgumentTypeError(say("a SHA-256 fingerprint has 64 digits from 0 to F"))
    return digits
