"""The truth: what every simulated instrument showed and when, in an SQLite file, so that what arrived can be judged.

One row of `moment` an instrument and step; the view `truth` gives one row a point (time, instrument, point, value,
state, trouble). The same scenario and steps give the same file, byte for byte.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from parkgate.config.language import say
from parkgate.simulator.world import World

Value = float | int | str

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE instrument (id INTEGER PRIMARY KEY, name TEXT NOT NULL, every INTEGER NOT NULL);
CREATE TABLE moment (
    instrument INTEGER NOT NULL REFERENCES instrument, time INTEGER NOT NULL, scenario INTEGER NOT NULL,
    points TEXT NOT NULL, states TEXT NOT NULL, troubles TEXT NOT NULL, skew INTEGER NOT NULL,
    PRIMARY KEY (instrument, time)
) WITHOUT ROWID;
CREATE VIEW truth AS
    SELECT moment.time AS time, moment.scenario AS scenario, name AS instrument,
        point.key AS point, point.value AS value,
        coalesce(json_extract(moment.states, '$.' || point.key), '') AS state, moment.troubles AS trouble
    FROM moment JOIN instrument ON instrument.id = moment.instrument, json_each(moment.points) AS point
    ORDER BY moment.time, instrument.id, point.id;
"""
_BATCH = 5_000


class NoTruth(Exception):
    """A truth file cannot be made or read: the text says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What an instrument showed from a time (ms UTC) on: values, flags of what may not be used, troubles.

    `skew` is by how much its own clock is wrong (ms).
    """

    time: int
    values: Mapping[str, Value]
    flags: Mapping[str, frozenset[str]]
    troubles: tuple[str, ...]
    skew: int = 0


class TruthWriter:
    """Keeps the truth of a world in a new file, as a context manager; `note` a step.

    Raises:
        NoTruth: the file exists already, or cannot be made.

    """

    def __init__(self, path: Path, world: World) -> None:
        self.path = path
        self._world = world
        self._places = {name: place for place, name in enumerate(world.devices, 1)}
        self._waiting: list[tuple[object, ...]] = []

    def __enter__(self) -> Self:
        if self.path.exists():
            raise NoTruth(say("{path} exists already: a truth is not written over. Name another file.", path=self.path))
        try:
            self._file = sqlite3.connect(self.path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = OFF")
            self._file.execute("PRAGMA synchronous = OFF")
            self._file.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise NoTruth(say("{path} cannot be made: {error}", path=self.path, error=error)) from error
        scenario = self._world.scenario
        about = {"scenario": scenario.path.name, "seed": scenario.head.seed, "start": scenario.head.start.isoformat()}
        self._file.executemany("INSERT INTO about VALUES (?, ?)", [(key, str(value)) for key, value in about.items()])
        every = {each.name: each.every for each in scenario.site.instruments}
        rows = [(place, name, every[name]) for name, place in self._places.items()]
        self._file.executemany("INSERT INTO instrument VALUES (?, ?, ?)", rows)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.write()
        self._file.close()

    def note(self, time_ms: int) -> None:
        """Keep what every instrument shows from a time (ms UTC) on."""
        world = self._world
        for name, device in world.devices.items():
            flags = {**device.flags(), **world.spoilt(name)}
            states = _json({point: "|".join(sorted(each)) for point, each in flags.items()}) if flags else "{}"
            troubles = " ".join(world.words(name))
            points = _json(device.values())
            self._waiting.append(
                (self._places[name], time_ms, world.now_ms, points, states, troubles, world.skew(name))
            )
        if len(self._waiting) > _BATCH:
            self.write()

    def write(self) -> None:
        """Put what was noted into the file."""
        rows, self._waiting = self._waiting, []
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO moment VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._file.execute("COMMIT")


def _json(values: Mapping[str, Value]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


class Truth:
    """A truth file, read: `instruments` gives their periods (ms) by name.

    Raises:
        NoTruth: it is not there, or is none.

    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise NoTruth(say("{path} is not there: parkgate simulate SCENARIO --truth {path} writes it", path=path))
        self._file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            rows = self._file.execute("SELECT name, id, every FROM instrument").fetchall()
        except sqlite3.Error as error:
            self._file.close()
            raise NoTruth(say("{path} is no truth file: {error}", path=path, error=error)) from error
        self._ids = {name: place for name, place, _ in rows}
        self.instruments = {name: every for name, _, every in rows}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def last(self) -> int:
        """The last time of it, ms UTC."""
        (time,) = self._file.execute("SELECT coalesce(max(time), 0) FROM moment").fetchone()
        return int(time)

    def shown(self, instrument: str) -> Iterator[Shown]:
        """Give what an instrument showed, in the order of time."""
        query = "SELECT time, points, states, troubles, skew FROM moment WHERE instrument = ? ORDER BY time"
        for time, points, states, troubles, skew in self._file.execute(query, (self._ids[instrument],)):
            flags = {point: frozenset(each.split("|")) for point, each in json.loads(states).items()}
            yield Shown(time, json.loads(points), flags, tuple(troubles.split()), skew)
