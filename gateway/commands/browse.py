"""What `parkgate scan` does on OPC UA: browses a server as a tree, and writes a profile of what was chosen."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.site import Line, Site
from parkgate.drivers.faults import Fault, Unusable
from parkgate.drivers.opcua.drafting import usable
from parkgate.drivers.opcua.looking import look
from parkgate.drivers.opcua.space import OBJECTS, Walk, explore
from parkgate.gateway.commands.asked_space import asked_space
from parkgate.gateway.commands.browse_arguments import MOST, Chosen, ask
from parkgate.gateway.commands.browse_choice import numbers
from parkgate.gateway.commands.browse_line import way
from parkgate.gateway.commands.browse_profile import drafted, entries
from parkgate.gateway.commands.browse_tree import Space, as_json, lines, remarks, summary

PATIENCE = 2.0
"""Seconds after which a terminal shows how far it is."""
_INTERRUPTED = 130
Step = Callable[[str, int, int], None]
"""Told after each question: what is done, how many of it are, and how many still wait."""


def run(arguments: argparse.Namespace, line: Line, site: Site | None) -> int:
    """Browse, show and write: 0, or 1 if nothing was found or nothing could be written. Ctrl-C ends it early."""
    if arguments.write is not None and arguments.write.exists() and not arguments.force:
        print(say("{file} is there already; replace it with --force", file=arguments.write), file=sys.stderr)
        return 2
    space = Space(Walk(arguments.start or OBJECTS, arguments.depth, arguments.most or MOST))
    space.meant = arguments.filter or space.meant
    done = _Done(line)
    try:
        done.line = asyncio.run(_browse(space, arguments, line, site))
        if not space.variables:
            done.code = 1
        done.shown = not arguments.json and _show(space, line.url, filtered=arguments.filter is not None)
        if arguments.write is not None and space.variables:
            done.written = _write(space, arguments, done.line, site)
    except KeyboardInterrupt:
        done.code = _INTERRUPTED
    except Fault as fault:
        done.code, done.fault = 1, fault
    _tell(space, done, arguments)
    return done.code


@dataclass(slots=True)
class _Done:
    """What a scan came to: the line as it was reached, exit code, the fault that ended it, what was written."""

    line: Line
    code: int = 0
    fault: Fault | None = None
    written: Mapping[str, object] = field(default_factory=dict)
    shown: bool = False


async def _browse(space: Space, arguments: argparse.Namespace, line: Line, site: Site | None) -> Line:
    """Walk the tree and look at the variables that are meant; give the line as it was reached.

    Raises:
        Fault: the server cannot be reached, or was lost; what was found until then is in `space`.

    """
    found = await way(arguments, line, site)
    if found.remark:
        space.remarks.append(found.remark)
    with progress(Console(stderr=True, highlight=False)) as step:
        async with asked_space(found.agent, found.line, found.application) as asked:
            walk = space.walk
            await explore(asked, walk, lambda left: step(say("browsed"), walk.browsed, left))
            nodes = space.nodes()
            await look(asked, nodes, space.take, lambda left: step(say("read"), len(nodes) - left, left))
    return found.line


@contextmanager
def progress(console: Console, now: Callable[[], float] = monotonic) -> Iterator[Step]:
    """Show on a terminal how far a scan is, once that takes long; give what is to be called after each question."""
    began = now()
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with ExitStack() as stack:
        bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        task = bar.add_task("")

        def step(what: str, done: int, left: int) -> None:
            bar.update(task, description=what, completed=done, total=done + left)
            if not bar.live.is_started and now() - began >= PATIENCE:
                stack.enter_context(bar)

        yield step


def _show(space: Space, url: str, *, filtered: bool) -> bool:
    """Print the tree and what it comes to; it is shown then."""
    console = Console(highlight=False)
    for line in lines(space, filtered=filtered):
        console.print(line, soft_wrap=True)
    console.print(Text(summary(space, where=url)), soft_wrap=True)
    return True


def _write(space: Space, arguments: argparse.Namespace, line: Line, site: Site | None) -> Mapping[str, object]:
    """Write the profile of what was chosen; give what to say of it.

    Raises:
        Unusable: nothing can be written, or not there.

    """
    file: Path = arguments.write
    chosen: Chosen = arguments.choose or ask
    if chosen is ask and arguments.choose is not None:
        chosen = _asked()
    variables = [each for number, each in sorted(space.variables.items()) if chosen(number)]
    text = drafted(variables, name=file.stem, url=line.url)
    try:
        with file.open("w" if arguments.force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise Unusable(
            say("the profile cannot be written: {reason}", reason=error.strerror or error),
            where=str(file),
            hint=say("Write it into a folder of yours."),
        ) from error
    refused = sum(bool(usable(each)) for each in variables)
    added = entries(line, site, name=file.stem, profile=file.stem)
    return {"file": str(file), "points": len(variables) - refused, "unsupported": refused, "site": added}


def _asked() -> Chosen:
    """Ask a person for the numbers, until they are some; nobody, or nothing said, is all."""
    while True:
        print(say("Which? (1-12,17; Enter for all) "), end="", flush=True)
        text = ""
        with suppress(EOFError):
            text = input().strip()
        try:
            return numbers(text) if text else ask
        except ValueError as error:
            print(error)


def _tell(space: Space, done: _Done, arguments: argparse.Namespace) -> None:
    """Say what became of it: for machines all in one document, for people what they have not read yet."""
    if arguments.json:
        told = {"url": done.line.url, "security": done.line.security, **as_json(space)}
        if done.written:
            told["written"] = done.written
        if done.fault is not None:
            told["fault"] = {"what": done.fault.what, "where": done.fault.where, "next": done.fault.hint}
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return
    if space.walk.root is not None and not done.shown:
        _show(space, done.line.url, filtered=arguments.filter is not None)
    for each in (*space.remarks, *remarks(space)):
        print(each, file=sys.stderr)
    if done.fault is not None:
        print(done.fault, file=sys.stderr)
    if written := done.written:
        told_ = say("{file}: {points} points, {refused} that are not supported stand there as comments.",
                    file=written["file"], points=written["points"], refused=written["unsupported"])  # fmt: skip
        print(told_)
        print(say("Put it beside the site file, and add there:"))
        print(f"\n{written['site']}")
