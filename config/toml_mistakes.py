"""What tomllib says of a text that is not TOML, as our sentences: what is wrong, the line, and what to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from tomllib import TOMLDecodeError

from parkgate.config.language import say
from parkgate.config.problem import shown

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TEXTS = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')
_WIDE = re.compile("[“”‘’＂＇＝：，．［］｛｝＃\u3000]")
"""What a Chinese input method writes where TOML wants the ASCII sign."""
_SECRET = re.compile(r"pass\w*|pwd|secret|token|密码|口令", re.IGNORECASE)


def toml_mistake(text: str, error: TOMLDecodeError) -> tuple[int, str]:
    """Give the line of a mistake in a TOML text, and the sentence about it. A password in that line is not shown."""
    match = _POSITION.search(str(error))
    number = int(match[1]) if match and match[1] else text.count("\n") + 1
    said = say("this is not TOML: {what}", what=_meaning(_POSITION.sub("", str(error))))
    lines = text.split("\n")
    line = lines[number - 1].strip() if number <= len(lines) else ""
    if line:
        said = say("{said}; the line is: {line}", said=said, line=_quoted(line))
    if _WIDE.search(_TEXTS.sub("", line)):
        hint = say('it has full-width signs (“ ” ＝ ： ，): switch the input method to English and type " = : ,')
        said = f"{said}; {hint}"
    return number, said


def _quoted(line: str) -> str:
    """Give a line as a message may show it: messages end up in logs."""
    if match := _SECRET.search(line):
        return shown(f"{line[: match.end()]} …".replace("\u3000", " "))
    return shown(re.sub(r"//[^/]*@", "//…@", line).replace("\u3000", " ").replace("\t", " "))


def _meaning(what: str) -> str:
    return next((meaning for start, meaning in _meanings() if what.startswith(start)), shown(what))


def _meanings() -> Iterator[tuple[str, str]]:
    """Give our sentence for each beginning of tomllib's; the first that fits is meant."""
    twice = say("this key stands there already; keep one of the two")
    whole = say("this table was written whole before and takes no more keys; write them all in one place")
    escape = say(r"in double quotes \ begins an escape; write \\ for a \, or use single quotes")
    quote = say("the closing quote is missing")
    yield "Invalid statement", say("a line must be key = value, [table] or [[table]]")
    yield "Expected newline", say("something stands behind the value; each key = value has a line of its own")
    yield "Cannot declare", say("this table stands there already; several of a kind are written with [[ and ]]")
    yield "Cannot overwrite a value", twice
    yield "Duplicate inline table key", twice
    yield "Cannot mutate immutable namespace", whole
    yield "Cannot redefine namespace", whole
    yield "Expected ']]'", say("the closing ]] of [[table]] is missing")
    yield "Expected ']'", say("the closing ] of [table] is missing")
    yield "Expected '=' after a key", say("the = behind the key is missing")
    yield "Invalid initial character", say("a key is of letters, digits, - and _; any other goes in quotes")
    yield "Unclosed array", say("the closing ] of a list, or a comma in it, is missing")
    yield "Unclosed inline table", say("the closing }} of a table, or a comma in it, is missing; it is all on one line")
    yield "Unescaped", escape
    yield "Invalid hex value", escape
    yield "Escaped character", escape
    yield "Unterminated string", quote
    yield "Illegal character '\\n'", quote
    yield "Illegal character", say("a control character stands there; delete it")
    yield "Found invalid character", say("a control character stands there; delete it")
    yield "Expected ", quote
    yield "Invalid date", say("there is no such date or time")
    yield "Invalid value", say('the value is missing or cannot be read; text goes in "quotes"')
