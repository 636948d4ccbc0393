"""What registers mean, by the byte sequences of the specification and of manuals, none of them made by our encoder."""

import math

import pytest
from support.modbus_maps import instrument, point, snapshot, wire_bits, words

from parkgate.config.flag import Flag
from parkgate.config.profile import State
from parkgate.drivers.modbus.codec import encode

WHOLE = (1 << 53) + 1


def read(text, kind, **more):
    """The value and flag of one point whose registers hold these words."""
    order = more.pop("order", "ABCD")
    found = snapshot(instrument(point(more.pop("at", "holding 0"), kind, **more), order=order), words(text))
    return found.values[0], found.flags.get(0)


def values(site, image):
    return snapshot(site, image).values


def test_the_specifications_coils_20_to_38():
    """MODBUS Application Protocol V1.1b3, 6.1: start 0x13, 19 coils, reply CD 6B 05."""
    site = instrument(*(point(f"coil {19 + index}", "bool") for index in range(19)))
    expected = (1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1)
    assert values(site, wire_bits("CD6B05", 19, "coil")) == expected


def test_the_specifications_discrete_inputs_197_to_218():
    """The same, 6.2: start 0xC4, 22 inputs, reply AC DB 35."""
    site = instrument(*(point(f"{10197 + index}", "bool") for index in range(22)))
    expected = (0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1)
    assert values(site, wire_bits("ACDB35", 0xC4, "discrete")) == expected


def test_the_specifications_holding_registers_108_to_110():
    """The same, 6.3: start 0x6B, reply 022B 0000 0064."""
    site = instrument(point("40108"), point("40109"), point("40110"))
    assert values(site, words("022B 0000 0064", 0x6B)) == (555, 0, 100)


def test_the_specifications_input_register_9():
    """The same, 6.4: start 8, reply 000A."""
    assert values(instrument(point("30009")), words("000A", 8, "input")) == (10,)


def test_the_jiangsu_water_analysers_example():
    """Its literal registers 30001 to 30003 are read with function 3; 40A1 A89D is given as 5.0518 mg/L."""
    site = instrument(point("holding 30001"), point("holding 30002", "float32", digits=4))
    assert values(site, words("0001 40A1 A89D", 30001)) == (1, 5.0518)


def test_an_endress_hauser_flowmeter_in_its_factory_order_1_0_3_2():
    """Bytes 1-0-3-2, byte 0 the lowest: 2000 47F1 for 123456, register 2009 counted from 1."""
    site = instrument(point("holding 2009", "float32"), base=1, order="CDAB")
    assert values(site, words("2000 47F1", 2008)) == (123456.0,)


def test_a_lambrecht_weather_station():
    """Input registers 30001 wind speed x 0.1, 30401 temperature x 0.1, 31101-2 precipitation int32 / 1000."""
    site = instrument(
        point("30001", "int16", scale=0.1), point("30401", "int16", scale=0.1), point("31101", "int32", scale=0.001)
    )
    held = {0: 0x0023, 400: 0xFFCE, 1100: 0x0001, 1101: 0xE240}
    assert values(site, lambda _table, register: held[register]) == (3.5, -5.0, 123.456)


def test_a_honeywell_midas_status_word_gives_its_mode_and_its_fault():
    """Holding 40001: bits 0 to 3 the mode, 4 and 5 the fault, bit 6 alarm 1; 40003-4 the concentration."""
    site = instrument(
        point("40003", "float32"),
        point("40001.6", "bool"),
        states=(
            State(at="40001", bits=(0, 3), equals=[7, 8], flag="calibration"),
            State(at="40001", bits=(4, 5), equals=2, flag="fault"),
            State(at="40001.11", equals=1, flag="stale"),
        ),
    )
    found = snapshot(site, words("0867 0000 4148 0000"))
    assert found.values == (12.5, 1)
    assert found.states == (7, 2, 1)


@pytest.mark.parametrize(
    ("order", "text"),
    [("ABCD", "47F1 2000"), ("CDAB", "2000 47F1"), ("BADC", "F147 0020"), ("DCBA", "0020 F147")],
)
@pytest.mark.parametrize(("kind", "expected"), [("float32", 123456.0), ("uint32", 0x47F12000), ("int32", 0x47F12000)])
def test_the_four_orders_of_32_bits(order, text, kind, expected):
    assert read(text, kind, order=order) == (expected, None)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("ABCD", "4009 21FB 5444 2D18"),
        ("CDAB", "2D18 5444 21FB 4009"),
        ("BADC", "0940 FB21 4454 182D"),
        ("DCBA", "182D 4454 FB21 0940"),
    ],
)
@pytest.mark.parametrize("kind", ["float64", "double"])
def test_the_four_orders_of_64_bits(order, text, kind):
    assert read(text, kind, order=order) == (math.pi, None)


@pytest.mark.parametrize(
    ("order", "expected"), [("ABCD", 0x0102), ("CDAB", 0x0102), ("BADC", 0x0201), ("DCBA", 0x0201)]
)
def test_a_16_bit_value_is_swapped_only_where_every_word_is(order, expected):
    assert read("0102", "uint16", order=order) == (expected, None)


@pytest.mark.parametrize(
    ("order", "expected"), [("ABCD", (1, 0)), ("CDAB", (1, 0)), ("BADC", (0, 1)), ("DCBA", (0, 1))]
)
def test_a_bit_is_counted_in_the_register_as_its_order_gives_it(order, expected):
    site = instrument(point("holding 0.0", "bool"), point("holding 0.8", "bool"), order=order)
    assert values(site, words("0001")) == expected


@pytest.mark.parametrize(("order", "text"), [("ABCD", "4142 4344"), ("CDAB", "4142 4344"), ("BADC", "4241 4443")])
def test_the_words_of_a_string_are_never_reversed(order, text):
    assert read(text, "string:2", order=order) == ("ABCD", None)


def test_a_points_own_order_goes_before_its_instruments():
    site = instrument(point("holding 0", "float32", order="DCBA"), point("holding 2", "float32"), order="CDAB")
    assert values(site, words("0020 F147 2000 47F1")) == (123456.0, 123456.0)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("int16", "8000", -32768),
        ("uint16", "8000", 32768),
        ("int32", "FFFF FFFE", -2),
        ("uint32", "FFFF FFFE", 4294967294),
        ("int64", "FFFF FFFF FFFF FFFE", -2),
        ("uint64", "0020 0000 0000 0000", 1 << 53),
        ("bcd16", "1234", 1234),
        ("bcd32", "0001 9876", 19876),
        ("bool", "0000", 0),
        ("bool", "FF00", 1),
        ("string:3", "4142 4300 0000", "ABC"),
        ("string:3", "2041 2042 2020", " A B"),
        ("string:4", "E4B8 80E5 8FB7 0000", "一号"),
        ("string:2", "D2BB BAC5", "一号"),  # the same in GB18030
    ],
)
def test_each_type_is_read_and_whole_numbers_stay_whole(kind, text, expected):
    value, flag = read(text, kind)
    assert (value, type(value), flag) == (expected, type(expected), None)


@pytest.mark.parametrize(
    ("kind", "text", "more", "expected"),
    [
        ("uint16", "04D2", {"scale": 0.01}, 12.34),
        ("uint16", "04D2", {"scale": 0.1, "offset": 0.05}, 123.45),
        ("int16", "FF38", {"scale": 0.1, "offset": -40.0}, -60.0),
        ("uint16", "000A", {"scale": 10.0}, 100.0),
        ("uint16", "04D2", {"scale": 0.01, "digits": 1}, 12.3),
        ("uint16", "04D2", {"digits": 2}, 1234),
        ("bcd16", "1234", {"scale": 0.1}, 123.4),
        ("float32", "4048 F5C3", {}, 3.14),
        ("float32", "4048 F5C3", {"digits": 1}, 3.1),
        ("float32", "4048 F5C3", {"scale": 100.0}, 314.0),
        ("float64", "4009 21FB 5444 2D18", {"digits": 3}, 3.142),
        ("float32", "8000 0000", {"digits": 1}, 0.0),
    ],
)
def test_scale_offset_and_digits(kind, text, more, expected):
    value, flag = read(text, kind, **more)
    assert (repr(value), flag) == (repr(expected), None)


@pytest.mark.parametrize(
    ("kind", "text", "more"),
    [
        ("uint16", "FFFF", {"invalid": [0xFFFF]}),
        ("int16", "7FFF", {"invalid": [0x7FFF, 0x8000]}),
        ("int16", "8000", {"invalid": [0x7FFF, 0x8000]}),
        ("int32", "FFFF FFFF", {"invalid": [0xFFFFFFFF], "scale": 0.1}),
        ("uint64", "FFFF FFFF FFFF FFFF", {"invalid": [0xFFFFFFFFFFFFFFFF]}),
        ("uint16", "03E7", {"invalid": 999, "scale": 0.1}),  # the raw value, before the scale
        ("float32", "C61C 3C00", {"invalid": [-9999]}),
        ("float32", "3DCC CCCD", {"invalid": [0.1]}),
        ("bcd16", "9999", {"invalid": [9999]}),
        ("float32", "7FC0 0000", {}),
        ("float32", "7F80 0000", {"digits": 2}),
        ("float32", "FF80 0000", {"scale": 2.0}),
        ("float64", "7FF0 0000 0000 0000", {}),
        ("float64", "7FEF FFFF FFFF FFFF", {"scale": 10.0}),
        ("bcd16", "12A4", {}),
        ("bcd32", "0000 00F0", {"scale": 0.1}),
        ("string:1", "FFFF", {}),
    ],
)
def test_what_is_no_measurement_has_no_value_and_is_a_fault(kind, text, more):
    assert read(text, kind, **more) == (None, Flag.FAULT)


def test_a_sentinel_is_not_compared_with_the_scaled_value():
    assert read("03E7", "uint16", invalid=[99.9], scale=0.1) == (99.9, None)


def test_a_sentinel_no_float32_can_be_does_no_harm():
    assert read("4048 F5C3", "float32", invalid=[1e300]) == (3.14, None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("uint64", "0020 0000 0000 0001"),
        ("int64", "FFDF FFFF FFFF FFFF"),
        ("uint64", "FFFF FFFF FFFF FFFF"),
    ],
)
def test_a_64_bit_integer_that_a_double_cannot_hold_is_out_of_range(kind, text):
    assert read(text, kind) == (None, Flag.OUT_OF_RANGE)


@pytest.mark.parametrize(
    ("kind", "text", "more", "expected"),
    [
        ("uint64", "0020 0000 0000 0001", {}, str(WHOLE)),
        ("int64", "FFDF FFFF FFFF FFFF", {}, str(-WHOLE)),
        ("uint64", "FFFF FFFF FFFF FFFF", {"scale": 0.001}, "18446744073709551.615"),
        ("uint64", "FFFF FFFF FFFF FFFF", {"scale": 0.001, "digits": 1}, "18446744073709551.6"),
        ("uint16", "000C", {}, "12"),
        ("float32", "4048 F5C3", {}, "3.14"),
    ],
)
def test_as_string_is_exact_at_any_size(kind, text, more, expected):
    assert read(text, kind, as_="string", **more) == (expected, None)


def test_one_bad_value_leaves_its_neighbours_alone():
    site = instrument(
        point("holding 0", "float32", digits=1), point("holding 2", "float32", digits=1), point("holding 4")
    )
    found = snapshot(site, words("4048 F5C3 7FC0 0000 0007"))
    assert found.values == (3.1, None, 7)
    assert dict(found.flags) == {1: Flag.FAULT}


def test_doubles_whose_sum_is_infinite_are_each_still_numbers():
    site = instrument(*(point(f"holding {4 * index}", "float64") for index in range(2)))
    largest = "7FEF FFFF FFFF FFFF"
    found = snapshot(site, words(f"{largest} {largest}"))
    assert found.values == (1.7976931348623157e308,) * 2
    assert dict(found.flags) == {}


def test_values_over_the_same_registers_are_each_read():
    site = instrument(
        point("holding 0", "uint32"), point("holding 1"), point("holding 1", "int32"), point("holding 0.15", "bool")
    )
    assert values(site, words("8001 0002 0003")) == (0x80010002, 2, 0x00020003, 1)


def test_the_registers_of_a_gap_are_skipped():
    site = instrument(point("holding 1"), point("holding 4", "uint32"), point("holding 9"), max_gap=16)
    assert values(site, words("0001 FFFF FFFF 0002 0003 FFFF FFFF FFFF 0004", 1)) == (1, 0x20003, 4)


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        (State(at="holding 0", equals=1, flag="fault"), "FFFE", 0xFFFE),
        (State(at="holding 0", type="int16", equals=1, flag="fault"), "FFFE", -2),
        (State(at="holding 0", type="uint32", equals=1, flag="fault"), "0001 0002", 0x10002),
        (State(at="holding 0", type="uint32", bits=(12, 19), equals=1, flag="fault"), "00FA B000", 0xAB),
        (State(at="holding 0", type="int16", bits=(12, 15), equals=1, flag="fault"), "F000", 15),
        (State(at="holding 0.15", equals=1, flag="fault"), "8000", 1),
        (State(at="holding 0", type="int64", bits=(63, 63), equals=1, flag="fault"), "8000 0000 0000 0000", 1),
    ],
)
def test_a_state_is_a_raw_whole_number(state, text, expected):
    padded = f"{text} 0000 0000"
    assert snapshot(instrument(point("holding 1"), states=(state,)), words(padded)).states == (expected,)


def test_a_state_of_a_discrete_input_is_zero_or_one():
    states = tuple(State(at=f"discrete {place}", equals=1, flag="fault") for place in (1000, 1001, 1004))
    site = instrument(point("discrete 1002", "bool"), states=states)
    found = snapshot(site, wire_bits("16", 1000, "discrete"))
    assert (found.values, found.states) == ((1,), (0, 1, 1))


@pytest.mark.parametrize(
    ("kind", "order", "value", "text"),
    [
        ("float32", "ABCD", 123456.0, "47F1 2000"),
        ("float32", "CDAB", 123456.0, "2000 47F1"),
        ("float32", "BADC", 123456.0, "F147 0020"),
        ("float32", "DCBA", 123456.0, "0020 F147"),
        ("float64", "CDAB", math.pi, "2D18 5444 21FB 4009"),
        ("uint16", "ABCD", 555, "022B"),
        ("uint16", "BADC", 555, "2B02"),
        ("int16", "ABCD", -2, "FFFE"),
        ("bcd16", "ABCD", 1234, "1234"),
        ("bcd32", "ABCD", 19876, "0001 9876"),
        ("string:3", "ABCD", "AB", "4142 0000 0000"),
        ("string:2", "BADC", "ABCD", "4241 4443"),
        ("bool", "ABCD", 1, "0001"),
        ("uint64", "ABCD", str(WHOLE), "0020 0000 0000 0001"),
    ],
)
def test_a_simulated_instrument_holds_the_registers_of_the_manual(kind, order, value, text):
    assert encode(point("holding 0", kind), order, value) == tuple(int(word, 16) for word in text.split())


def test_encoding_undoes_the_scale_of_a_whole_number_exactly():
    assert encode(point("holding 0", scale=0.1, offset=-40.0), "ABCD", -39.3) == (7,)
    assert encode(point("holding 0", "uint64", scale=0.001, as_="string"), "ABCD", "18446744073709551.615") == (
        (0xFFFF,) * 4
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint16", 65536),
        ("uint16", -1),
        ("int16", math.nan),
        ("int16", 40000),
        ("float32", 1e39),
        ("bcd16", 12345),
        ("bcd16", -1),
        ("string:1", "ABC"),
        ("uint16", "twelve"),
        ("float32", "twelve"),
    ],
)
def test_what_does_not_fit_its_type_is_not_encoded(kind, value):
    with pytest.raises(ValueError, match=r"does not fit points\.p"):
        encode(point("holding 0", kind), "ABCD", value)
