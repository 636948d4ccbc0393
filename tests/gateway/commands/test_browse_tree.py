"""How an address space is shown: a line a node, its branches, and columns that stand below one another."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from parkgate.config.site import Line, Secret
from parkgate.drivers.opcua.looking import Variable
from parkgate.drivers.opcua.space import Answer, Child, Node, Walk
from parkgate.gateway.commands.browse_choice import matcher, numbers
from parkgate.gateway.commands.browse_profile import entries
from parkgate.gateway.commands.browse_tree import Space, as_json, lines, remarks, shown, summary


def space(*names, answer=None, title="", **more):
    """Give a walk that found one folder with some variables."""
    root = Node(Child("i=85", "Objects"))
    tank = Node(Child("ns=2;s=T1", "T1"), root, depth=1)
    root.below.append(tank)
    found = Space(Walk(root=root, done=True, seen={"i=85", "ns=2;s=T1", *names}))
    for number, name in enumerate(names, start=1):
        node = Node(Child(f"ns=2;s={name}", name, title, "variable"), tank, number=number, depth=2)
        tank.below.append(node)
        found.take(Variable(node, answer or Answer(1.0, "Double"), "Double", "double", **more))
    return found


@given(names=st.lists(st.text(alphabet="aB1_液位°", min_size=1, max_size=12), min_size=1, max_size=6))
def test_the_columns_stand_below_one_another_whatever_the_width_of_their_characters(names):
    told = [line.plain for line in lines(space(*names, unit="m"), filtered=False)]
    places = {cell_len(line[: line.index("ns=2;s=")]) for line in told[3:]}
    assert len(told) == 3 + len(names)
    assert len(places) == 1
    assert told[-1].startswith(f"{len(names)}     └─ ")


def test_a_title_stands_beside_a_name_that_it_differs_from():
    assert "Level  液位" in [*lines(space("Level", title="液位"), filtered=False)][-1].plain
    assert [*lines(space("Level", title="Level"), filtered=False)][-1].plain.count("Level") == 2  # name and node id


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(value=True, kind="Boolean"), "true"),
        (Answer(7, "UInt16"), "7"),
        (Answer(12.300000190734863, "Float"), "12.3"),
        (Answer(0.1, "Double"), "0.1"),
        (Answer(math.nan, "Float"), "nan"),
        (Answer("a\nb\x1b[31m", "String"), '"a·b·[31m"'),
        (Answer("x" * 50, "String"), f'"{"x" * 40}…"'),
        (Answer("2026-01-02", "DateTime"), "2026-01-02"),
        (Answer([1, 2], "Int32", 2), "[1, 2]"),
        (Answer([1, 2], "Int32", 9), "[1, 2, …]"),
        (Answer(), "-"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_people_read_it(answer, text):
    assert shown(answer) == text


def test_a_walk_that_found_nothing_shows_nothing_and_says_where_to_look():
    empty = Space(Walk(root=Node(Child("i=85", "Objects")), done=True, seen={"i=85"}))
    assert [*remarks(empty)] == ["There is no variable below i=85: begin elsewhere with --from i=84."]
    assert [*lines(Space(Walk()), filtered=False)] == [*remarks(Space(Walk()))] == []


def test_what_ended_early_or_was_closed_is_told():
    early = space("Level")
    early.walk.done = False
    early.walk.root.trouble = "BadUserAccessDenied"
    assert [*remarks(early)] == [
        "Ended early: there may be more.",
        "1 nodes could not be looked into: Objects (BadUserAccessDenied)",
    ]
    assert as_json(early)["complete"] is False


def test_what_no_number_stands_for_is_text_for_machines():
    told = as_json(space("a", answer=Answer(math.inf, "Double")))
    assert json.loads(json.dumps(told, allow_nan=False))["variables"][0]["value"] == "inf"
    told = as_json(space("a", answer=Answer([math.nan, 1.0], "Double", 2)))
    assert told["variables"][0]["value"] == ["nan", 1.0]


def test_the_sentence_counts():
    found = space("a", "b", "c")
    del found.variables[3]
    assert summary(found, where="here") == "here: 5 nodes, 3 variables, 2 read, 0 of them not supported"


@pytest.mark.parametrize(
    ("text", "meant", "not_meant"),
    [("1", {1}, {0, 2, 10}), ("1-3,7", {1, 2, 3, 7}, {0, 4, 8}), (" 2 , 4-4 ", {2, 4}, {3})],
)
def test_numbers_are_chosen_one_by_one_or_in_runs(text, meant, not_meant):
    chosen = numbers(text)
    assert all(map(chosen, meant))
    assert not any(map(chosen, not_meant))


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "3-1", "1,,2", "１", "1.5", "9" * 9])
def test_what_is_no_choice_says_so(text):
    with pytest.raises(ValueError, match="names no variables"):
        numbers(text)


@given(name=st.text(max_size=10), text=st.text(min_size=1, max_size=5))
def test_a_plain_text_means_the_nodes_that_hold_it_whatever_its_case(name, text):
    if not set(text) & set("*?") and not (text.startswith("/") and text.endswith("/")):
        node = Node(Child("ns=2;i=5", "", f"{name}{text}", "variable"))
        assert matcher(text)(node)
        assert matcher(text.upper())(node) or text.upper().casefold() not in node.child.title.casefold()


def test_a_line_that_is_to_be_added_says_how_it_was_reached(tmp_path):
    line = Line(name="plc-7-4840", url="opc.tcp://plc-7", security="Basic256Sha256/Sign", username="reader",
                password=Secret(file=tmp_path / "p"), ca=tmp_path / "ca.pem")  # fmt: skip
    told = entries(line, None, name="tank", profile="tank")
    assert told.splitlines() == [
        "[[line]]", 'name = "plc-7-4840"', 'url = "opc.tcp://plc-7"', 'security = "Basic256Sha256/Sign"',
        'username = "reader"', f'password = {{ file = "{tmp_path}/p" }}', f'ca = "{tmp_path}/ca.pem"', "",
        "[[instrument]]", 'name = "tank"', 'line = "plc-7-4840"', 'profile = "tank"', 'every = "1s"',
    ]  # fmt: skip
