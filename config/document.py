"""A file of ours read once: its TOML, and where each key stands in it. Whatever is wrong becomes a Problem."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parkgate.config.language import say
from parkgate.config.locate import Locator, locate
from parkgate.config.locate import Path as Keys
from parkgate.config.problem import Problem, shown
from parkgate.config.toml_mistakes import toml_mistake

_THINGS = ("uplink", "line", "instrument")


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file as it stands: its path, what tomllib read, and where everything is."""

    file: Path
    table: Mapping[str, object]
    locator: Locator

    def problem(self, keys: Keys, text: str) -> Problem:
        """Say something about the value at `keys`, with its line and with people's names for it."""
        return Problem(self.file, self.locator.line(keys), self._subject(keys), text)

    def _subject(self, keys: Keys) -> str:
        head, rest = "", keys
        if len(keys) > 1 and isinstance(number := keys[1], int):
            head, rest = self._thing(str(keys[0]), number), keys[2:]
        tail = ".".join(shown(key) for key in rest if isinstance(key, str))
        return ", ".join(part for part in (head, tail) if part)

    def _thing(self, kind: str, number: int) -> str:
        """Name the entry of an array of tables: by its own name, else by its place in the file."""
        entries = self.table.get(kind)
        entry = entries[number] if isinstance(entries, list) and number < len(entries) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if kind in _THINGS and isinstance(name, str):
            named = {
                "uplink": say('uplink "{name}"', name=shown(name)),
                "line": say('line "{name}"', name=shown(name)),
                "instrument": say('instrument "{name}"', name=shown(name)),
            }
            return named[kind]
        return f"{kind} {number + 1}"


@dataclass(slots=True)
class Report:
    """What reading has found so far: problems, and warnings that do not keep a site from being used."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _said: set[tuple[Path, int | None, str]] = field(default_factory=set)

    def add(self, problem: Problem) -> None:
        """Take a problem, unless one about the same thing in the same place is there: the first says it best."""
        about = (problem.file, problem.line, problem.subject)
        if about not in self._said:
            self._said.add(about)
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document, and the report that takes what is said about it."""

    document: Document
    report: Report
    keys: Keys = ()

    def at(self, *keys: str | int) -> Place:
        """Give the place at these keys below this one."""
        return Place(self.document, self.report, (*self.keys, *keys))

    def problem(self, text: str) -> None:
        """Report what is wrong here."""
        self.report.add(self.document.problem(self.keys, text))

    def warning(self, text: str) -> None:
        """Report what is allowed here but may be a mistake."""
        self.report.warnings.append(self.document.problem(self.keys, text))


def read_text(file: Path, report: Report) -> str | None:
    """Read a UTF-8 file, with or without a byte order mark; None after reporting why it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        text = say("there is no such file; check the path")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        text = say("this is not UTF-8 text; save the file as UTF-8")
        report.problems.append(Problem(file, line, "", text))
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        text = say("cannot read the file ({reason}); check the path and its rights", reason=shown(reason))
    report.problems.append(Problem(file, None, "", text))
    return None


def read_toml(file: Path, report: Report) -> Document | None:
    """Read a TOML file; None after reporting why it cannot be read, with the line of a syntax error."""
    text = read_text(file, report)
    if text is None:
        return None
    try:
        return Document(file, tomllib.loads(text), locate(text))
    except tomllib.TOMLDecodeError as error:
        line, said = toml_mistake(text, error)
        report.problems.append(Problem(file, line, "", said))
    except RecursionError:
        report.problems.append(
            Problem(file, None, "", say("this is nested too deeply; use fewer brackets in brackets"))
        )
    except ValueError:  # tomllib hands on int()'s refusal of thousands of digits
        report.problems.append(Problem(file, None, "", say("a number in this file has too many digits; shorten it")))
    return None
