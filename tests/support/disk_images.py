"""What a disk may hold after power went: everything that was synced, and of the rest whatever chance left.

Between two syncs a disk writes in any order and in pieces of a sector. An image is made of a prefix of what was
recorded: what no sync covers is dropped, kept at random, torn sector by sector, or kept. A file's name is as unsure as
its content until the file, or its folder, was synced; a deleted file may come back until then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.recording_files import Operation

SECTOR = 512
DROPPED, RANDOM, TORN, KEPT = MODES = ("dropped", "random", "torn", "kept")


@dataclass
class File:
    """One file: what is certainly on the disk, and what may be."""

    name: str
    synced: bytearray = field(default_factory=bytearray)
    waiting: list[Operation] = field(default_factory=list)
    named: bool = False
    deleted: bool = False


class Disk:
    """A disk that is given operations one by one, and can be cut off behind any."""

    def __init__(self) -> None:
        self._files: dict[int, File] = {}

    def take(self, operation: Operation) -> None:
        """Let the next operation happen."""
        kind, inode = operation.kind, operation.inode
        if kind == "create":
            self._files[inode] = File(operation.name)
        elif kind == "sync":
            self._sync(inode)
        elif kind == "delete":
            self._files[inode].deleted = True
        else:
            self._files[inode].waiting.append(operation)
        if kind in {"delete", "sync"} and operation.size:
            self._sync_folder()

    def _sync(self, inode: int) -> None:
        file = self._files[inode]
        for each in file.waiting:
            _apply(file.synced, each)
        file.waiting.clear()
        file.named = True
        before = [number for number, each in self._files.items() if each.name == file.name and number < inode]
        for number in before:
            del self._files[number]

    def _sync_folder(self) -> None:
        self._files = {number: each for number, each in self._files.items() if not each.deleted}
        for each in self._files.values():
            each.named = True

    def cut(self, mode: str, rng: random.Random) -> dict[str, bytes]:
        """Give the files as they may stand if power goes now."""
        likely = {DROPPED: 0.0, KEPT: 1.0}.get(mode, rng.random())
        image: dict[str, bytes] = {}
        for file in self._files.values():
            if not file.named and rng.random() >= likely:
                continue
            image.pop(file.name, None)
            if file.deleted and rng.random() < likely:
                continue
            content = bytearray(file.synced)
            for each in file.waiting:
                for part in _parts(each) if mode == TORN else (each,):
                    if rng.random() < likely:
                        _apply(content, part)
            image[file.name] = bytes(content)
        return image


def _parts(operation: Operation) -> Iterator[Operation]:
    """Give a write sector by sector; a truncate is one."""
    if operation.kind != "write":
        yield operation
        return
    offset, data = operation.offset, operation.data
    begin = offset
    while begin < offset + len(data):
        end = min(begin - begin % SECTOR + SECTOR, offset + len(data))
        yield Operation("write", operation.inode, operation.name, begin, data[begin - offset : end - offset])
        begin = end


def _apply(content: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del content[operation.size :]
        return
    end = operation.offset + len(operation.data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data
