"""What the kernel says of a running process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Footprint:
    """What a process holds: memory in MB, open files, threads; and the seconds of CPU it has had."""

    resident: float
    files: int
    threads: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Look now."""
        proc = Path(f"/proc/{pid}")
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        return cls(
            resident=int((proc / "statm").read_text().split()[1]) * _PAGE / 1e6,
            files=len(list((proc / "fd").iterdir())),
            threads=int(fields[17]),
            cpu=(int(fields[11]) + int(fields[12])) / _TICK,
        )
