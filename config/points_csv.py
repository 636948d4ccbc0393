"""A profile's points as a table, as integrators have it: one row a point, one column an attribute."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parkgate.config.document import Document, Report, read_text
from parkgate.config.explain import known_keys, unknown_key
from parkgate.config.language import say
from parkgate.config.locate import Locator
from parkgate.config.problem import Problem, shown
from parkgate.config.profile import Point

_NEEDED = frozenset({"name", "at", "type"})
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class PointSource:
    """A point as its file has it: its name, its attributes, and the document that knows its lines."""

    name: str
    table: object
    document: Document


def read_points(file: Path, report: Report) -> tuple[PointSource, ...]:
    """Read a table of points (UTF-8, a header row; an empty cell means the default), reporting all that is wrong.

    `range` is written `0..300` or `[0, 300]`, or in two columns `range_low` and `range_high`; several `invalid` values
    are separated by spaces, and may be hexadecimal (`0xFFFF`); `convert` is `kPa`, or `mg/m3 at 0`. A column that
    nobody knows does not hide what is wrong with the rows: the others are read.
    """
    text = read_text(file, report)
    rows = _numbered(file, text, report) if text is not None else []
    if not rows:
        return ()
    header = [each.strip() for each in rows[0][1]]
    for text in _header_mistakes(header):
        report.problems.append(Problem(file, 1, "", text))
    meant = _meant(header)
    if not set(meant) >= _NEEDED:
        return ()
    return tuple(_points(file, meant, rows[1:], report))


def _numbered(file: Path, text: str, report: Report) -> list[tuple[int, list[str]]]:
    """Give the rows with the line each begins on; a quoted cell may reach over several."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        sentence = say("this is not a table with commas: {reason}", reason=shown(error))
        report.problems.append(Problem(file, line, "", sentence))
        return []
    return rows or [(1, [])]


def _known() -> list[str]:
    return [*known_keys(Point), "range_low", "range_high"]


def _header_mistakes(names: list[str]) -> Iterator[str]:
    if len(names) == 1 and re.search("[;\t，；]", names[0]):
        yield say("the cells must be separated by commas; save the table as CSV with commas")
        return
    known = _known()
    for index, name in enumerate(names):
        if name not in known:
            yield unknown_key(name, known)
        elif name in names[:index]:
            yield say('the column "{name}" stands there twice', name=name)
    if not set(_meant(names)) >= _NEEDED:
        yield say('the first row must name the columns, among them "name", "at" and "type"')


def _meant(names: list[str]) -> list[str]:
    """Give what each column stands for: "" for one that nobody knows, unless it looks like one that is needed."""
    known = _known()
    meant: list[str] = []
    for name in names:
        if name in known:
            meant.append("" if name in meant else name)
        else:
            near = difflib.get_close_matches(name.lower(), sorted(_NEEDED - {*names, *meant}), n=1)
            meant.append(near[0] if near else "")
    return meant


def _points(file: Path, header: list[str], rows: list[tuple[int, list[str]]], report: Report) -> Iterator[PointSource]:
    for line, cells in rows:
        document = Document(file, {}, Locator({("points",): line}))
        if len(cells) > len(header):
            text = say("this row has {count} cells, the header {columns}", count=len(cells), columns=len(header))
            report.problems.append(document.problem(("points",), text))
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name and cell.strip()}
        if row:
            name = row.pop("name", "")
            yield PointSource(name, _attributes(document, name, row, report), document)


def _attributes(document: Document, name: str, row: Mapping[str, str], report: Report) -> dict[str, object]:
    table: dict[str, object] = {}
    for key, cell in _joined(row).items():
        try:
            table[key] = _READERS.get(key, str)(cell)
        except (ValueError, KeyError):
            text = say('cannot read "{cell}"; write it as in {example}', cell=shown(cell), example=_EXAMPLES[key])
            report.problems.append(document.problem(("points", name, key), text))
    return table


def _joined(row: Mapping[str, str]) -> dict[str, str]:
    """Make one `range` of two columns."""
    joined = {key: cell for key, cell in row.items() if key not in {"range_low", "range_high"}}
    if "range_low" in row or "range_high" in row:
        joined["range"] = f"{row.get('range_low', '')}..{row.get('range_high', '')}"
    return joined


def _number(text: str) -> float | int:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _range(text: str) -> list[float]:
    low, high = text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else text.split("..")
    return [float(low), float(high)]


def _convert(text: str) -> dict[str, object]:
    to, _, at = text.partition(" at ")
    return {"to": to.strip()} | ({"at": int(at)} if at else {})


_READERS: dict[str, Callable[[str], object]] = {
    "range": _range,
    "digits": int,
    "scale": float,
    "offset": float,
    "invalid": lambda cell: [_number(each) for each in cell.split()],
    "convert": _convert,
    "deadband": lambda cell: cell if cell.endswith("%") else float(cell),
    "enabled": lambda cell: _TRUTHS[cell.lower()],
}
_EXAMPLES = {
    "range": "0..300",
    "digits": "2",
    "scale": "0.1",
    "offset": "-40",
    "invalid": "0xFFFF 0x7FFF",
    "convert": "mg/m3 at 0",
    "deadband": "0.5",
    "enabled": "true",
}
