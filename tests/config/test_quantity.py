"""Durations, sizes, and how messages show values and suggest words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.problem import Problem, Problems, shown, suggestion
from parkgate.config.quantity import duration_ms, size_bytes
from parkgate.config.site import Line, Outbox


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1ms", 1),
        ("500ms", 500),
        ("0.5s", 500),
        ("5 s", 5_000),
        ("1.5min", 90_000),
        ("1h", 3_600_000),
        (" 30d ", 2_592_000_000),
    ],
)
def test_a_duration_has_its_unit(text, milliseconds):
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 sec", "1e3s", "0s", "0.1ms", "1,5s", "५s", f"{'9' * 400}d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="^" if not text else text[:4].replace("+", "")):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("1kB", 1000), ("1KiB", 1024), ("1.5MB", 1_500_000), ("2 GiB", 2 * 1024**3), ("2GB", 2 * 10**9)],
)
def test_a_size_has_its_unit(text, size):
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["2", "GiB", "2 gib", "-2GB", "0B", "0.1B", f"{'9' * 400}GiB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=text[:4]):
        size_bytes(text)


@given(st.text(max_size=20) | st.from_regex(r"[0-9.]{1,30}(ms|s|min|h|d|B|kB|GiB)"))
def test_any_text_is_a_positive_number_or_refused(text):
    for read in (duration_ms, size_bytes):
        try:
            value = read(text)
        except ValueError:
            continue
        assert isinstance(value, int)
        assert value >= 1


def test_code_may_give_milliseconds_and_bytes_as_numbers():
    assert Line(name="a", url="modbus-tcp://h", timeout=250).timeout == 250
    assert Outbox(max_size=1000, commit=200).commit == 200


def test_a_suggestion_is_the_nearest_word_or_the_few_there_are_or_nothing():
    assert suggestion("flaot32", ["int16", "float32"]) == '; did you mean "float32"?'
    assert suggestion("ABcd", ["DCBA", "ABCD"]) == '; did you mean "ABCD"?'
    assert suggestion("zzz", ["deliver", "hold"]) == "; known: deliver, hold"
    assert suggestion("zzz", [f"word{number}" for number in range(13)]) == ""
    assert suggestion("zzz", []) == ""


@given(st.text(max_size=200))
def test_a_shown_value_is_one_printable_line_of_sixty_characters_at_most(text):
    assert shown(text).isprintable()
    assert len(shown(text)) <= 60


def test_a_problem_prints_what_it_has():
    assert str(Problem(Path("a.toml"), 3, "gateway.id", "is wrong")) == "a.toml:3: gateway.id: is wrong"
    assert str(Problem(Path("a.toml"), None, "", "is wrong")) == "a.toml: is wrong"
    assert str(Problems([])) == ""
