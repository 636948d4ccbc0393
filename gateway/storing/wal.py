"""SQLite's write-ahead log, read without SQLite (https://www.sqlite.org/fileformat2.html, section 4). Pure.

SQLite ends its replay at the first frame that is not whole, and silently drops every transaction behind it. After a
power cut that is right: of the last transaction, which was never synced and so never published, any part may be
missing. Where a whole transaction follows another one behind the bad frame, both were synced: that is damage, and their
numbers were published.

A frame's checksum goes on from that of the frame before, so what was written behind one another is `linked`, even
where the content of the frame before was changed later.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PAGE = 4096
"""Bytes of a page: every outbox file has this size."""
_MASK = 0xFFFFFFFF
_MAGIC, _BIG_ENDIAN = 0x377F0682, 0x377F0683
_VERSION = 3_007_000
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_SECOND = _HEADER.size + _FRAME.size + PAGE


@dataclass(frozen=True, slots=True)
class Frame:
    """One page as a transaction left it; the last frame of a transaction has `commit`.

    `ours` if it is of the log's present generation: what an older one left behind it is not.
    """

    page: int
    ours: bool
    commit: bool
    linked: bool
    content: bytes


def frames(log: bytes) -> tuple[bool, list[Frame]]:
    """Give whether the header is whole, and every frame.

    A frame of an older generation than the header's is neither `linked` nor a `commit`. Where the header is not whole
    the first frame tells the generation.
    """
    if len(log) < _HEADER.size:
        return False, []
    magic, version, size, _, *salts, first, second = _HEADER.unpack_from(log)
    order = ">" if magic == _BIG_ENDIAN else "<"
    sound = magic in (_MAGIC, _BIG_ENDIAN) and (version, size) == (_VERSION, PAGE)
    sound = sound and _sum(log[:24], (0, 0), order) == (first, second)
    generation = tuple(salts) if sound or len(log) < _SECOND else _FRAME.unpack_from(log, _HEADER.size)[2:4]
    return sound, list(_frames(log, (first, second), order, generation))


def _frames(log: bytes, before: tuple[int, int], order: str, salts: tuple[int, ...]) -> Iterator[Frame]:
    for start in range(_HEADER.size, len(log) - _FRAME.size - PAGE + 1, _FRAME.size + PAGE):
        page, commit, salt, other, first, second = _FRAME.unpack_from(log, start)
        content = log[start + _FRAME.size : start + _FRAME.size + PAGE]
        ours = salts == (salt, other)
        linked = ours and _sum(log[start : start + 8] + content, before, order) == (first, second)
        yield Frame(page, ours, ours and commit > 0, linked, content)
        before = first, second


def _sum(data: bytes, begin: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = begin
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second


def replayed(found: list[Frame]) -> int:
    """Give how many frames SQLite would replay: those up to the last commit before the first bad frame."""
    count = 0
    for number, frame in enumerate(found, start=1):
        if not frame.linked:
            break
        if frame.commit:
            count = number
    return count


def committed(found: list[Frame]) -> int:
    """Give up to which frame transactions were synced: `replayed`, or more where the log is damaged.

    Counted is a transaction that is whole and linked to the end of another one. What a torn transaction left behind
    never is: nothing was ever written behind it that goes on from it.
    """
    count = replayed(found)
    whole = False
    for number, frame in enumerate(found[count:], start=count + 1):
        whole = whole and frame.linked
        if frame.commit:
            if whole:
                count = number
            whole = True
    return count


def damaged(log: bytes) -> bool:
    """Tell whether SQLite would silently drop transactions of this log that were synced."""
    sound, found = frames(log)
    if not sound:
        # The header is synced before the first frame is written.
        return any(frame.linked for frame in found)
    return committed(found) > replayed(found)


def pages(log: bytes) -> list[tuple[int, bytes]]:
    """Give every page version of the log's generation, the oldest first, whatever became of its content since.

    What stands on them is believed by its own checksums. The last transaction may be among them though it was never
    committed: its records were measured all the same, and nobody has seen other ones under their numbers.
    """
    _, found = frames(log)
    return [(each.page, each.content) for each in found if each.ours]
