"""How `scan` shows what it finds: a bar while it asks, then a table of who answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.config.site import Line
from parkgate.drivers.modbus.scanning import Found, Setting

_FEW = 8
"""Units that may all be there; where more of them answer, nobody looks at the unit id."""


@dataclass(slots=True)
class Round:
    """One pass over the units of a line, at one setting of its port if it has any; `refused` is why it did not open."""

    setting: Setting | None
    refused: str = ""
    asked: int = 0
    found: list[Found] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)

    def take(self, each: Found) -> None:
        """Take what became of asking one unit."""
        self.asked += 1
        if each.there:
            self.found.append(each)
        elif each.unreadable:
            self.unreadable.append(each.unit)


@dataclass(slots=True)
class Scanning:
    """A scan under way: its line, the units to ask, and what was found so far."""

    line: Line
    units: Sequence[int]
    rounds: list[Round] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """Count the questions."""
        return sum(each.asked for each in self.rounds)


@contextmanager
def progress(state: Scanning, console: Console, steps: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a scan is and whom it found; give what is to be called after each unit."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps)

        def step(unit: int) -> None:
            found = _runs([each.unit for every in state.rounds for each in every.found]) or "-"
            setting = _setting(state.rounds[-1].setting)
            told = say("{setting} unit {unit}, found: {found}", setting=setting, unit=unit, found=found).lstrip()
            bar.update(task, advance=1, description=told)

        yield step


def show(console: Console, state: Scanning) -> None:
    """Print who answered, and what to do where nobody did."""
    found = [(each.setting, unit) for each in state.rounds for unit in each.found]
    if found:
        console.print(_table(found))
    units = _runs([unit.unit for _, unit in found]) or "-"
    said = say("{url}: {asked} questions, {found} answered: unit {units}", url=state.line.url, asked=state.asked,
               found=len(found), units=units)  # fmt: skip
    console.print(Text(said), soft_wrap=True)
    for style, told in _remarks(state, answered=bool(found)):
        console.print(Text(told, style=style), soft_wrap=True)


def _remarks(state: Scanning, *, answered: bool) -> Iterator[tuple[str, str]]:
    """Give what to think of what came, each with its colour."""
    for each in state.rounds:
        if each.refused:
            yield "yellow", f"{_setting(each.setting)} {each.refused}"
        if each.unreadable:
            yield (
                "yellow",
                say(
                    "{setting} no answer but noise from unit {units}: wrong baud rate or parity, two devices of one "
                    "number, or a poor wire",
                    setting=_setting(each.setting),
                    units=_runs(each.unreadable),
                ).lstrip(),
            )
        if len(each.found) == each.asked > _FEW and kind_of(state.line) == "tcp":
            yield "yellow", say("Every unit id answers: this device does not look at it, any one will do.")
    if not answered:
        yield (
            "red",
            say(
                "Nobody answers: check power, wiring (A and B swapped?) and termination, or allow more time: "
                "--timeout 1s"
            ),
        )


def as_json(state: Scanning) -> dict[str, object]:
    """Give the same for machines."""
    return {"url": state.line.url, "rounds": [_round_as_json(each) for each in state.rounds]}


def _round_as_json(each: Round) -> dict[str, object]:
    told: dict[str, object] = {}
    if each.setting is not None:
        told = {"baudrate": each.setting.baudrate, "parity": each.setting.parity}
    if each.refused:
        told["refused"] = each.refused
    return {**told, "asked": each.asked, "unreadable": each.unreadable, "found": [_as_json(one) for one in each.found]}


def _as_json(each: Found) -> dict[str, object]:
    told: dict[str, object] = {"unit": each.unit}
    if each.code is not None:
        told["exception"] = each.code
    if each.identity is not None:
        told |= {"vendor": each.identity.vendor, "product": each.identity.product, "revision": each.identity.revision}
    return told


def _table(found: Sequence[tuple[Setting | None, Found]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(say("unit id"), justify="right", no_wrap=True)
    serial = any(setting is not None for setting, _ in found)
    headers = [say("baud rate"), say("parity")] if serial else []
    for header in (*headers, say("answer"), say("says it is")):
        table.add_column(header, overflow="fold")
    for setting, each in found:
        port = [str(setting.baudrate), setting.parity] if setting is not None else []
        answer = say("registers") if each.code is None else say("refused (exception {code})", code=each.code)
        who = each.identity
        words = " ".join(filter(None, (who.vendor, who.product, who.revision))) if who else "-"
        table.add_row(*map(Text, (str(each.unit), *port, answer, words)))
    return table


def _setting(setting: Setting | None) -> str:
    return say("{baudrate} baud, parity {parity}:", baudrate=setting.baudrate, parity=setting.parity) if setting else ""


def _runs(units: Sequence[int]) -> str:
    """Give units briefly: `1, 3, 7-9`."""
    runs: list[list[int]] = []
    for unit in sorted(set(units)):
        if runs and unit == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], unit]
        else:
            runs.append([unit])
    return ", ".join("-".join(map(str, run)) for run in runs)
