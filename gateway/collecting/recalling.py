"""What instruments' own histories fill: from where they go on at a start, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from parkgate.config.language import say
from parkgate.config.site import Instrument
from parkgate.drivers.driver import Driver, Recalled, Recalling
from parkgate.gateway.storing.outbox import Outbox

_log = logging.getLogger("parkgate.line")


class Recaller:
    """Stands between a driver whose instruments may keep a history and the outbox; of any other it does nothing."""

    def __init__(self, driver: Driver, outbox: Outbox, tell: Callable[..., object]) -> None:
        self._history = driver.history if isinstance(driver, Recalling) else None
        self._outbox = outbox
        self._tell = tell
        self._kept: dict[str, bytes] = {}

    async def resume(self, series: Mapping[str, int]) -> None:
        """Hand on what was delivered before the agent started, of instruments by their series of snapshots."""
        if self._history is None:
            return
        marks = await self._outbox.ask(lambda database: database.marks.all())
        self._history.resume({name: marks[each] for name, each in series.items() if each in marks})

    def mark(self, instrument: Instrument) -> bytes:
        """Give what is to be stored with the last snapshot of a turn; nothing where it is stored already."""
        mark = b"" if self._history is None else self._history.mark(instrument)
        return b"" if self._kept.get(instrument.name) == mark else mark

    def keep(self, instrument: Instrument, mark: bytes) -> None:
        """Note that a mark was stored."""
        if mark:
            self._kept[instrument.name] = mark

    def report(self, instrument: Instrument) -> None:
        """Tell what became of the gaps of an instrument since the last turn."""
        for each in () if self._history is None else self._history.told(instrument):
            detail: dict[str, object] = {"from": each.start, "to": each.end}
            if each.reason:
                self._tell("history-missing", instrument.name, **detail, reason=each.reason)
            else:
                self._tell("history-filled", instrument.name, **detail, count=each.count)
            _log.info("%s", _sentence(instrument, each))


def _sentence(instrument: Instrument, recalled: Recalled) -> str:
    seconds = max(0, recalled.end - recalled.start) // 1000
    if recalled.reason:
        return say(
            "instrument {name}: {seconds} s are missing and its history does not fill them: {reason}",
            name=instrument.name, seconds=seconds, reason=recalled.reason,
        )  # fmt: skip
    return say(
        "instrument {name}: {seconds} s were missing and are filled from its history, {count} snapshots",
        name=instrument.name, seconds=seconds, count=recalled.count,
    )  # fmt: skip
