"""Arguments that several verbs take."""

from __future__ import annotations

import argparse
import re

from parkgate.config.language import say
from parkgate.config.quantity import duration_ms
from parkgate.config.site import Uplink
from parkgate.config.site_checks import uplink_findings


def add_duration(parser: argparse.ArgumentParser) -> None:
    """Let a verb that runs until it is stopped take `--for DURATION`: `arguments.duration`, seconds or None."""
    parser.add_argument(
        "--for", dest="duration", type=_seconds, metavar="DURATION", help=say('stop by itself after this, as "10min"')
    )


def _seconds(text: str) -> float:
    try:
        return float(str(duration_ms(re.sub(r"(?<=\d)m$", "min", text)))) / 1000  # as people type it: 10m
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            say('"{text}" is not a duration with its unit, such as "30s" or "10min"', text=text)
        ) from error


def broker_url(text: str) -> str:
    """Take the URL of a broker, with or without `user:password@`, as an argument; what is none is a usage error."""
    bare = re.sub("//[^/]*@", "//", text, count=1)
    for _, problem in uplink_findings(Uplink(name="park", url=bare)):
        raise argparse.ArgumentTypeError(problem)
    return text
