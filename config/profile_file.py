"""A profile's file made a Profile: its header, its points (in the file or in a table beside it) and its states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from parkgate.config.alarm_checks import alarm_findings
from parkgate.config.conversions import converted
from parkgate.config.derived import Wanted, settle
from parkgate.config.derived_checks import Known
from parkgate.config.document import Document, Place, Report, read_toml
from parkgate.config.explain import known_keys, parse, table_wanted, unknown_key
from parkgate.config.language import say
from parkgate.config.point_checks import point_findings, reading_findings, state_findings
from parkgate.config.points_csv import PointSource, read_points
from parkgate.config.profile import STRING_TYPE, DerivedEntry, Point, Profile, Protocol, State


def read_profile(file: Path, report: Report) -> Profile | None:
    """Read a profile; its name is the file's. None after reporting everything that is wrong with it.

    Disabled points stay in it, since a site may enable them.
    """
    document = read_toml(file, report)
    if document is None:
        return None
    before = len(report.problems)
    place = Place(document, report)
    protocol = next((each for each in get_args(Protocol) if each == document.table.get("protocol")), None)
    base = 1 if document.table.get("base") == 1 else 0
    points = _points(place, protocol, base)
    states = tuple(_states(place, protocol, base, _point_names(document, points)))
    derived = _derived(place, points.values())
    _check_header(place, protocol, base)
    if len(report.problems) > before:
        return None
    parts = {"points": tuple(points.values()), "derived": derived, "state": states}
    table = {**document.table, "name": file.stem, **parts}
    return parse(Profile, table, place)


def _check_header(place: Place, protocol: Protocol | None, base: int) -> None:
    """Report on the header alone, whatever its points are like."""
    header = {key: value for key, value in place.document.table.items() if key not in {"points", "derived", "state"}}
    if "name" in header:
        place.at("name").problem(unknown_key("name", [key for key in known_keys(Profile) if key != "name"]))
    placeholder = Point(name="placeholder", at="input 0", type="bool")
    profile = parse(Profile, {**header, "name": place.document.file.stem, "points": (placeholder,)}, place)
    if profile is not None and profile.heartbeat is not None and protocol is not None:
        for attribute, text in reading_findings(profile.heartbeat.state, protocol, base):
            place.at("heartbeat", attribute).problem(text)


def _points(place: Place, protocol: Protocol | None, base: int) -> dict[str, Point]:
    """Give the points by the names that stand in the file: one that something is wrong with is `unnamed` itself."""
    points: dict[str, Point] = {}
    before = len(place.report.problems)
    for source in _point_sources(place):
        here = Place(source.document, place.report, ("points", source.name))
        if (point := read_point(source.table, source.name, here)) is None:
            continue
        if protocol is not None:
            check_point(point, protocol, base, here)
        earlier = points.get(source.name)
        if earlier is not None and earlier.enabled and point.enabled:
            here.problem(say("a point of this name stands there already; rename one or set enabled = false"))
        elif earlier is None or point.enabled:
            points[source.name] = point
    if not points and len(place.report.problems) == before:
        place.at("points").problem(say('needs its points: a table [points], or points = "points.csv"'))
    return points


def _point_names(document: Document, points: Iterable[str]) -> list[str]:
    """Give the names a state may use: also those of points that something is wrong with."""
    table = document.table.get("points")
    return list(table) if isinstance(table, Mapping) else list(points)


def _point_sources(place: Place) -> Iterable[PointSource]:
    table = place.document.table.get("points")
    if isinstance(table, str):
        return read_points(place.document.file.parent / table, place.report)
    if isinstance(table, Mapping):
        return [PointSource(name, entry, place.document) for name, entry in table.items()]
    return ()


def read_point(table: object, name: str, place: Place) -> Point | None:
    """Make a point of its table; what is wrong with its types is reported."""
    if not isinstance(table, Mapping):
        place.problem(table_wanted())
        return None
    if "name" in table:
        place.at("name").problem(unknown_key("name", [key for key in known_keys(Point) if key != "name"]))
        return None
    return parse(Point, {**table, "name": name}, place)


def check_point(point: Point, protocol: Protocol, base: int, place: Place) -> None:
    """Report what is wrong with a point beyond its types."""
    for attribute, text in point_findings(point, protocol, base):
        place.at(attribute).problem(text)
    for keys, text in alarm_findings(converted(point)[0]):
        place.at("alarms", *keys).problem(text)


def read_derived(table: object, name: str, place: Place) -> DerivedEntry | None:
    """Make a derived point of its table; what is wrong with its types is reported."""
    if not isinstance(table, Mapping):
        place.problem(table_wanted())
        return None
    if "name" in table:
        place.at("name").problem(unknown_key("name", [key for key in known_keys(DerivedEntry) if key != "name"]))
        return None
    return parse(DerivedEntry, {**table, "name": name}, place)


def known_point(point: Point) -> Known:
    """Give what a formula has to know of a measured point, in the unit that it is passed on in."""
    number = point.type != "bool" and not STRING_TYPE.fullmatch(point.type) and point.as_ == "number"
    return Known(point.name, point.convert.to if point.convert else point.unit, point.factor, number)


def look_at(derived: Iterable[DerivedEntry], points: Iterable[Point], place: Place) -> None:
    """Report what is wrong with derived points as far as one instrument can tell: others are not known."""
    wanted = Wanted({point.name: known_point(point) for point in points}, {each.name: each for each in derived})
    for told in settle({"": wanted}, alone=True).findings:
        place.at(told.name, *filter(None, [told.attribute])).problem(told.text)


def _derived(place: Place, points: Iterable[Point]) -> tuple[DerivedEntry, ...]:
    """Give the derived points, looked at with the profile's own points; a site knows the rest."""
    table = place.document.table.get("derived", {})
    if not isinstance(table, Mapping):
        place.at("derived").problem(table_wanted())
        return ()
    before = len(place.report.problems)
    read = {name: read_derived(each, name, place.at("derived", name)) for name, each in table.items()}
    entries = {name: each for name, each in read.items() if each is not None}
    if len(place.report.problems) == before:
        look_at(entries.values(), points, place.at("derived"))
    return tuple(entries.values())


def _states(place: Place, protocol: Protocol | None, base: int, points: list[str]) -> Iterator[State]:
    entries = place.document.table.get("state", [])
    if not isinstance(entries, list):
        place.at("state").problem(say("must be written with two brackets: [[{key}]]", key="state"))
        return
    for number, entry in enumerate(entries):
        here = place.at("state", number)
        state = parse(State, entry, here)
        if state is None or protocol is None:
            continue
        for attribute, text in state_findings(state, protocol, base, points):
            here.at(attribute).problem(text)
        yield state
