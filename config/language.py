"""What people read, in English or Chinese.

The code says everything in English through `say`; `languages/zh.toml` holds the Chinese of each sentence. A test finds
a sentence that has no Chinese, a Chinese one that nobody says, and placeholders that differ.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib.resources import files


@cache
def _catalogue(language: str) -> dict[str, str]:
    if language == "en":
        return {}
    text = files("parkgate.config").joinpath(f"languages/{language}.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["say"])


def language() -> str:
    """Tell the language of messages for people: `PARKGATE_LANG`, else the locale; `"zh"` or `"en"`."""
    for name in ("PARKGATE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


class Sentence(str):
    """A sentence in the reader's language that still knows its English, for whom a record must always read the same."""

    __slots__ = ("english",)
    english: str


def say(sentence: str, /, **values: object) -> str:
    """Give an English sentence in the reader's language, its `{placeholders}` filled in."""
    said = Sentence(_catalogue(language()).get(sentence, sentence).format(**values))
    said.english = sentence.format(**{name: english(value) for name, value in values.items()})
    return said


def english(value: object) -> object:
    """Give a sentence in English whatever the reader's language is; anything else as it is."""
    return value.english if isinstance(value, Sentence) else value
