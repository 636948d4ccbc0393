"""The one live table: it fits, it cuts values and never names, and it says flags in the reader's words."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from parkgate.config.flag import Flag
from parkgate.gateway.messages.table import Reading, Row, age, flag_words, live_table, row_as_json

NOW = 1_763_890_100_000
STACK = Row(
    instrument="stack-1",
    title="1# 烟囱 CEMS",
    protocol="modbus",
    readings=(
        Reading("so2", "二氧化硫", 12.31, "mg/m3"),
        Reading("nox", "氮氧化物", 45.1, "mg/m3", "calibration"),
        Reading("door", "门", 0),
        Reading("co", "一氧化碳", None, "mg/m3", "no-communication"),
    ),
    at_ms=NOW - 1_200,
    seq=1041,
    stored=1041,
    delivered=1038,
    waiting=3,
)


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")


def printed(*rows, width=80, title="xuwei/gw-01"):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(live_table(rows, NOW, title))
    return console.file.getvalue()


def coloured(*rows):
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    console.print(live_table(rows, NOW, ""))
    return console.file.getvalue()


def test_a_wide_terminal_shows_everything_of_an_instrument():
    line = printed(STACK, width=160).splitlines()[2]
    assert line.split() == [
        "stack-1", "1#", "烟囱", "CEMS", "modbus",
        "nox", "calibration", "45.1", "mg/m3", "co", "no", "communication", "so2", "12.31", "mg/m3", "door", "0",
        "1", "s", "1041", "1041", "1038", "3",
    ]  # fmt: skip


def test_in_80_columns_values_are_cut_and_neither_names_nor_numbers():
    lines = printed(STACK).splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    assert len(lines) == 3
    assert lines[2].startswith("stack-1    1# 烟囱 CEMS modbus   nox")
    assert "…" in lines[2]
    assert lines[2].split()[-4:] == ["1041", "1041", "1038", "3"]


def test_a_flagged_value_stands_before_the_normal_ones_so_that_it_is_not_cut_off():
    readings = tuple(Reading(f"p{number}", value=number) for number in range(40))
    row = Row("tank-1", readings=(*readings, Reading("level", value=7.1, flag="fault")))
    assert "level fault 7.1" in printed(row)


def test_a_wider_terminal_is_used_fully_and_shows_more():
    row = Row("tank-1", readings=tuple(Reading(f"point{number}", value=number) for number in range(60)))
    shown = {width: printed(row, width=width).splitlines()[2] for width in (80, 120, 240)}
    assert all(cell_len(line.rstrip()) > width - 3 for width, line in shown.items())
    assert shown[80].count("point") < shown[120].count("point") < shown[240].count("point")


def test_the_longest_name_and_title_of_the_contract_still_fit_80_columns():
    row = Row("n" * 32, "废水总排口" * 10, "modbus", STACK.readings, NOW, 123456, 123456, 123456, 12)
    lines = printed(row).splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    assert "n" * 32 in lines[2]
    assert lines[2].rstrip().endswith("12")


def test_columns_that_nothing_is_known_for_are_left_out():
    header = printed(Row("a", readings=(Reading("x", value=1),)), width=120).splitlines()[1].split()
    assert header == ["instrument", "values"]
    header = printed(Row("a", seq=0, waiting=0), width=120).splitlines()[1].split()
    assert header == ["instrument", "values", "seq", "waiting"]


def test_a_row_without_what_others_have_leaves_its_cell_empty():
    lines = printed(STACK, Row("gas-1"), width=120).splitlines()
    assert lines[3].split() == ["gas-1"]


def test_an_instrument_that_does_not_answer_says_so_once():
    row = Row("gas-1", readings=tuple(Reading(name, flag="no-communication") for name in ("a", "b", "c")))
    assert printed(row).splitlines()[2].split() == ["gas-1", "no", "communication"]


def test_flags_are_in_colour_and_severe_ones_in_another():
    assert "\x1b[33m calibration" in coloured(STACK)
    assert "\x1b[1;31m no communication" in coloured(STACK)
    assert "\x1b[33m" not in coloured(Row("a", readings=(Reading("x", value=1),)))


def test_text_of_people_is_never_taken_for_markup():
    row = Row("a", "[bold]title[/bold]", readings=(Reading("x", value="[red]text"),))
    assert "[bold]title[/bold]" in printed(row, width=120)
    assert "[red]text" in printed(row, width=120)


def test_the_title_of_the_table_is_never_taken_for_markup():
    assert printed(Row("a"), title="[red]xuwei [/b] gw").splitlines()[0].rstrip() == "[red]xuwei [/b] gw"


def test_in_80_columns_a_long_title_leaves_the_values_their_room():
    row = Row(
        "stack-1", "1# [备用] 烟囱 [/b] 一二三四五六七八九", "modbus", STACK.readings, NOW, 123456, 123456, 123456, 3
    )
    header, narrow = printed(row).splitlines()[1:3]
    room = header.index(" age") - header.index("values")
    assert room >= 12
    assert "1# [备用] 烟 …" in narrow
    assert "nox calibra" in narrow
    assert "1# [备用] 烟囱 [/b] 一 …" in printed(row, width=120)


def test_a_chinese_reader_sees_the_titles_of_points_and_an_english_one_their_names(monkeypatch):
    assert "so2 12.31" in printed(STACK, width=160)
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    assert "二氧化硫 12.31" in printed(STACK, width=160)


def test_every_flag_has_a_word_and_no_two_have_the_same():
    words = flag_words()
    assert set(words) == set(Flag)
    assert len(set(words.values())) == len(Flag)


def test_a_flag_of_a_later_version_is_shown_as_it_came():
    row = Row("a", readings=(Reading("x", value=1, flag="frozen"), Reading("y", value=1)))
    assert "x frozen 1" in printed(row)


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (0, "0 s"), (999, "0 s"), (99_999, "99 s"), (100_000, "1 min"), (5_999_999, "99 min"), (6_000_000, "1 h"),
        (71 * 3_600_000, "71 h"), (72 * 3_600_000, "3 d"), (-5_000, "0 s"),
    ],
)  # fmt: skip
def test_an_age_is_short(passed, said):
    assert age(NOW - passed, NOW) == said


def test_what_never_was_has_no_age():
    assert age(None, NOW) == ""


def test_for_machines_what_is_not_known_is_left_out():
    assert row_as_json(Row("gas-1")) == {"instrument": "gas-1"}
    told = row_as_json(STACK)
    assert told["points"]["co"] == {"unit": "mg/m3", "title": "一氧化碳", "flag": "no-communication"}
    assert told["points"]["door"] == {"value": 0, "title": "门"}
    assert (told["at"], told["seq"], told["stored"], told["delivered"], told["waiting"]) == (
        NOW - 1_200, 1041, 1041, 1038, 3,
    )  # fmt: skip


TEXTS = st.text(st.characters(exclude_categories=("C", "Z", "M")), max_size=40)
READINGS = st.builds(Reading, TEXTS, TEXTS, st.none() | st.integers() | st.floats() | TEXTS, TEXTS, TEXTS)
COUNTS = st.none() | st.integers(0, 999_999)
ROWS = st.builds(
    Row, st.from_regex("[A-Za-z0-9_-]{1,32}", fullmatch=True), TEXTS, st.sampled_from(["", "modbus", "opcua"]),
    st.lists(READINGS, max_size=5).map(tuple), st.none() | st.integers(0, NOW), COUNTS, COUNTS, COUNTS, COUNTS,
)  # fmt: skip


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_whatever_the_rows_say_each_takes_one_line_of_at_most_80_columns_with_its_whole_name(rows):
    lines = printed(*rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert max(map(cell_len, lines)) <= 80
    assert all(line.startswith(row.instrument) for line, row in zip(lines[2:], rows, strict=True))
