"""The command `parkgate`: finds its verbs by the entry-point group `parkgate.commands` and runs the one asked for.

A verb is a module with `HELP`, `add_arguments(parser)` and `run(arguments) -> exit code`. Only the module of the verb
asked for is imported, so that `run` stays small. Exit codes: 0 fine, 1 problems found, 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper
from typing import Protocol, cast

from parkgate.config.language import say
from parkgate.config.problem import Problems
from parkgate.drivers.faults import Fault

PROBLEMS = 1
ORDER = (
    "demo", "check", "run", "status", "alarms", "window", "trail", "watch", "probe", "explain", "scan", "trust",
    "simulate", "judge", "schema",
)  # fmt: skip


class Verb(Protocol):
    """What a verb's module offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and give the exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; problems and faults are printed for people, never as a traceback."""
    _say_anything()
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbs = {each.name: each for each in entry_points(group="parkgate.commands")}
    chosen = {words[0]: verbs[words[0]]} if words and words[0] in verbs else verbs
    parsed = _parser(chosen).parse_args(words)
    try:
        return int(parsed.verb.run(parsed))
    except Problems as problems:
        print(problems, file=sys.stderr)
    except Fault as fault:
        print(fault, file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; Python would complain of it at exit
    except KeyboardInterrupt:
        return 130
    return PROBLEMS


def _say_anything() -> None:
    """Let what a terminal has no sign for be written as an escape, as JSON has it too: a device may name it so."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser(verbs: dict[str, EntryPoint]) -> argparse.ArgumentParser:
    about = say("The edge collector for chemical parks.")
    parser = argparse.ArgumentParser(prog="parkgate", description=about, allow_abbrev=False)
    subparsers = parser.add_subparsers(metavar=say("VERB"), required=True)
    for name in sorted(verbs, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        verb = cast("Verb", verbs[name].load())
        sentence = say(verb.HELP)
        subparser = subparsers.add_parser(name, help=sentence, description=sentence, allow_abbrev=False)
        verb.add_arguments(subparser)
        subparser.set_defaults(verb=verb)
    return parser


if __name__ == "__main__":
    sys.exit(main())
