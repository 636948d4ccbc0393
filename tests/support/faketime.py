"""A wall clock for one process that a test sets as it likes, by libfaketime; the monotonic clock stays as it is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from support import undisciplined_agent

COMMAND = (sys.executable, undisciplined_agent.__file__)
"""What runs an agent whose kernel does not contradict the clock; the site file is its last argument."""
YEAR = 365 * 86_400


class Wall:
    """What the clock of a process shows, as seconds that it is off; `environment` is for the process."""

    def __init__(self, folder: Path, off: int = 0) -> None:
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self._file = folder / "faketime"
        self.step(off)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else whoever waits for Python's lock spins
            "NO_FAKE_STAT": "1",
        }

    def step(self, off: int) -> None:
        """Set the clock, at once."""
        self.off = off
        new = self._file.with_suffix(".new")
        new.write_text(f"{off:+d}\n")
        new.replace(self._file)


def back_to_1970() -> int:
    """Give how far off a clock is that woke up in 1970."""
    return 60 - round(time.time())
