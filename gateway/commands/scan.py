"""`parkgate scan URL` or `scan SITE LINE`: which units answer on a Modbus line, or what an OPC UA server holds."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of, line_findings
from parkgate.config.load import load_site
from parkgate.config.quantity import duration_ms
from parkgate.config.site import Line, Site
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.modbus.scanning import UNITS, Setting, scan, settings
from parkgate.gateway.commands import browse, browse_arguments
from parkgate.gateway.commands.asked_line import agent_of, asked_line, free_it
from parkgate.gateway.commands.scan_table import Round, Scanning, as_json, progress, show
from parkgate.gateway.commands.trace import Trace

HELP = "find what is on a line: Modbus unit ids, baud rate and parity; the variables of an OPC UA server, as a profile"
_HIGHEST_UNIT = 255
_TIMEOUT, _OPCUA_TIMEOUT = 200, 5_000
_SLOWEST, _FASTEST = 300, 4_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "target", metavar="URL|SITE", help=say("modbus-tcp://host, modbus-rtu:///dev/ttyS1 …, or a site file")
    )
    parser.add_argument("line", nargs="?", metavar="LINE", help=say("a line of the site file"))
    parser.add_argument("--units", type=_units, metavar="1-32", help=say("ask these units only"))
    parser.add_argument("--baudrate", type=_baudrate, metavar="N", help=say("try this baud rate only"))
    parser.add_argument("--parity", choices=("none", "even", "odd"), help=say("try this parity only"))
    parser.add_argument(
        "--timeout",
        type=_milliseconds,
        metavar="DURATION",
        help=say("how long to wait for each answer (200ms, OPC UA 5s)"),
    )
    parser.add_argument(
        "--all", action="store_true", help=say("go on with other baud rates where somebody has answered")
    )
    parser.add_argument("--trace", action="store_true", help=say("show every frame in hex with what it means"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))
    browse_arguments.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell who answers: 0, or 1 if nobody does; 2 if there is no such line. Ctrl-C ends it early."""
    given = _line(arguments)
    if isinstance(given, str):
        print(given, file=sys.stderr)
        return 2
    line, site = given
    opcua = kind_of(line) == "opcua"
    if wrong := browse_arguments.misplaced(arguments, opcua=opcua, of_site=site is not None):
        print(wrong, file=sys.stderr)
        return 2
    return browse.run(arguments, line, site) if opcua else _units_of(arguments, line, site)


def _units_of(arguments: argparse.Namespace, line: Line, site: Site | None) -> int:
    """Ask every unit of a Modbus line."""
    out = Console(highlight=False)
    seen = out if out.is_terminal else Console(stderr=True, highlight=False)
    trace = Trace(rtu=kind_of(line) != "tcp", console=None if arguments.json else out, on=arguments.trace)
    state = Scanning(line, arguments.units or UNITS)
    code = 0
    try:
        asyncio.run(_scan(state, site, arguments, trace, seen))
    except KeyboardInterrupt:
        code = 130
    except Unreachable as fault:
        print(free_it(fault) if site is None else fault, file=sys.stderr)
        code = 1
    if arguments.json:
        print(json.dumps({**as_json(state), **trace.as_json()}, ensure_ascii=False, indent=2))
    elif state.asked or not code:
        show(out, state)
    return code or (0 if any(each.found for each in state.rounds) else 1)


async def _scan(state: Scanning, site: Site | None, arguments: argparse.Namespace, trace: Trace, seen: Console) -> None:
    """Ask every unit at every setting, until somebody has answered at one.

    Raises:
        Unreachable: the line cannot be opened, whatever the setting, or went down.

    """
    agent = None if site is None else agent_of(site)
    tried = _settings(state.line, arguments, own=site is not None, fixed=agent is not None)
    closed: Unreachable | None = None
    with progress(state, seen, len(tried) * len(state.units)) as step:
        for setting in tried:
            line = state.line
            if setting is not None:
                line = line.model_copy(update={"baudrate": setting.baudrate, "parity": setting.parity})
            state.rounds.append(Round(setting))
            async with AsyncExitStack() as stack:
                try:
                    asked = await stack.enter_async_context(asked_line(agent, line, trace.traced))
                except Unreachable as fault:
                    closed, state.rounds[-1].refused = fault, fault.what
                    continue
                async for each in scan(asked, state.units):
                    state.rounds[-1].take(each)
                    step(each.unit)
            if state.rounds[-1].found and not arguments.all:
                return
    if closed is not None and not state.asked:
        raise closed


def _settings(line: Line, arguments: argparse.Namespace, *, own: bool, fixed: bool) -> Sequence[Setting | None]:
    """Give the settings of a port to try, a site's `own` first; None where there are none, or the agent has it open."""
    if kind_of(line) != "rtu" or fixed:
        return (None,)
    baudrates = [arguments.baudrate] if arguments.baudrate else ()
    parities = [arguments.parity] if arguments.parity else ()
    tried = tuple(settings(baudrates, parities))
    first = Setting(line.baudrate, line.parity)
    return (first, *(each for each in tried if each != first)) if own and not (baudrates or parities) else tried


def _line(arguments: argparse.Namespace) -> tuple[Line, Site | None] | str:
    """Give the line that is meant, and its site if it is of one; what to say where there is none."""
    if "://" in arguments.target:
        usual = _OPCUA_TIMEOUT if arguments.target.startswith("opc.tcp:") else _TIMEOUT
        line = Line(name="scan", url=arguments.target, timeout=arguments.timeout or usual)
        problems = [text for key, text in line_findings(line) if key == "url"]
        return problems[0] if problems else (line, None)
    site = load_site(Path(arguments.target))
    named = [each for each in site.lines if arguments.line in {None, each.name}]
    if len(named) != 1:
        return say(
            "say which line of {file}: {lines}", file=site.path, lines=", ".join(each.name for each in site.lines)
        )
    own = named[0].timeout if kind_of(named[0]) == "opcua" else _TIMEOUT
    return named[0].model_copy(update={"timeout": arguments.timeout or own}), site


def _units(text: str) -> Sequence[int]:
    """Read `1-32`, `3` or `1-8,17`."""
    found: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            units = range(int(first), int(last or first) + 1)
        except ValueError:
            units = range(0)
        if not units or units[0] < 0 or units[-1] > _HIGHEST_UNIT:
            raise argparse.ArgumentTypeError(say('"{text}" names no units from 0 to 255, such as 1-32', text=text))
        found |= dict.fromkeys(units)
    return tuple(found)


def _baudrate(text: str) -> int:
    if not text.isdecimal() or not _SLOWEST <= int(text) <= _FASTEST:
        raise argparse.ArgumentTypeError(say('"{text}" is no baud rate, such as 9600', text=text))
    return int(text)


def _milliseconds(text: str) -> int:
    try:
        return int(str(duration_ms(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            say('"{text}" is not a duration with its unit, such as "30s" or "10min"', text=text)
        ) from error
