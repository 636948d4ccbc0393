"""Addresses: the notation of people and that of manuals lead to the same register."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus.address import Address, parse

tables = st.sampled_from(["coil", "discrete", "input", "holding"])
LEADING = {"coil": 0, "discrete": 1, "input": 3, "holding": 4}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("input 0", Address("input", 0)),
        ("holding 65535", Address("holding", 65535)),
        ("holding 40.3", Address("holding", 40, 3)),
        ("holding 40.0", Address("holding", 40, 0)),
        ("input 7.15", Address("input", 7, 15)),
        ("coil 5", Address("coil", 5)),
        ("discrete 0", Address("discrete", 0)),
        ("  holding   12 ", Address("holding", 12)),
        ("holding 0x1000", Address("holding", 4096)),
        ("holding 30001", Address("holding", 30001)),
        ("30001", Address("input", 0)),
        ("40001", Address("holding", 0)),
        ("400001", Address("holding", 0)),
        ("465536", Address("holding", 65535)),
        ("49999", Address("holding", 9998)),
        ("10001", Address("discrete", 0)),
        ("00001", Address("coil", 0)),
        ("000017", Address("coil", 16)),
        ("40041.3", Address("holding", 40, 3)),
    ],
)
def test_an_address_is_read_as_the_manual_means_it(at, expected):
    assert parse(at, 0) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("input 1", Address("input", 0)),
        ("holding 41.3", Address("holding", 40, 3)),
        ("coil 65536", Address("coil", 65535)),
        ("holding 0x1000", Address("holding", 4095)),
        ("30001", Address("input", 0)),
        ("400001", Address("holding", 0)),
    ],
)
def test_base_one_shifts_the_word_forms_and_leaves_the_manuals_own_notation(at, expected):
    assert parse(at, 1) == expected


@pytest.mark.parametrize(
    ("at", "base", "what"),
    [
        ("holding", 0, "not a Modbus address"),
        ("holding -1", 0, "not a Modbus address"),
        ("register 5", 0, "not a Modbus address"),
        ("20001", 0, "not a Modbus address"),
        ("50001", 0, "not a Modbus address"),
        ("4001", 0, "not a Modbus address"),
        ("4000001", 0, "not a Modbus address"),
        ("ns=2;s=Tank", 0, "not a Modbus address"),
        ("holding 40.", 0, "not a Modbus address"),
        ("holding 4 0", 0, "not a Modbus address"),
        ("Holding 4", 0, "not a Modbus address"),
        ("holding ٣", 0, "not a Modbus address"),
        ("", 0, "not a Modbus address"),
        ("holding 65536", 0, "no such register"),
        ("holding 0", 1, "no such register"),
        ("40000", 0, "no such register"),
        ("465537", 0, "no such register"),
        ("holding 40.16", 0, "no such bit"),
        ("coil 5.0", 0, "no such bit"),
        ("10001.2", 0, "no such bit"),
    ],
)
def test_what_is_no_address_is_refused_with_its_text_and_a_hint(at, base, what):
    with pytest.raises(Unusable, match=what) as refused:
        parse(at, base)
    assert refused.value.where == f'"{at}"'
    assert refused.value.hint.endswith(".")


@given(tables, st.integers(0, 65535))
def test_the_manuals_six_digits_and_the_words_mean_the_same_place(table, register):
    manual = f"{LEADING[table]}{register + 1:05}"
    assert parse(manual, 0) == parse(f"{table} {register}", 0) == parse(f"{table} {register + 1}", 1)


@given(st.text(max_size=12), st.integers(0, 1))
def test_any_other_text_is_refused_and_never_crashes(text, base):
    try:
        found = parse(text, base)
    except Unusable:
        return
    assert 0 <= found.register <= 65535
