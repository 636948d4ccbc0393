"""What is wrong with a file, and where: every problem of a site at once, in sentences a technician can act on."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from parkgate.config.language import say

_LONGEST = 60
_FEW = 12


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: the file, its line (None: the file as a whole), what it is about, and the sentence.

    `subject` names people's things: `instrument "stack-1", points.co2.type`; it is empty for the file itself.
    """

    file: Path
    line: int | None
    subject: str
    text: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.subject, self.text) if part)


class Problems(Exception):
    """Everything that is wrong with a site file and the profiles it uses, in the order of the files and their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: object) -> str:
    """Give a value as a message may show it: on one line, printable, and not longer than a line."""
    text = str(value)
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def suggestion(word: object, known: Collection[str]) -> str:
    """Give the end of a sentence about an unknown word: the known one that it looks like, or the few there are."""
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(word)[:_LONGEST].lower(), lowered, n=1, cutoff=0.6)
    if near:
        return say('; did you mean "{word}"?', word=lowered[near[0]])
    if 0 < len(known) <= _FEW:
        return say("; known: {words}", words=", ".join(dict.fromkeys(known)))
    return ""
