"""`parkgate check SITE`: every problem of a site file; `--online` is the commissioning check at the cabinet."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.problem import Problem, Problems
from parkgate.config.site import Site
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.cabinet_checks import MIB, outage_days
from parkgate.gateway.commands.commissioning import commission
from parkgate.gateway.commands.finding import Finding, Result, passed
from parkgate.gateway.commands.load_checks import as_json, told
from parkgate.gateway.commands.review import Review, review
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.messages.table import flag_words

HELP = "check a site file; with --online also the clock, the disk, every line, instrument and broker"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("--online", action="store_true", help=say("open every line and uplink and try them"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Check, print what was found, and tell whether it may run: 0, or 1 if there is a problem."""
    try:
        reviewed = review(arguments.site)
    except Problems as problems:
        return _refuse(arguments.site, problems, as_json=arguments.json)
    if not arguments.json:
        _print_review(reviewed)
    findings: Sequence[Finding] = ()
    if arguments.online:
        findings = asyncio.run(commission(reviewed, SystemClock(), Console(stderr=True)))
    if arguments.json:
        _print_json(arguments.site, reviewed, findings)
    elif arguments.online:
        _print_findings(Console(highlight=False), findings)
    return 0 if passed(findings) and not reviewed.overbooked else 1


def _refuse(site: Path, problems: Problems, *, as_json: bool) -> int:
    if as_json:
        listed = [_problem_as_json(each) for each in problems.problems]
        print(
            json.dumps({"file": str(site), "result": Result.PROBLEM, "problems": listed}, ensure_ascii=False, indent=2)
        )
        return 1
    print(problems, file=sys.stderr)
    count = len(problems.problems)
    print(say("{file}: problems found: {count}", file=site, count=count), file=sys.stderr)
    return 1


def _print_review(reviewed: Review) -> None:
    for warning in reviewed.warnings:
        print(say("warning: {warning}", warning=warning), file=sys.stderr)
    for problem in reviewed.overbooked:
        print(problem, file=sys.stderr)
    site, largest = reviewed.site, _largest(reviewed)
    counts = say(
        "{lines} lines, {instruments} instruments, {points} points, {requests} requests a cycle",
        lines=len(site.lines),
        instruments=len(site.instruments),
        points=reviewed.points,
        requests=reviewed.requests,
    )
    size = say(
        'largest snapshot {size} of {most} bytes (instrument "{name}")',
        size=reviewed.largest[largest],
        most=MAX_PAYLOAD,
        name=largest,
    )
    lines = [told(each, reviewed.loads[each.name]) for each in site.lines if each.name in reviewed.loads]
    print(_verdict(reviewed), counts, size, _outage(site), *lines, sep="\n  ")


def _verdict(reviewed: Review) -> str:
    if reviewed.overbooked:
        return say("{file}: problems found: {count}", file=reviewed.site.path, count=len(reviewed.overbooked))
    return say("{file}: no problems", file=reviewed.site.path)


def _outage(site: Site) -> str:
    """Say how long an outage the outbox's budget lasts for, and how much longer for safety instruments alone."""
    days, safety_days = outage_days(site)
    said = say(
        "max_size {most} MiB lasts for an outage of {days} days ({daily} MiB a day)",
        most=site.outbox.max_size // MIB,
        days=round(days, 1),
        daily=round(site.outbox.max_size / days / MIB, 1),
    )
    if safety_days is None or safety_days == days:
        return said
    return said + say("; readings of safety instruments for {days} days", days=round(safety_days, 1))


def _largest(reviewed: Review) -> str:
    return max(reviewed.largest, key=lambda name: reviewed.largest[name])


def _print_json(site: Path, reviewed: Review, findings: Sequence[Finding]) -> None:
    largest = _largest(reviewed)
    document = {
        "file": str(site),
        "result": Result.OK if passed(findings) and not reviewed.overbooked else Result.PROBLEM,
        "problems": [_problem_as_json(each) for each in reviewed.overbooked],
        "warnings": [_problem_as_json(each) for each in reviewed.warnings],
        "lines": len(reviewed.site.lines),
        "instruments": len(reviewed.site.instruments),
        "points": reviewed.points,
        "requests": reviewed.requests,
        "largest": {"instrument": largest, "bytes": reviewed.largest[largest], "allowed": MAX_PAYLOAD},
        "outage_days": round(outage_days(reviewed.site)[0], 1),
        "loads": [as_json(each) for each in reviewed.loads.values()],
        "online": [each.as_json() for each in findings],
    }
    print(json.dumps(document, ensure_ascii=False, indent=2))


def _problem_as_json(problem: Problem) -> dict[str, object]:
    return {"file": str(problem.file), "line": problem.line, "subject": problem.subject, "text": problem.text}


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (say("what"), say("where"), say("result")):
        table.add_column(column, overflow="fold")
    table.add_column(say("found, and what to do next"), overflow="fold", ratio=1)
    for each in findings:
        said = say("{found}. {advice}", found=each.found, advice=each.advice) if each.advice else each.found
        table.add_row(_kind(each), Text(each.where), _result(each.result), Text(said))
    console.print(table)
    if any(each.readings for each in findings):
        console.print()
        console.print(_values(findings))


def _values(findings: Sequence[Finding]) -> Table:
    """Give what every instrument measures now, one row a point, to be compared with the displays."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (say("instrument"), say("point")):
        table.add_column(column, overflow="fold")
    table.add_column(say("value"), justify="right", overflow="fold")
    for column in (say("unit"), say("flag"), ""):
        table.add_column(column, overflow="fold")
    words = flag_words()
    for finding in findings:
        for place, each in enumerate(finding.readings):
            cells = (
                "" if place else finding.where,
                each.name,
                "-" if each.value is None else str(each.value),
                each.unit,
                words.get(each.flag, each.flag),
                each.title,
            )
            table.add_row(*map(Text, cells), style="yellow" if each.flag else "")
    return table


def _kind(finding: Finding) -> str:
    kinds = {
        "clock": say("clock"),
        "data": say("data folder"),
        "disk": say("disk"),
        "agent": say("agent"),
        "outbox": say("outbox"),
        "line": say("line"),
        "instrument": say("instrument"),
        "points": say("points"),
        "uplink": say("uplink"),
    }
    return kinds[finding.what]


def _result(result: Result) -> Text:
    words = {Result.OK: say("ok"), Result.WARNING: say("warning"), Result.PROBLEM: say("problem")}
    styles = {Result.OK: "green", Result.WARNING: "yellow", Result.PROBLEM: "red"}
    return Text(words[result], style=styles[result])
