"""A small machine for a process: a share of a core and a limit of memory, by cgroups of version 1 or 2. Needs root."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path("/sys/fs/cgroup")
PERIOD = 10_000
"""Microseconds: short beside what is measured, so that it is a slow core and not a fast one that stands still."""


class Cgroup:
    """A group as a context manager; gone at its end, when whatever ran in it has ended."""

    def __init__(self, cores: float, memory: int) -> None:
        name = f"parkgate-{os.getpid()}-{time.monotonic_ns()}"
        quota = max(1_000, int(cores * PERIOD))
        if (ROOT / "memory").is_dir():
            self._limits = {
                ROOT / "cpu" / name: {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota},
                ROOT / "memory" / name: {"memory.limit_in_bytes": memory},
            }
        else:
            self._limits = {ROOT / name: {"cpu.max": f"{quota} {PERIOD}", "memory.max": memory}}

    @property
    def command(self) -> tuple[str, ...]:
        """What runs the rest of a command line inside; the process id stays the same."""
        joins = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self._limits)
        return ("sh", "-ec", f'{joins}; exec "$@"', "sh")

    @property
    def throttled(self) -> str:
        """What the kernel says of how often the group had to wait for its share."""
        return " ".join((next(iter(self._limits)) / "cpu.stat").read_text().split())

    def __enter__(self) -> Self:
        for folder, limits in self._limits.items():
            if folder.parent == ROOT:  # version 2 hands its controllers down only on request
                (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
            folder.mkdir()
            for name, value in limits.items():
                (folder / name).write_text(str(value))
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self._limits:
            for _ in range(100):  # the kernel needs a moment to forget the last process
                with suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)
