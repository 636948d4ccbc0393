"""`--trace`: every frame that goes over a line while a verb asks, in hex with what it means."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from parkgate.drivers.modbus import meaning
from parkgate.drivers.modbus.frames import Traced


class Trace:
    """What is done with the frames of a line: shown at once on a `console`, or kept for JSON where there is none."""

    def __init__(self, *, rtu: bool, console: Console | None, on: bool) -> None:
        self._rtu = rtu
        self._console = console
        self._frames: list[Mapping[str, object]] = []
        self.traced: Traced | None = self._take if on else None

    def as_json(self) -> Mapping[str, object]:
        """Give what was kept; nothing where nobody asked for it."""
        return {} if self.traced is None else {"trace": self._frames}

    def _take(self, sent: bool, frame: bytes) -> None:  # noqa: FBT001 - a driver calls it so
        if self._console is not None:
            told = meaning.line(frame, sent=sent, rtu=self._rtu)
            self._console.print(Text(told, style="dim"), soft_wrap=True)
            return
        words = meaning.meaning(frame, sent=sent, rtu=self._rtu).words
        self._frames.append({"sent": sent, "frame": frame.hex(), "meaning": words})
