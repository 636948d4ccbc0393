"""The four Modbus tables of one unit as a client sees them: words and bits at addresses, not what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parkgate.drivers.modbus.address import Table

Cells = tuple[Table, int, int]
"""A run of cells: table, first address, how many."""

WORD_BYTES = 2
_OF_BITS = frozenset[Table]({"coil", "discrete"})


class Image:
    """What a unit holds: each table spans from its lowest to its highest known cell, and cells between read as 0.

    Words are kept as the wire wants them (big-endian bytes), so that a read is a slice.
    """

    def __init__(self, cells: Iterable[Cells]) -> None:
        self._first: dict[Table, int] = {}
        end: dict[Table, int] = {}
        for table, first, count in cells:
            self._first[table] = min(first, self._first.get(table, first))
            end[table] = max(first + count, end.get(table, 0))
        size = {table: end[table] - first for table, first in self._first.items()}
        self._bits = {table: bytearray(cells) for table, cells in size.items() if table in _OF_BITS}
        self._words = {table: bytearray(cells * WORD_BYTES) for table, cells in size.items() if table not in _OF_BITS}

    def write(self, table: Table, first: int, values: Sequence[int]) -> None:
        """Set words (0 to 65535) or bits (0 or 1) from an address on.

        Raises:
            KeyError, IndexError: a cell outside the spans this image was made for.

        """
        start = first - self._first[table]
        if table in self._bits:
            self._place(self._bits[table], start, bytes(values))
        else:
            data = b"".join(word.to_bytes(WORD_BYTES, "big") for word in values)
            self._place(self._words[table], start * WORD_BYTES, data)

    def write_bit(self, table: Table, register: int, bit: int, *, on: bool) -> None:
        """Set one bit (0 = least significant) of a register, leaving its others."""
        word = self.word(table, register)
        self.write(table, register, (word | 1 << bit if on else word & ~(1 << bit),))

    def word(self, table: Table, register: int) -> int:
        """Give a register's word, or a coil's or discrete input's bit.

        Raises:
            KeyError, IndexError: a cell outside the spans this image was made for.

        """
        start = register - self._first[table]
        if table in self._bits:
            return self._bits[table][start]
        high, low = self._words[table][start * WORD_BYTES : (start + 1) * WORD_BYTES]
        return high << 8 | low

    def read(self, table: Table, first: int, count: int) -> bytes | None:
        """Give `count` cells as a read answers them: words big-endian, bits packed eight a byte, the first lowest.

        None if one of them lies outside the span of its table (MODBUS Application Protocol V1.1b3, 6.1 to 6.4).
        """
        start = first - self._first.get(table, first + 1)
        size = WORD_BYTES if table in self._words else 1
        cells = self._words.get(table) or self._bits.get(table) or bytearray()
        if start < 0 or (start + count) * size > len(cells):
            return None
        data = bytes(cells[start * size : (start + count) * size])
        return _packed(data) if table in self._bits else data

    @staticmethod
    def _place(cells: bytearray, start: int, data: bytes) -> None:
        if start < 0 or start + len(data) > len(cells):
            raise IndexError(start)
        cells[start : start + len(data)] = data


def _packed(bits: bytes) -> bytes:
    number = sum(1 << index for index, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")
