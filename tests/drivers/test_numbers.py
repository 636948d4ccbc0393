"""Rounding: the same text for the same measurement, on every protocol."""

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from parkgate.drivers.numbers import EXACT, MOST_DIGITS, decimals, exact, rounded, rounded_singles, shortest

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
normal_singles = singles.filter(lambda value: value == 0 or abs(value) >= 2.0**-126)
doubles = st.floats(allow_nan=False, allow_infinity=False)


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (12.345, 2, 12.35),  # the double is 12.3450000000000006394
        (2.675, 2, 2.67),  # and this one 2.6749999999999998224
        (0.125, 2, 0.12),  # exact ties go to the even digit
        (0.375, 2, 0.38),
        (-7.0, 0, -7.0),
        (1e300, 12, 1e300),
    ],
)
def test_a_double_is_rounded_by_its_exact_value(value, digits, expected):
    assert rounded([value], digits) == [expected]


@pytest.mark.parametrize("rounding", [rounded, rounded_singles])
def test_a_rounded_zero_is_never_negative(rounding):
    assert [math.copysign(1, value) for value in rounding([-0.0001, -0.0, 0.0], 2)] == [1, 1, 1]


@given(st.lists(singles, max_size=70), st.integers(0, MOST_DIGITS))
@example([3.4028234663852886e38, -3.4028234663852886e38, 1e-45], MOST_DIGITS)
def test_the_fast_way_gives_for_every_float32_what_the_exact_way_gives(values, digits):
    assert rounded_singles(values, digits) == rounded(values, digits)


@given(singles, st.integers(0, MOST_DIGITS))
def test_a_rounded_float32_is_the_nearest_decimal(value, digits):
    (result,) = rounded_singles([value], digits)
    assert abs(Fraction(Decimal(repr(result))) - Fraction(value)) <= Fraction(1, 2 * 10**digits) + Fraction(
        math.ulp(result)
    )
    assert round(result, digits) == result


@given(st.integers(-EXACT, EXACT), st.integers(0, 3))
def test_a_scaled_integer_rounds_to_the_decimals_of_its_scale(raw, digits):
    (result,) = rounded_singles([raw * 10.0**-digits], digits)
    assert result == pytest.approx(float(Fraction(raw, 10**digits)), rel=1e-15)


@given(st.integers(-(1 << 31), (1 << 32) - 1), st.sampled_from([0.1, 0.01, 0.001, 0.5, 0.25]))
def test_a_32_bit_integer_with_a_decimal_scale_is_exactly_its_decimal_text(raw, scale):
    (result,) = rounded_singles([raw * scale], decimals(scale))
    assert result == float(Decimal(raw) * Decimal(repr(scale)))


@given(
    st.integers(-(1 << 63), (1 << 64) - 1), st.sampled_from([0.1, 0.01, 0.001, 0.5, 0.25, 10.0]), st.integers(-99, 99)
)
def test_a_64_bit_integer_with_a_decimal_scale_is_written_without_loss(raw, scale, offset):
    text = exact(raw, scale, offset / 4, MOST_DIGITS - 4)
    assert Fraction(text) == raw * Fraction(repr(scale)) + Fraction(offset, 4)


@pytest.mark.parametrize(
    ("raw", "digits", "text"), [(-4, 2, "0.00"), (-5, 2, "0.00"), (-6, 2, "-0.01"), (0, 0, "0"), (15, 2, "0.02")]
)
def test_a_written_integer_is_rounded_as_a_number_is_and_its_zero_is_never_negative(raw, digits, text):
    assert exact(raw, 0.001, 0.0, digits) == text


def test_a_product_beyond_the_doubles_is_still_a_number():
    assert rounded_singles([1.7e308, 0.126], 2) == [1.7e308, 0.13]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("4048F5C3", "3.14"),
        ("40A1A89D", "5.0518327"),
        ("47F12000", "123456.0"),
        ("3DCCCCCD", "0.1"),
        ("7F7FFFFF", "3.4028235e+38"),
        ("00800000", "1.1754944e-38"),
        ("C61C3C00", "-9999.0"),
        ("4B800001", "16777218.0"),
    ],
)
def test_a_float32_becomes_the_text_a_person_would_write(bits, text):
    (value,) = struct.unpack(">f", bytes.fromhex(bits))
    assert [repr(each) for each in shortest([value])] == [text]


@given(st.lists(singles, max_size=70))
def test_the_shortest_text_reads_back_as_the_same_float32(values):
    assert [single(each) for each in shortest(values)] == values


@given(normal_singles)
def test_no_text_with_fewer_digits_would_read_back(value):
    assume(abs(value) not in {2.0**-96, 2.0**87, 2.0**90})
    (found,) = shortest([value])
    digits = len(Decimal(repr(found)).normalize().as_tuple().digits)
    shorter = [float(f"{value:.{count}g}") for count in range(1, digits)]
    assert all(single(each) != value for each in shorter)


@given(doubles)
def test_a_value_no_float32_can_hold_keeps_nine_digits(value):
    (found,) = shortest([value])
    assert found == pytest.approx(value, rel=1e-6, abs=1e-37)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1.0, 0.0), 0),
        ((0.01, 0.0), 2),
        ((0.1, 0.05), 2),
        ((10.0, -40.0), 0),
        ((1e-5, 0.0), 5),
        ((2.5, 273.15), 2),
        ((1 / 3, 0.0), 12),
        ((1e20, 0.0), 0),
    ],
)
def test_the_decimals_of_a_scaled_integer_are_those_its_scale_and_offset_are_written_with(numbers, expected):
    assert decimals(*numbers) == expected
