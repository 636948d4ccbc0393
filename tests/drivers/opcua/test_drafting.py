"""A profile written of whatever a server calls its nodes is one that loads, with a point for each that can be one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.document import Report
from parkgate.config.profile_file import read_profile
from parkgate.drivers.opcua.drafting import profile, quoted, usable
from parkgate.drivers.opcua.looking import TYPES, Variable
from parkgate.drivers.opcua.plan import parse
from parkgate.drivers.opcua.space import Answer, Child, Node

ROOT = Node(Child("i=85", "Objects"))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def variable(name, *, at=None, title="", above=ROOT, kind="double", **more):
    node = Node(Child(at or f"nsu=urn:park;s={name}", name, title, "variable"), above, depth=above.depth + 1)
    return Variable(node, Answer(1.0, "Double"), "Double", kind, **more)


def written(*variables, title="Tank", url="opc.tcp://h:4840"):
    text = profile(variables, title=title, url=url)
    return text, tomllib.loads(text)


def loaded(text, folder):
    """Give the profile as the agent reads it, or fail with what is wrong with it."""
    file = folder / "tank.toml"
    file.write_text(text, encoding="utf-8")
    report = Report()
    read = read_profile(file, report)
    assert report.problems == []
    return read


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("profiles")


ANY_TEXT = st.text(max_size=30)
VARIABLES = st.lists(
    st.builds(
        variable,
        ANY_TEXT,
        at=st.one_of(
            st.builds(lambda uri, text: f"nsu={uri.replace('%', '%25').replace(';', '%3B')};s={text}",
                      st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20)),
            st.integers(0, 2**32 - 1).map(lambda number: f"ns=3;i={number}"),
        ),
        title=ANY_TEXT,
        above=st.sampled_from([ROOT, Node(Child("ns=2;i=1", "1# 储罐\n"), ROOT, depth=1)]),
        kind=st.sampled_from([*TYPES.values()]),
        unit=ANY_TEXT,
        range=st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS).filter(lambda ends: ends[0] < ends[1])),
        why=st.sampled_from(["", "", "an array:\nnot supported"]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@given(variables=VARIABLES, title=ANY_TEXT, url=ANY_TEXT)
def test_whatever_a_server_calls_its_nodes_the_profile_loads_and_asks_just_them(variables, title, url, folder):
    good = [each for each in variables if not usable(each)]
    text, table = written(*variables, title=title, url=url)
    assert [point["at"] for point in table["points"].values()] == [each.node.child.node for each in good]
    if not good:
        return
    points = loaded(text, folder).points
    assert [(each.type, each.unit.strip()) for each in points] == [
        (each.type, _whole(each.unit).strip()) for each in good
    ]
    for point, each in zip(points, good, strict=True):
        assert point.range == (each.range if each.range and each.type not in {"bool", "string"} else None)
        assert parse(point.at, where="here") == parse(each.node.child.node, where="there")


def _whole(text):
    return text.encode("utf-8", "replace").decode()


@given(text=st.text())
def test_a_quoted_text_reads_back_as_it_was(text):
    assert tomllib.loads(f"a = {quoted(text)}")["a"] == _whole(text)


def test_a_point_has_what_the_server_says_of_it_and_no_more():
    text, table = written(variable("Level", unit="m", range=(0.0, 15.5)), variable("Total", kind="uint32"))
    assert table["points"] == {
        "level": {"at": "nsu=urn:park;s=Level", "type": "double", "unit": "m", "range": [0, 15.5]},
        "total": {"at": "nsu=urn:park;s=Total", "type": "uint32"},
    }
    assert "digits" not in text


def test_a_chinese_name_stands_as_the_title_whatever_the_point_is_called():
    _, table = written(variable("液位"), variable("井"), variable("PV", title="温度"))
    assert {name: point["title"] for name, point in table["points"].items()} == {
        "level": "液位", "point_1": "井", "pv": "温度",
    }  # fmt: skip


def test_titles_that_are_alike_begin_with_the_object_above():
    first, second = (Node(Child(f"ns=2;i={each}", f"T{each}", f"{each}# 储罐"), ROOT, depth=1) for each in (1, 2))
    text, table = written(variable("Level", at="ns=2;i=3", title="液位", above=first),
                          variable("Level", at="ns=2;i=4", title="液位", above=second))  # fmt: skip
    assert {name: point["title"] for name, point in table["points"].items()} == {
        "t1_level": "1# 储罐 液位", "t2_level": "2# 储罐 液位",
    }  # fmt: skip
    assert text.index("# T1\n") < text.index("t1_level") < text.index("# T2\n") < text.index("t2_level")


def test_what_cannot_be_a_point_stands_as_a_comment_that_says_why():
    text, table = written(variable("Arr", kind="", why="an array: not supported"), variable("Level"))
    assert "# Arr (nsu=urn:park;s=Arr): an array: not supported\n" in text
    assert [*table["points"]] == ["level"]


@pytest.mark.parametrize(
    ("at", "word"),
    [
        ("nsu=urn:park;s={node}.Level", "stands for something else"),
        ("nsu=urn:park;b=", "cannot be written"),
        ("nsu=urn:park;s=\udcff", "cannot be written"),
        ("nsu=urn:park;s=Level ", "cannot be written"),
    ],
)
def test_a_node_id_that_a_profile_cannot_hold_is_told(at, word):
    assert word in usable(variable("Level", at=at))


def test_a_texts_range_is_left_out_since_it_has_none(folder):
    text, _ = written(variable("Name", kind="string", range=(0.0, 1.0)), variable("On", kind="bool", range=(0.0, 1.0)))
    assert [each.range for each in loaded(text, folder).points] == [None, None]
