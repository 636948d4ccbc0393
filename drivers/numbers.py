"""How many decimals a value carries: rounding that every protocol shares."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal

MOST_DIGITS = 12
"""The most decimals a point may ask for."""

EXACT = 1 << 53
"""The largest magnitude up to which every integer is a double of its own (IEEE 754 binary64)."""

_POWERS = tuple(10.0**digits for digits in range(MOST_DIGITS + 1))


def rounded(values: Sequence[float], digits: int) -> list[float]:
    """Round finite doubles to `digits` decimals (0 to 12), exact ties to even; a zero is never negative."""
    return [round(value, digits) + 0.0 for value in values]


def rounded_singles(values: Sequence[float], digits: int) -> list[float]:
    """Round as `rounded` does but twice as fast, for float32 values and scaled integers.

    The product of a float32 and 10**12 is exact in a double, so the result equals that of `rounded` for every float32.
    """
    power = _POWERS[digits]
    try:
        return [round(value * power) / power for value in values]
    except OverflowError:
        return rounded(values, digits)


def shortest(values: Sequence[float]) -> list[float]:
    """Give each finite float32 as the double whose text is the shortest that reads back as the same float32.

    4.1 stays 4.1 and not 4.099999904632568. The search begins at six significant digits, which every normal float32
    holds (FLT_DIG), and takes the nearest text of each length; the powers of two 2**-96, 2**87 and 2**90 have a text
    one digit shorter that is not the nearest. A value that a float32 cannot hold keeps nine significant digits.
    """
    layout = f"<{len(values)}f"  # the standard form: the native one makes an infinity of what does not fit
    try:
        singles = struct.unpack(layout, struct.pack(layout, *values))
    except OverflowError:
        return [float(f"{value:.9g}") for value in values]
    found = [float(f"{single:.6g}") for single in singles]
    for digits in (7, 8, 9):
        back = struct.unpack(layout, struct.pack(layout, *found))
        if back == singles:
            break
        found = [
            text if again == single else float(f"{single:.{digits}g}")
            for text, again, single in zip(found, back, singles, strict=True)
        ]
    return found


def exact(raw: int, scale: float, offset: float, digits: int) -> str:
    """Write a scaled integer with `digits` decimals, from the decimal texts of scale and offset.

    Nothing is lost to a double: up to 28 significant digits are exact. A tie goes to the even digit and a zero is
    never negative, as with `rounded`.
    """
    return f"{raw * Decimal(repr(scale)) + Decimal(repr(offset)):z.{digits}f}"


def decimals(*numbers: float) -> int:
    """Count the decimals that a scale and an offset give to an integer: 0.01 and 5 give 2; at most 12."""
    exponents = (Decimal(repr(float(number))).normalize().as_tuple().exponent for number in numbers)
    return min(MOST_DIGITS, max(0, *(-exponent for exponent in exponents if isinstance(exponent, int))))
