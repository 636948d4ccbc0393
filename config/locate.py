"""Where a key stands in a TOML text. Pure: text in, lines out; for messages about a value that parsed but is wrong."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indices from the top of the document: `("instrument", 2, "points", "co2", "type")`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r"""
    "{3}(?:\\.|[^\\])*?"{3,5}  # over several lines; its last quotes may touch the closing ones
    |'{3}.*?'{3,5}
    |"(?:\\.|[^"\\\n])*"
    |'[^'\n]*'
    """,
    re.DOTALL | re.VERBOSE,
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True)
class Locator:
    """The line (from 1) of every key, table and array element of a TOML text."""

    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """Give the line of a path, or of its nearest ancestor that stands in the text; None if none does."""
        for length in range(len(path), 0, -1):
            if (found := self.lines.get(path[:length])) is not None:
                return found
        return None


def locate(text: str) -> Locator:
    """Find every key of a text that tomllib accepts (TOML 1.0.0).

    Raises:
        ValueError: the text is not TOML.

    """
    return Locator(_Scanner(text).scan())


class _Scanner:
    """One pass over a TOML text that notes where keys stand and skips what they mean."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._breaks = [match.start() for match in re.finditer("\n", self._text)]
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._last: dict[Path, int] = {}  # of each array of tables: the index of its newest table

    def scan(self) -> dict[Path, int]:
        """Read the whole text: headers, and the pairs below each."""
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            table = self._header() if self._sees("[") else self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> Path:
        line = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = self._keys()
        self._at += 2 if array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._newest(self._note((*path, key), line))
        path = (*path, keys[-1])
        if not array:
            self._lines[path] = line
            return self._newest(path)
        self._note(path, line)
        self._last[path] = self._last.get(path, -1) + 1
        return self._note(self._newest(path), line)

    def _pair(self, table: Path) -> Path:
        line = self._line()
        path = table
        for key in self._keys():
            path = self._note((*path, key), line)
        self._take("=")
        self._skip(_SPACE)
        self._value(path)
        return table

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._sees("."):
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip(_SPACE)
        start = self._at
        if self._sees('"', "'"):
            self._skip(_STRING)
            key = str(tomllib.loads(f"key = {self._text[start : self._at]}")["key"])
        else:
            self._skip(_BARE)
            key = self._text[start : self._at]
        if self._at == start:
            raise ValueError(start)
        self._skip(_SPACE)
        return key

    def _value(self, path: Path) -> None:
        if self._sees("["):
            self._array(path)
        elif self._sees("{"):
            self._inline(path)
        else:
            self._skip(_STRING if self._sees('"', "'") else _PLAIN)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        index = 0
        while not self._sees("]"):
            self._value(self._note((*path, index), self._line()))
            index += 1
            self._between("]")
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while not self._sees("}"):
            self._pair(path)
            self._between("}")
        self._at += 1

    def _between(self, end: str) -> None:
        """Step over the comma after an element, which must be there unless the end is."""
        self._skip(_BLANK)
        if not self._sees(end):
            self._take(",")
            self._skip(_BLANK)

    def _newest(self, path: Path) -> Path:
        return (*path, self._last[path]) if path in self._last else path

    def _note(self, path: Path, line: int) -> Path:
        self._lines.setdefault(path, line)
        return path

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1

    def _sees(self, *marks: str) -> bool:
        return self._text.startswith(marks, self._at)

    def _take(self, mark: str) -> None:
        if not self._sees(mark):
            raise ValueError(self._at)
        self._at += len(mark)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()
