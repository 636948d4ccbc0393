"""A scenario file: which site is simulated, from when on, and how its values move.

A scenario names a site file, whose line URLs say where to listen and whose profiles are the maps, so that nothing is
written twice; it adds `title`, `seed`, `start`, `step`, `[signals]` (quantities that nothing measures but others
follow, such as load), a table per point: `[stack-1.so2]` with `shape = "noise"` and what that shape needs; `[[state]]`,
what an instrument says of itself at times; and `[[trouble]]`, what goes wrong, as in
`{ at = "60s", for = "30s", instrument = "stack-1", kind = "late", by = "2s" }`. `[serve.LINE]` lets a line be served
otherwise than its url says: `as = "rtu-over-tcp"`, or `as = "pty"` with a `baudrate`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, Field

from parkgate.config.document import Place, Report, read_toml
from parkgate.config.explain import missing, parse, table_wanted, unknown_key, unknown_word
from parkgate.config.language import say
from parkgate.config.load import load_site
from parkgate.config.model import Model
from parkgate.config.problem import Problem, Problems, suggestion
from parkgate.config.site import Instrument, Site
from parkgate.drivers.faults import Fault
from parkgate.simulator.device import cells
from parkgate.simulator.episode import Condition
from parkgate.simulator.episode_checks import Serve, check_episodes
from parkgate.simulator.shapes import SHAPES, Shape, Span, in_order, is_text, leans_on
from parkgate.simulator.trouble import Trouble

Shapes = Mapping[str, Shape]
Listed = TypeVar("Listed", bound=Model)

_RESERVED = ("title", "site", "seed", "start", "step", "signals", "serve", "state", "trouble")
_EARLY = datetime.fromisoformat("2026-01-05T08:00:00+08:00")


class Head(Model):
    """What a scenario says of itself; `start` is its own time, with its offset from UTC, `step` in milliseconds."""

    title: str = ""
    site: str
    seed: int = 1
    start: AwareDatetime = _EARLY
    step: Span = 1_000


class Scenario(Model):
    """A scenario with its site: `signals` by name, `shapes` by instrument and point, for those that have one.

    `serve` by line, for those that are not served as their urls say.
    """

    path: Path
    head: Head
    site: Site
    signals: Shapes
    shapes: Mapping[str, Shapes]
    serve: Mapping[str, Serve] = Field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def start_ms(self) -> int:
        """The scenario's own time at its start, milliseconds UTC."""
        return round(self.head.start.timestamp() * 1000)

    @property
    def day_ms(self) -> int:
        """The local time of day at the start, in milliseconds."""
        start = self.head.start
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return int((start - midnight).total_seconds() * 1000)


def packaged() -> tuple[str, ...]:
    """Give the names of the scenarios that come with the package."""
    folder = files("parkgate.config").joinpath("scenarios")
    return tuple(sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml")))


def load_scenario(scenario: str | Path) -> Scenario:
    """Read a scenario: a path, or the name of one that comes with the package.

    Raises:
        Problems: everything that is wrong with it, or with its site file.

    """
    path = _path(scenario)
    report = Report()
    document = read_toml(path, report)
    if document is None:
        raise Problems(report.problems)
    return _scenario(Place(document, report))


def _path(scenario: str | Path) -> Path:
    path = Path(scenario)
    if path.suffix == ".toml" or len(path.parts) > 1 or path.exists():
        return path
    if path.name not in packaged():
        text = say("there is no scenario of this name, nor a file{suggestion}", suggestion=suggestion(path, packaged()))
        raise Problems([Problem(path, None, "", text)])
    return Path(str(files("parkgate.config").joinpath(f"scenarios/{path.name}.toml")))


def _scenario(place: Place) -> Scenario:
    """Read it all before judging, so that one reading reports every mistake."""
    table, problems = place.document.table, place.report.problems
    head = parse(Head, {key: table[key] for key in Head.model_fields if key in table}, place)
    signals = _signals(place.at("signals"), table.get("signals", {}))
    names = [name for name in table if name not in _RESERVED]
    shapes = {name: _shapes(place.at(name), table[name]) for name in names}
    serve = _serve(place.at("serve"), table.get("serve", {}))
    conditions = _listed(Condition, place.at("state"), table.get("state", []))
    troubles = _listed(Trouble, place.at("trouble"), table.get("trouble", []))
    site = _site(place.at("site"), head) if head is not None and isinstance(table.get("site"), str) else None
    if site is not None:
        _check_instruments(place, site, shapes, signals)
        check_episodes(place, site, serve, conditions, troubles)
    if head is None or site is None or problems:
        raise Problems(problems)
    return Scenario(
        path=place.document.file,
        head=head,
        site=site,
        signals=signals,
        shapes=shapes,
        serve=serve,
        conditions=tuple(conditions.values()),
        troubles=tuple(troubles.values()),
    )


def _serve(place: Place, tables: object) -> dict[str, Serve]:
    if not isinstance(tables, Mapping):
        place.problem(table_wanted())
        return {}
    read = ((name, parse(Serve, table, place.at(name))) for name, table in tables.items())
    return {name: serve for name, serve in read if serve is not None}


def _listed(model: type[Listed], place: Place, tables: object) -> dict[int, Listed]:
    """Read the tables of an array, by their places in it."""
    if not isinstance(tables, list):
        place.problem(say("must be an array of tables: [[{name}]]", name=place.keys[-1]))
        return {}
    read = ((number, parse(model, table, place.at(number))) for number, table in enumerate(tables))
    return {number: found for number, found in read if found is not None}


def _site(place: Place, head: Head) -> Site | None:
    try:
        site = load_site(_site_path(place.document.file, head.site))
    except Problems as problems:
        place.report.problems.extend(problems.problems)
        return None
    for instrument in site.instruments:
        try:
            cells(instrument)
        except Fault as fault:
            place.problem(f"{instrument.name}: {fault}")
    return site


def _signals(place: Place, tables: object) -> dict[str, Shape]:
    signals = _shapes(place, tables)
    for name in (name for name, shape in signals.items() if is_text(shape)):
        place.at(name, "value").problem(say("a signal is a number"))
    _check_leaning(place, signals, ())
    return signals


def _shapes(place: Place, tables: object) -> dict[str, Shape]:
    """Read the tables of one instrument, or of the signals: each is a shape."""
    if not isinstance(tables, Mapping):
        key = place.keys[0]
        place.problem(table_wanted() if key in _RESERVED else unknown_key(key, _RESERVED))
        return {}
    read = ((name, _shape(place.at(name), table)) for name, table in tables.items())
    return {name: shape for name, shape in read if shape is not None}


def _shape(place: Place, table: object) -> Shape | None:
    if not isinstance(table, Mapping):
        place.problem(table_wanted())
        return None
    word = table.get("shape")
    if not isinstance(word, str) or word not in SHAPES:
        place.at("shape").problem(missing() if word is None else unknown_word("shape", word, SHAPES))
        return None
    return parse(SHAPES[word], {key: value for key, value in table.items() if key != "shape"}, place)


def _check_instruments(place: Place, site: Site, shapes: Mapping[str, Shapes], signals: Shapes) -> None:
    instruments = {each.name: each for each in site.instruments}
    for name, given in shapes.items():
        if name in instruments:
            _check_points(place.at(name), instruments[name], given, signals)
        else:
            place.at(name).problem(unknown_word("instrument", name, instruments))


def _check_points(place: Place, instrument: Instrument, given: Shapes, signals: Shapes) -> None:
    texts = {point.name: point.type.startswith("string") for point in instrument.points}
    for name, shape in given.items():
        if name not in texts:
            place.at(name).problem(unknown_word("point", name, texts))
        elif is_text(shape) != texts[name]:
            place.at(name).problem(say("a text is for a point of text, a number for any other"))
    _check_leaning(place, given, {*signals, *(name for name, text in texts.items() if not text)})


def _check_leaning(place: Place, shapes: Shapes, others: Collection[str]) -> None:
    """Report shapes that lean on no number there is, or on one another in a circle."""
    numbers = {*others, *(name for name, shape in shapes.items() if not is_text(shape))}
    for name, shape in shapes.items():
        other = leans_on(shape)
        if other is not None and other not in numbers:
            place.at(name, "of").problem(unknown_word("of", other, sorted(numbers)))
    try:
        in_order(shapes)
    except ValueError as circle:
        place.problem(say("these follow one another in a circle: {circle}", circle=circle))


def _site_path(scenario: Path, site: str) -> Path:
    """Find a site file: beside the scenario, else in the package; another scenario of that name is none."""
    beside = scenario.parent / site
    shipped = Path(str(files("parkgate.config").joinpath(f"sites/{site}")))
    there = beside.exists() and "[gateway]" in beside.read_text(encoding="utf-8", errors="replace")
    return shipped if shipped.exists() and not there else beside
