"""The line of a key: in every way TOML lets one write it, and for any document."""

import tomllib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.locate import Locator, locate

WRITTEN = '''\
# a comment with [brackets] = and "quotes"
title = "a # that is no comment"
multi = """
[not.a.table]
key = "in \\"""a text"
"""
literal = \'\'\'
[neither]\'\'\'
quotes = """"quoted""""
after = 1

[gateway]            # a table
"quoted key" = 1
'single.dotted' = 2
a.b.c = 3
a.b."d.e" = 4
inline = { x = 1, y = { z = [
  1,
  { deep = true },   # a comment, with a comma
] } }
list = [
  "one",

  2, 3,
]
when = 1979-05-27 07:32:00
"\\u00e9t\\u00e9" = 5

[[instrument]]
name = "one"

[[instrument]]
name = "two"
points.co2.type = "float32"
[instrument.points.so2]
type = "bool"
[[instrument.part]]
n = 1
[[instrument.part]]
n = 2

[ spaced . "out" ]
key = 1
'''

LINES = [
    (("title",), 2),
    (("multi",), 3),
    (("literal",), 7),
    (("quotes",), 9),
    (("after",), 10),
    (("gateway",), 12),
    (("gateway", "quoted key"), 13),
    (("gateway", "single.dotted"), 14),
    (("gateway", "a"), 15),
    (("gateway", "a", "b", "c"), 15),
    (("gateway", "a", "b", "d.e"), 16),
    (("gateway", "inline", "x"), 17),
    (("gateway", "inline", "y", "z"), 17),
    (("gateway", "inline", "y", "z", 0), 18),
    (("gateway", "inline", "y", "z", 1, "deep"), 19),
    (("gateway", "list"), 21),
    (("gateway", "list", 0), 22),
    (("gateway", "list", 1), 24),
    (("gateway", "list", 2), 24),
    (("gateway", "when"), 26),
    (("gateway", "été"), 27),
    (("instrument",), 29),
    (("instrument", 0, "name"), 30),
    (("instrument", 1), 32),
    (("instrument", 1, "name"), 33),
    (("instrument", 1, "points", "co2", "type"), 34),
    (("instrument", 1, "points", "so2"), 35),
    (("instrument", 1, "points", "so2", "type"), 36),
    (("instrument", 1, "part", 0), 37),
    (("instrument", 1, "part", 1, "n"), 40),
    (("spaced", "out", "key"), 43),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_a_key_is_found_however_it_is_written(path, line):
    value = tomllib.loads(WRITTEN)
    for key in path:
        value = value[key]
    assert locate(WRITTEN).line(path) == line


def test_a_key_that_is_not_there_has_the_line_of_what_it_would_be_in():
    found = locate(WRITTEN)
    assert found.line(("instrument", 1, "points", "co2", "unit")) == 34
    assert found.line(("instrument", 1, "every")) == 32
    assert found.line(("instrument", 0, "points", "co2")) == 29
    assert found.line(("gateway", "site")) == 12
    assert found.line(("outbox", "commit")) is None
    assert found.line(()) is None
    assert Locator({}).line(("a",)) is None


def test_a_header_beats_a_table_that_only_followed_from_another():
    assert locate("[a.b]\nx = 1\n[a]\ny = 2\n").line(("a", "missing")) == 3


def test_windows_line_ends_count_once():
    assert locate("a = 1\r\nb = '''\r\n'''\r\nc = 1\r\n").line(("c",)) == 4


@pytest.mark.parametrize("text", ["= 1", "a 1", "a = [1", "a = {b = 1", "a = {b}"])
def test_a_text_that_is_not_toml_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - which sentence is tomllib's to say, it read the text before
        locate(text)


@given(st.text("ab=[]{}.,#'\"\\ \n1", max_size=60))
def test_any_text_is_read_to_its_end_or_refused(text):
    try:
        lines = locate(text).lines
    except ValueError:
        with pytest.raises(tomllib.TOMLDecodeError):
            tomllib.loads(text)
    else:
        assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


KEYS = st.one_of(st.text("abcXYZ019_-", min_size=1, max_size=4), st.text(max_size=4))
SCALARS = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.text(max_size=12),
    st.sampled_from(['"""', "'''", "#", "[a]\nb=1", "\\"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


class Writer:
    """Writes a document in ways drawn by `choose`, and notes on which line each key came to stand."""

    def __init__(self, choose):
        self.choose = choose
        self.text = ""
        self.lines = {}

    def note(self, path):
        self.lines[path] = self.text.count("\n") + 1

    def key(self, key):
        quoted = (
            '"' + "".join(f"\\U{ord(char):08x}" if ord(char) < 32 or char in '"\\\x7f' else char for char in key) + '"'
        )
        bare = key and all(char.isascii() and (char.isalnum() or char in "_-") for char in key)
        self.text += key if bare and self.choose("bare or quoted") else quoted

    def blank(self):
        self.text += self.choose("blank")

    def scalar(self, value):
        if isinstance(value, bool):
            self.text += "true" if value else "false"
        elif isinstance(value, int):
            self.text += str(value)
        else:
            plain = "".join(f"\\U{ord(char):08x}" if ord(char) < 32 or char in '"\\\x7f' else char for char in value)
            if "\r" not in value and self.choose("over several lines"):
                self.text += (
                    f'"""\n{value}"""'
                    if value.isprintable() and not set(value) & set('"\\')
                    else f'"""\\\n  {plain}"""'
                )
            else:
                self.text += f'"{plain}"'

    def value(self, value, path):
        if isinstance(value, list):
            self.text += "["
            for index, each in enumerate(value):
                self.blank()
                self.note((*path, index))
                self.value(each, (*path, index))
                self.blank()
                self.text += ","
            self.blank()
            self.text += "]"
        elif isinstance(value, Mapping):
            self.text += "{"
            for number, (key, each) in enumerate(value.items()):
                self.text += ", " if number else " "
                self.pair(key, each, path)
            self.text += " }"
        else:
            self.scalar(value)

    def pair(self, key, value, path):
        self.note((*path, key))
        self.key(key)
        while isinstance(value, Mapping) and len(value) == 1 and self.choose("dotted"):
            (inner, value), path = next(iter(value.items())), (*path, key)
            self.text += " . "
            self.note((*path, inner))
            self.key(inner)
            key = inner
        self.text += " = "
        self.value(value, (*path, key))

    def table(self, table, path):
        later = {}
        for key, value in table.items():
            of_tables = isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value)
            if (isinstance(value, Mapping) or of_tables) and self.choose("header"):
                later[key] = value
                continue
            self.pair(key, value, path)
            self.text += "  # = [\n"
        for key, value in later.items():
            self.headed(value, (*path, key))

    def headed(self, value, path):
        names = [each for each in path if isinstance(each, str)]
        for index, each in enumerate(value if isinstance(value, list) else [value]):
            self.text += "\n"
            here = (*path, index) if isinstance(value, list) else path
            if index == 0:
                self.note(path)
            self.note(here)
            self.text += "[[" if isinstance(value, list) else "["
            for number, name in enumerate(names):
                self.text += "." if number else ""
                self.key(name)
            self.text += "]]\n" if isinstance(value, list) else "]\n"
            self.table(each, here)


def chooser(data):
    blanks = st.sampled_from(["", " ", "\n", "\n# comment ]\n  "])

    def choose(what):
        return data.draw(blanks) if what == "blank" else data.draw(st.booleans())

    return choose


@given(DOCUMENTS, st.data())
def test_any_document_is_located_as_it_was_written(document, data):
    writer = Writer(chooser(data))
    writer.table(document, ())
    assert paths_of(tomllib.loads(writer.text)) == set(writer.lines)
    assert locate(writer.text).lines == writer.lines


def paths_of(value, path=()):
    found = {path} if path else set()
    if isinstance(value, Mapping):
        found |= {each for key, inner in value.items() for each in paths_of(inner, (*path, key))}
    if isinstance(value, list):
        found |= {each for index, inner in enumerate(value) for each in paths_of(inner, (*path, index))}
    return found
