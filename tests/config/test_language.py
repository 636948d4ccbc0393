"""Every sentence for people has its Chinese, with the same placeholders, and none is left over."""

import ast
import string
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from parkgate.config.language import language, say

ROOMS = ("config", "drivers", "gateway", "simulator")


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted(Path(str(files(f"parkgate.{room}"))).rglob("*.py"))


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
            yield node


def sentence_of(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def help_sentences() -> set[str]:
    """A verb's HELP is said by the command line for it."""
    found = set()
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id == "HELP" and isinstance(value, ast.Constant):
                found.add(value.value)
    return found


def said() -> set[str]:
    return help_sentences() | {
        sentence for path in sources() for call in calls(path) if (sentence := sentence_of(call)) is not None
    }


def chinese() -> dict[str, str]:
    text = files("parkgate.config").joinpath("languages/zh.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["say"]


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_a_sentence_that_is_said_has_its_chinese():
    assert sorted(said() - set(chinese())) == []


def test_a_chinese_sentence_is_one_that_is_said():
    assert sorted(set(chinese()) - said()) == []


def test_a_chinese_sentence_has_the_placeholders_of_the_english():
    differing = [english for english, text in chinese().items() if placeholders(english) != placeholders(text)]
    assert differing == []


def test_a_chinese_sentence_is_chinese():
    assert [english for english, text in chinese().items() if text.isascii()] == []


def test_a_sentence_is_written_where_it_is_said_with_all_its_placeholders():
    wrong = []
    for path in sources():
        for call in calls(path):
            sentence = sentence_of(call)
            given = {keyword.arg for keyword in call.keywords}
            if sentence is None or (None not in given and placeholders(sentence) != given):
                wrong.append(f"{path.name}:{call.lineno}")
    allowed = {"main.py"}  # it says the HELP of each verb
    assert [each for each in wrong if each.split(":")[0] not in allowed] == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "PARKGATE_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "PARKGATE_LANG": "en"}, "en"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_locales(monkeypatch, variables, expected):
    for name in ("PARKGATE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_a_sentence_without_chinese_is_said_in_english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    assert say("nobody has {verb} this", verb="translated") == "nobody has translated this"
