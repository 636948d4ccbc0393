"""Arguments that several verbs take."""

from __future__ import annotations

import argparse

from parkgate.config.language import say
from parkgate.config.quantity import duration_ms


def add_duration(parser: argparse.ArgumentParser) -> None:
    """Let a verb that runs until it is stopped take `--for DURATION`: `arguments.duration`, seconds or None."""
    parser.add_argument(
        "--for", dest="duration", type=_seconds, metavar="DURATION", help=say('stop by itself after this, as "10min"')
    )


def _seconds(text: str) -> float:
    try:
        return float(str(duration_ms(text))) / 1000
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            say('"{text}" is not a duration with its unit, such as "30s" or "10min"', text=text)
        ) from error
