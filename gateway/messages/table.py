"""The one live table: `demo`, `watch` of a gateway and `watch` of a broker all look the same. Pure: prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from parkgate.config.flag import Flag
from parkgate.config.language import language, say

Value = float | int | str

_SEVERE = frozenset({Flag.FAULT, Flag.NO_COMMUNICATION, Flag.OUT_OF_RANGE, Flag.BAD_CONFIGURATION})
_TITLE = 24
"""Cells that a title may take; a name is never cut."""
_TITLE_NARROW = 14
_NARROW = 100
"""Cells of a terminal below which titles are cut early, so that the values have room."""
_STEPS = ((1_000, 100, "s"), (60_000, 100, "min"), (3_600_000, 72, "h"))


@dataclass(frozen=True, slots=True)
class Title:
    """A title as a cell of a table: as wide as the terminal allows, cut there, never folded nor read as markup."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Give the cells it would like: fewer where the whole terminal has few."""
        most = _TITLE_NARROW if console.width < _NARROW else _TITLE
        wanted = max(1, min(most, cell_len(self.text)))
        return Measurement(1, wanted).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give its text, cut at the end of its column."""
        yield _cut(Text(self.text))


def standing_alarms(entries: Sequence[Mapping[str, object]], more: int = 0) -> str:
    """Give a sentence about alarms that stand, nothing where none does; of `more` only their number is known."""
    if not entries and not more:
        return ""
    waiting = sum(not each.get("acknowledged") for each in entries)
    return say("alarms that stand: {count}, not acknowledged: {waiting}", count=len(entries) + more, waiting=waiting)


@dataclass(frozen=True, slots=True)
class Reading:
    """One point as it stands: `value` None where there is none, `flag` one of the contract's words, "" if normal."""

    name: str
    title: str = ""
    value: Value | None = None
    unit: str = ""
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One instrument. `at_ms` (ms UTC) is when it was last measured; None anywhere means that it is not known."""

    instrument: str
    title: str = ""
    protocol: str = ""
    readings: tuple[Reading, ...] = ()
    at_ms: int | None = None
    seq: int | None = None
    stored: int | None = None
    delivered: int | None = None
    waiting: int | None = None


def live_table(rows: Sequence[Row], now_ms: int, title: str) -> Table:
    """Give the table of some instruments at a time; a column that no row has anything for is left out.

    The names, titles and numbers keep their width; the values take what the terminal leaves, and are cut there.
    """
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = Text(title, style="table.title") if title else None, "left"
    words = flag_words()
    longest = max((cell_len(row.instrument) for row in rows), default=0)
    table.add_column(say("instrument"), no_wrap=True, min_width=longest)
    columns: list[Callable[[Row], Text | Title]] = [lambda row: Text(row.instrument, style="bold")]
    if any(row.title for row in rows):
        table.add_column("")
        columns.append(lambda row: Title(row.title))
    if any(row.protocol for row in rows):
        table.add_column(say("protocol"), no_wrap=True)
        columns.append(lambda row: Text(row.protocol, style="dim"))
    table.add_column(say("values"), ratio=1)
    columns.append(lambda row: _cut(_values(row.readings, words)))
    for header, cell in _numbers(now_ms):
        if any(cell(row) for row in rows):
            table.add_column(header, no_wrap=True, justify="right")
            columns.append(_as_text(cell))
    for row in rows:
        table.add_row(*(cell(row) for cell in columns))
    return table


def flag_words() -> Mapping[str, str]:
    """Give each flag's word in the reader's language."""
    return {
        Flag.OUT_OF_SERVICE: say("out of service"),
        Flag.MAINTENANCE: say("maintenance"),
        Flag.MANUAL: say("entered by hand"),
        Flag.FAULT: say("fault"),
        Flag.CALIBRATION: say("calibration"),
        Flag.OUT_OF_RANGE: say("out of range"),
        Flag.NO_COMMUNICATION: say("no communication"),
        Flag.STALE: say("stale"),
        Flag.WARM_UP: say("warming up"),
        Flag.BAD_CONFIGURATION: say("bad configuration"),
    }


def age(since_ms: int | None, now_ms: int) -> str:
    """Give how long ago something was, short: `"12 s"`, `"5 min"`, `"3 h"`, `"4 d"`; `""` if it never was."""
    if since_ms is None:
        return ""
    passed = max(0, now_ms - since_ms)
    for size, most, unit in _STEPS:
        if passed < size * most:
            return f"{passed // size} {unit}"
    return f"{passed // 86_400_000} d"


def row_as_json(row: Row) -> dict[str, object]:
    """Give a row for machines: what is not known is left out."""
    known: dict[str, object] = {"instrument": row.instrument, "title": row.title, "protocol": row.protocol}
    points = {each.name: _reading_as_json(each) for each in row.readings}
    numbers = {"at": row.at_ms, "seq": row.seq, "stored": row.stored, "delivered": row.delivered}
    known.update(points=points, **numbers, waiting=row.waiting)
    return {name: value for name, value in known.items() if value not in (None, "", {})}


def _reading_as_json(reading: Reading) -> dict[str, object]:
    told = {"value": reading.value, "unit": reading.unit, "title": reading.title, "flag": reading.flag}
    return {name: value for name, value in told.items() if value not in (None, "")}


def _numbers(now_ms: int) -> Iterable[tuple[str, Callable[[Row], str]]]:
    return (
        (say("age"), lambda row: age(row.at_ms, now_ms)),
        (say("seq"), lambda row: _number(row.seq)),
        (say("stored"), lambda row: _number(row.stored)),
        (say("deliv."), lambda row: _number(row.delivered)),
        (say("waiting"), lambda row: _number(row.waiting)),
    )


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _as_text(cell: Callable[[Row], str]) -> Callable[[Row], Text]:
    return lambda row: Text(cell(row))


def _cut(text: Text) -> Text:
    """Let a text be cut at the end of its column instead of making the row higher."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _values(readings: Sequence[Reading], words: Mapping[str, str]) -> Text:
    """Line up the readings, flagged ones first: where the line is cut, it is cut among the normal ones."""
    flags = {each.flag for each in readings if each.value is None}
    if len(flags) == 1 and all(each.value is None for each in readings):
        (flag,) = flags
        return Text(words.get(flag, flag), style=_style(flag))
    titled = language() == "zh"
    line = Text()
    for each in sorted(readings, key=lambda reading: not reading.flag):
        if line:
            line.append("  ")
        line.append((titled and each.title) or each.name, style="dim")
        line.append(_said(each, words), style=_style(each.flag))
    return line


def _said(reading: Reading, words: Mapping[str, str]) -> str:
    flag = f" {words.get(reading.flag, reading.flag)}" if reading.flag else ""
    value = "" if reading.value is None else f" {reading.value}"
    return f"{flag}{value} {reading.unit}" if value and reading.unit else flag + value


def _style(flag: str) -> str:
    if not flag:
        return ""
    return "bold red" if flag in _SEVERE else "yellow"
