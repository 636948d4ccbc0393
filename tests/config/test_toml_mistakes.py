"""A text that is not TOML: our sentence for each of tomllib's, with the line."""

import tomllib

import pytest

from parkgate.config.toml_mistakes import toml_mistake


def told(text):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    return toml_mistake(text, caught.value)


TEXTS = [
    ("a = 1\nb =\n", 2, 'the value is missing or cannot be read; text goes in "quotes"', "b ="),
    ("[gateway\n", 1, "the closing ] of [table] is missing", "[gateway"),
    ("[[line]\n", 1, "the closing ]] of [[table]] is missing", "[[line]"),
    (
        "[a]\n[a]\n",
        2,
        "this table stands there already; several of a kind are written with [[ and ]]",
        "[a]",
    ),
    ("a = 1\na = 2", 2, "this key stands there already; keep one of the two", "a = 2"),
    ("t = {a = 1, a = 2}", 1, "this key stands there already; keep one of the two", "t = {a = 1, a = 2}"),
    (
        "a = {b = 1}\na.c = 2\n",
        2,
        "this table was written whole before and takes no more keys; write them all in one place",
        "a.c = 2",
    ),
    ("a 1\n", 1, "the = behind the key is missing", "a 1"),
    ("a. = 1\n", 1, "a key is of letters, digits, - and _; any other goes in quotes", "a. = 1"),
    ("a = 5 b\n", 1, "something stands behind the value; each key = value has a line of its own", "a = 5 b"),
    ("a = [1 2]", 1, "the closing ] of a list, or a comma in it, is missing", "a = [1 2]"),
    ("a = {b = 1 c = 2}", 1, "the closing } of a table, or a comma in it, is missing", "a = {b = 1 c = 2}"),
    (r'a = "C:\q"', 1, r"in double quotes \ begins an escape; write \\ for a \, or use single quotes", r'a = "C:\q"'),
    ('a = "x\nb = 1\n', 1, "the closing quote is missing", 'a = "x'),
    ("a = 'x", 1, "the closing quote is missing", "a = 'x"),
    ("a = 2025-02-30", 1, "there is no such date or time", "a = 2025-02-30"),
    ('a = "\x01"', 1, "a control character stands there; delete it", r'a = "\x01"'),
    ("= 1", 1, "a line must be key = value, [table] or [[table]]", "= 1"),
]


@pytest.mark.parametrize(("text", "line", "what", "quoted"), TEXTS)
def test_each_mistake_has_our_sentence_and_the_line(text, line, what, quoted):
    number, said = told(text)
    assert number == line
    assert said.startswith(f"this is not TOML: {what}")
    assert said.endswith(f"; the line is: {quoted}")


@pytest.mark.parametrize("text", ["a = “x”", "a ＝ 1", "a = [1，2]", "a：1", "［a］", "a\u3000= 1"])
def test_signs_of_a_chinese_input_method_are_named(text):
    _, said = told(text)
    assert "; it has full-width signs (" in said
    assert "\u3000" not in said


def test_full_width_signs_inside_a_text_are_no_mistake():
    _, said = told('title = "1#：“烟囱”" x # ：')
    assert "full-width" not in said


@pytest.mark.parametrize(
    "line", ["password = hunter2", "password ＝ “hunter2”", 'passwd "hunter2"', "url = //u:hunter2@h"]
)
def test_a_password_in_the_line_is_not_shown(line):
    _, said = told(line)
    assert "hunter2" not in said


def test_a_sentence_of_tomllib_that_nobody_knows_is_passed_on():
    number, said = toml_mistake("a = 1", tomllib.TOMLDecodeError("Something new (at line 1, column 3)"))
    assert (number, said) == (1, "this is not TOML: Something new; the line is: a = 1")
