"""`parkgate schema`: the AsyncAPI document, or the JSON Schema of one message."""

from __future__ import annotations

import argparse
import json

from parkgate.config.language import say
from parkgate.gateway.messages.schema import SCHEMAS, asyncapi, json_schema
from parkgate.gateway.status import version

HELP = "print the AsyncAPI document, or the JSON Schema of one message"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("message", nargs="?", choices=sorted(SCHEMAS), help=say("a message; without it, AsyncAPI"))
    parser.add_argument("--json", action="store_true", help=say("JSON; it is always JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Print the document."""
    document = json_schema(arguments.message) if arguments.message else asyncapi(version())
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
