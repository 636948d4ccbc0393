"""The word-order assistant: the right order and base are among the plausible ones, and the wrong ones rarely are."""

import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.modbus_maps import instrument, orders, point

from parkgate.drivers.modbus.assistant import ORDERS, Place, advise, agreed, missing, shown
from parkgate.drivers.modbus.codec import encode

KINDS = ("int16", "uint16", "bcd16", "int32", "uint32", "bcd32", "float32", "float64", "int64", "uint64")


def cells(*words, start=0, table="input"):
    return {(table, start + index): word for index, word in enumerate(words)}


def single(value, order="ABCD"):
    return encode(point("input 0", "float32"), order, value)


def advice(site, registers, index=0):
    return advise(Place(site, site.points[index]), registers)


def bases(instrument_base):
    """Where the value stands in truth, seen from where the profile looks for it."""
    return {0: -1, 1: 1}[instrument_base]


@given(
    kind=st.sampled_from(KINDS),
    configured=orders,
    true=orders,
    base=st.sampled_from([0, 1]),
    moved=st.booleans(),
    number=st.integers(1, 9_000),
    around=st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
)
def test_the_right_order_and_base_are_among_the_plausible_ones(kind, configured, true, base, moved, number, around):
    asked = point("input 8", kind, range=(0, 10_000))
    site = instrument(asked, order=configured, base=base)
    words = encode(asked, true, number)
    true_base = 1 - base if moved else base
    start = 8 - base + (bases(base) if moved else 0)
    given_ = cells(*(around[:1] * 4), *words, *(around[1:] * 4), start=start - 4)
    found = advice(site, given_)
    alike = {true} if len(words) > 1 else {true, {"ABCD": "CDAB", "CDAB": "ABCD", "BADC": "DCBA", "DCBA": "BADC"}[true]}
    (right,) = [each for each in found.candidates if each.order in alike and each.base == true_base]
    assert right.plausible
    assert right.register == start
    assert right.cells == words
    assert float(right.value) == number
    if (right.order, right.base) == (configured, base):
        assert not found.doubtful


@given(true=orders, configured=orders, value=st.floats(0.5, 299, width=32))
def test_a_float_whose_words_are_swapped_is_known_by_its_range(true, configured, value):
    site = instrument(point("input 0", "float32", range=(0, 300), digits=2), order=configured)
    found = advice(site, cells(*single(value, true)))
    assume(len(found.plausible) == 1)
    assert found.plausible[0].order == true
    assert found.verdict == ("as-configured" if true == configured else "one")
    if true != configured:
        assert found.words() == f'only {true} is plausible: set order = "{true}"'


def test_what_would_be_rounded_to_a_zero_is_no_zero():
    site = instrument(point("input 0", "float32", range=(0, 300), digits=2))
    found = advice(site, cells(*single(12.5, "CDAB")))
    assert found.doubtful
    assert 0 < found.configured.value < 1e-40
    assert found.words() == 'only CDAB is plausible: set order = "CDAB"'


def test_an_offset_does_not_hide_a_denormal():
    site = instrument(point("input 0", "float32", range=(0, 300), offset=40.0))
    assert advice(site, cells(*single(12.5, "CDAB"))).verdict == "one"


def test_a_true_zero_is_plausible_in_every_order():
    found = advice(instrument(point("input 0", "float32", range=(0, 300))), cells(0, 0))
    assert found.verdict == "as-configured"
    assert [each.order for each in found.plausible] == list(ORDERS)
    assert found.words() == "as configured is plausible"


@pytest.mark.parametrize(
    ("value", "plausible"),
    [(1e-6, True), (9e-7, False), (-5e-7, False), (1e9, True), (1.1e9, False), (0.0, True), (float("nan"), False),
     (float("inf"), False)],
)  # fmt: skip
def test_without_a_range_a_number_is_measurable_or_nothing(value, plausible):
    site = instrument(point("input 0", "float64"))
    words = struct.unpack(">4H", struct.pack(">d", value))
    assert advice(site, cells(*words)).configured.plausible is plausible


def test_a_value_just_rounded_into_its_range_is_plausible_as_the_agent_has_it():
    site = instrument(point("input 0", "float64", range=(0, 300), digits=1))
    words = struct.unpack(">4H", struct.pack(">d", 300.004))
    assert advice(site, cells(*words)).configured.plausible


def test_a_manual_that_counts_from_one_is_found_and_what_to_write():
    site = instrument(point("input 1", "uint16", range=(100, 200)))
    found = advice(site, cells(150, 7))
    assert found.words() == "only counting from 1 is plausible: set base = 1"
    assert found.plausible[0].register == 0


def test_a_manual_that_counts_from_zero_after_all():
    site = instrument(point("input 1", "uint16", range=(100, 200)), base=1)
    assert advice(site, cells(7, 150)).words() == "only counting from 0 is plausible: set base = 0"


def test_a_number_of_the_manual_says_its_base_itself_so_the_address_is_what_to_change():
    site = instrument(point("30005", "uint16", range=(100, 200)))
    assert advice(site, cells(7, 150, start=4)).words() == 'only counting from 0 is plausible: set at = "input 5"'
    counted = instrument(point("30005", "uint16", range=(100, 200)), base=1)
    assert advice(counted, cells(7, 150, start=4)).words() == 'only counting from 0 is plausible: set at = "input 6"'


def test_order_and_base_may_both_be_wrong():
    site = instrument(point("input 5", "float32", range=(10, 20)))
    found = advice(site, cells(*single(12.5, "DCBA"), start=4))
    assert found.words() == 'only DCBA counting from 1 is plausible: set order = "DCBA", base = 1'


def test_several_are_told_with_their_values_the_configured_base_first():
    site = instrument(point("input 2", "float32", unit="mg/m3", range=(1, 300)))
    found = advice(site, cells(*single(99.0, "CDAB"), *single(12.5, "CDAB")))
    assert found.verdict == "several"
    assert found.words() == (
        "several are plausible, the likeliest first: CDAB (12.5 mg/m3), counting from 1 (99 mg/m3); "
        "compare with the display"
    )


def test_where_nothing_is_plausible_the_address_is_to_blame():
    site = instrument(point("input 0", "float32", range=(1, 2)))
    found = advice(site, cells(0xFFFF, 0xFFFF))
    assert found.verdict == "none"
    assert found.doubtful
    assert found.words() == "none is plausible: compare address, type and scale with the manual"


def test_an_invalid_value_is_the_instruments_own_word_and_no_doubt():
    site = instrument(point("input 1", "uint16", range=(0, 25), invalid=(0xFFFF,)))
    found = advice(site, cells(3, 0xFFFF))
    assert found.verdict == "no-value"
    assert not found.doubtful
    assert "look at its display" in found.words()


def test_a_register_that_could_not_be_read_is_doubtful_and_its_neighbour_may_be_it():
    site = instrument(point("input 1", "uint16", range=(100, 200)))
    assert advice(site, {}).verdict == "none"
    found = advice(site, cells(150))
    assert found.configured.cells == ()
    assert found.words() == "only counting from 1 is plausible: set base = 1"


def test_a_value_of_one_register_has_two_orders_and_a_bit_table_one():
    narrow = advice(instrument(point("input 1"), order="CDAB"), cells(1, 2))
    assert {each.order for each in narrow.candidates} == {"CDAB", "DCBA"}
    bit = advice(instrument(point("coil 1", "bool")), {("coil", 0): 1, ("coil", 1): 0})
    assert [(each.base, each.value) for each in bit.candidates] == [(0, 0), (1, 1)]
    wide = advice(instrument(point("input 1", "int64")), cells(1, 2, 3, 4, 5, start=0))
    assert len(wide.candidates) == 8


def test_a_text_is_plausible_where_it_can_be_read():
    site = instrument(point("input 0", "string:2"))
    assert advice(site, cells(0x4131, 0x4232)).verdict == "as-configured"
    assert advice(site, cells(0x0107, 0x0203)).verdict == "none"
    swapped = advice(instrument(point("input 0", "string:2")), cells(0x3141, 0x0042))
    assert swapped.words() == 'only BADC is plausible: set order = "BADC"'


def test_the_order_of_a_point_goes_before_the_instruments():
    site = instrument(point("input 0", "float32", order="CDAB", range=(1, 300)))
    assert advice(site, cells(*single(12.5, "CDAB"))).verdict == "as-configured"


def test_the_first_and_the_last_register_have_no_neighbour_beyond():
    first = instrument(point("input 0", "float32"))
    last = instrument(point("input 65535", "float32"), base=1)
    for site, registers in ((first, cells(0, 0)), (last, cells(0, 0, start=65_534))):
        found = advice(site, registers)
        assert {each.base for each in found.candidates} == {site.base}
        assert missing(found.place, registers) is None


def test_only_what_was_not_read_is_asked():
    place = Place(site := instrument(point("input 4", "float32")), site.points[0])
    block = missing(place, cells(1, 2, start=4))
    assert (block.table, block.start, block.count, block.fields) == ("input", 3, 1, ())
    assert missing(place, cells(1, 2, 3, start=3)) is None
    refused = missing(place, {})
    assert (refused.start, refused.count) == (3, 2)


def read(site, values, order, start=0):
    words = [word for each, value in zip(site.points, values, strict=True) for word in encode(each, order, value)]
    registers = cells(*words, start=start)
    return [advice(site, registers, index) for index in range(len(site.points))], registers


@given(true=orders, configured=orders, values=st.lists(st.floats(0.5, 299, width=32), min_size=3, max_size=8))
def test_what_all_points_agree_on_is_never_another_order_than_the_true_one(true, configured, values):
    assume(true != configured)
    kinds = [point(f"input {2 * index}", "float32", range=(0, 300)) for index in range(len(values))]
    said = agreed(*read(instrument(*kinds, order=configured), values, true))
    assert said == "" or f'order = "{true}"' in said or "base = 1" in said


def test_swapped_words_all_over_an_instrument_are_told_as_one_change_of_its_profile():
    kinds = [point(f"input {2 * index}", "float32", range=(1, 300)) for index in range(4)]
    found, registers = read(instrument(*kinds), [99.0, 12.5, 250.0, 44.4], "CDAB")
    assert [each.verdict for each in found] == ["one", "several", "several", "several"]
    assert agreed(found, registers) == 'All 4 doubtful points become plausible with order = "CDAB" in the profile.'


def test_a_base_that_is_wrong_all_over_is_told_too():
    kinds = [point(f"input {1 + index}", "uint16", range=(100 * index + 100, 100 * index + 190)) for index in range(3)]
    site = instrument(*kinds)
    registers = cells(150, 250, 350, 7)
    found = [advice(site, registers, index) for index in range(3)]
    assert agreed(found, registers) == "All 3 doubtful points become plausible with base = 1 in the profile."


def test_one_doubtful_point_or_one_that_would_turn_bad_is_no_reason_to_change_the_profile():
    kinds = [point(f"input {2 * index}", "float32", range=(1, 300)) for index in range(3)]
    site = instrument(*kinds)
    mixed = cells(*single(12.5, "CDAB"), *single(99.0, "CDAB"), *single(44.4, "ABCD"))
    assert agreed([advice(site, mixed, index) for index in range(3)], mixed) == ""
    one = cells(*single(12.5, "CDAB"), *single(99.0), *single(44.4))
    assert agreed([advice(site, one, index) for index in range(3)], one) == ""


def test_a_value_is_shown_briefly():
    assert [shown(each) for each in (None, 12.345678, 2.3418e-41, 7, "on")] == ["-", "12.3457", "2.3418e-41", "7", "on"]


def test_the_assistant_speaks_chinese(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    site = instrument(point("input 0", "float32", range=(0, 300)))
    said = advice(site, cells(*single(12.5, "CDAB"))).words()
    assert said == '只有 CDAB 合理：请设 order = "CDAB"'


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
