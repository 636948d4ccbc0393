"""Units by number, pure: a server that gives a unit no text still numbers it by UN/CEFACT Recommendation 20."""

from __future__ import annotations

_BYTES = 3


def common_code(number: int) -> str:
    """Give the common code that a unit's number holds (OPC 10000-8, 5.6.4.4): 4408652 is "CEL", degrees Celsius.

    Empty where the number holds none.
    """
    if not 0 < number < 1 << 8 * _BYTES:
        return ""
    text = number.to_bytes(_BYTES, "big").lstrip(b"\0")
    return text.decode("ascii") if text.isalnum() and text.isascii() else ""
