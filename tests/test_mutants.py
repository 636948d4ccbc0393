"""The mutants that have a name still fit the code they change; `make chaos CHAOS=mutants` runs the tests on them."""

import tomllib

import pytest
from chaos.mutants import NAMED, ROOT, TESTS, generated, named, plain

LISTED = tomllib.loads(NAMED.read_text(encoding="utf-8"))["mutant"]


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed["name"])
def test_what_a_named_mutant_changes_stands_once_in_its_file(listed):
    assert (ROOT / listed["file"]).read_text(encoding="utf-8").count(listed["old"]) == 1


@pytest.mark.parametrize("mutant", named(), ids=lambda mutant: mutant.name)
def test_a_named_mutant_is_another_program(mutant):
    assert plain(mutant.source) != plain((ROOT / mutant.file).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "test", sorted({*sum(TESTS.values(), ()), *(test for each in LISTED for test in each["tests"])})
)
def test_the_tests_of_mutants_are_there(test):
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not name or f"def {name.partition('[')[0]}(" in text


def test_no_two_named_mutants_have_one_name():
    assert len({listed["name"] for listed in LISTED}) == len(LISTED)


def test_a_seed_gives_the_same_mutants_each_time_and_each_is_another_program():
    files = ("gateway/forwarding/ramp.py", "gateway/forwarding/verdicts.py")
    once, again = generated(10, 1, files), generated(10, 1, files)
    assert once == again
    assert len({mutant.key for mutant in once}) == 10


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(a: int | None) -> int | str: pass", "def f(a: int + None) -> int - str: pass"),
        ("EVERY = 5.0", "EVERY = 6.0"),
        ("FIRST, THEN = 1.5, 600", "FIRST, THEN = 0.5, 600"),
        ("_QUIET = 0.1", "_QUIET = -0.9"),
        ("def f(a, *, b=1): pass", "def f(a, /, b=1): pass"),
        ("_log.error(1 + 1)", "_log.error(1 - 1)"),
    ],
)
def test_what_changes_nothing_is_no_mutant(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), [("CODE = 0x10", "CODE = 17"), ("x = 5.0", "x = 6.0"), ("a + b", "a - b")])
def test_what_changes_something_is_a_mutant(one, other):
    assert plain(one) != plain(other)
