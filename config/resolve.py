"""A site's entry and its profile made one Instrument; every profile is read once and its points are shared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field

from parkgate.config.addresses import NODE, address_trouble
from parkgate.config.alarm_checks import (
    alarm_findings,
    standard_trouble,
    unconfirmed,
)
from parkgate.config.conversions import converted
from parkgate.config.document import Place, Report
from parkgate.config.explain import table_wanted
from parkgate.config.gas_alarms import confirmed, gas_of, gases, standard_alarms
from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.problem import shown, suggestion
from parkgate.config.profile import DerivedEntry, Point, Profile, State, Switch, Whole
from parkgate.config.profile_file import check_point, look_at, read_derived, read_point, read_profile
from parkgate.config.quantity import Milliseconds
from parkgate.config.site import Acquisition, Instrument, Labels, Level
from parkgate.config.window import Window, window_findings

INSTALLED_PROFILES = Path("/etc/parkgate/instruments")
"""Where a gateway's own profiles are, for all its site files."""


_NAME = re.compile(r"[\w-][\w.-]{0,63}")


def _is_file(path: Path) -> bool:
    """Tell whether a file is there; a folder that may not be looked into has none."""
    try:
        return path.is_file()
    except OSError:
        return False


class Entry(Model):
    """An `[[instrument]]` of a site file, before its profile is looked up."""

    name: Level
    title: str = ""
    labels: Labels = Field(default_factory=dict)
    line: Level
    unit: Annotated[Whole, Field(ge=0, le=255)] = 1
    node: str | None = None
    profile: str
    every: Milliseconds
    acquisition: Acquisition | None = None
    sampling: Milliseconds | None = None
    pause: Milliseconds | None = None
    response: Milliseconds | None = None
    safety: Switch | None = None
    statistics: Switch | tuple[str, ...] = True
    windows: tuple[Window, ...] = ()
    history: Literal["auto", "off"] | None = None
    points: Mapping[str, object] = Field(default_factory=dict)
    derived: Mapping[str, object] = Field(default_factory=dict)


class Resolved(NamedTuple):
    """An instrument, and its derived points as the files have them: they are settled once all instruments are known."""

    instrument: Instrument
    derived: tuple[DerivedEntry, ...]


class Profiles:
    """The profiles that a site file can name, each read once."""

    def __init__(self, folder: Path, installed: Path = INSTALLED_PROFILES) -> None:
        self._folder = folder
        self._folders = (folder, installed, Path(str(files("parkgate.config"))) / "instruments")
        self._read: dict[Path, Profile | None] = {}

    def find(self, name: str) -> Path | None:
        """Give a profile's file: a name in the folders, or a path from the site file ending .toml; None if absent."""
        if name.endswith(".toml"):
            return self._folder / name
        if not _NAME.fullmatch(name):
            return None
        paths = (folder / f"{name}.toml" for folder in self._folders)
        return next((path for path in paths if _is_file(path)), None)

    def names(self) -> Sequence[str]:
        """Give the names of all profiles in the folders, but not the site files among them."""
        return sorted({path.stem for folder in self._folders[1:] for path in folder.glob("*.toml")})

    def read(self, file: Path, report: Report) -> Profile | None:
        """Give a profile; None where something is wrong with it, which is reported the first time."""
        if file not in self._read:
            self._read[file] = read_profile(file, report)
        return self._read[file]


def resolve(entry: Entry, profiles: Profiles, place: Place) -> Resolved | None:
    """Make the instrument of an entry that stands at a place; None after reporting what is wrong with it."""
    profile = _profile(entry, profiles, place.at("profile"))
    if profile is None:
        return None
    before = len(place.report.problems)
    points = tuple(_overridden(entry, profile, place.at("points")))
    count = len(place.report.problems)
    derived = tuple(_derived(entry, profile, place.at("derived")))
    readable = len(place.report.problems) == count
    states = (*_states_of(profile.states, {point.name for point in points}), *_heartbeat_of(profile))
    for keys, text in window_findings(entry.windows, [point.name for point in points]):
        place.at("windows", *keys).problem(text)
    node = _node(entry, profile, [each.at for each in points] + [each.at for each in states], place.at("node"))
    if len(place.report.problems) > before:
        if readable:  # what is wrong with the formulas is told at once, too
            look_at(derived, points, place.at("derived"))
        return None
    if not points:
        place.at("points").problem(say("every point is disabled; leave one enabled"))
        return None
    if entry.history is not None and profile.protocol != "opcua":
        place.at("history").problem(say("only an OPC UA server keeps a history that can be asked for; leave it out"))
        return None
    if node is not None:
        points = tuple(_filled(each, node) for each in points)
        states = tuple(_filled(each, node) for each in states)
    return Resolved(_joined(entry, profile, points, states), derived)


def _profile(entry: Entry, profiles: Profiles, place: Place) -> Profile | None:
    file = profiles.find(entry.profile)
    if file is not None:
        return profiles.read(file, place.report)
    text = say(
        'there is no profile "{name}" beside this file, in {folder} or among those that come with Parkgate',
        name=shown(entry.profile),
        folder=INSTALLED_PROFILES,
    )
    place.problem(text + suggestion(entry.profile, profiles.names()))
    return None


def _joined(entry: Entry, profile: Profile, points: tuple[Point, ...], states: tuple[State, ...]) -> Instrument:
    passed_on = [converted(point) for point in points]
    return Instrument(
        name=entry.name,
        title=entry.title,
        labels={**profile.labels, **entry.labels},
        line=entry.line,
        unit=entry.unit,
        every=entry.every,
        acquisition=entry.acquisition or ("subscription" if profile.protocol == "opcua" else "read"),
        sampling=entry.sampling,
        profile=profile.name,
        manual=profile.manual,
        protocol=profile.protocol,
        order=profile.order,
        base=profile.base,
        max_gap=profile.max_gap,
        pause=profile.pause if entry.pause is None else entry.pause,
        response=profile.response if entry.response is None else entry.response,
        connections=profile.connections,
        safety=profile.safety if entry.safety is None else entry.safety,
        points=tuple(point for point, _ in passed_on),
        conversions={point.name: done for point, done in passed_on if done is not None},
        states=states,
        heartbeat=None if profile.heartbeat is None else profile.heartbeat.limit,
        statistics=entry.statistics,
        windows=entry.windows,
        history=entry.history or "auto",
    )


def _overridden(entry: Entry, profile: Profile, place: Place) -> Iterator[Point]:
    """Give the enabled points with what the site says otherwise; a point it says nothing about is the profile's own."""
    names = [point.name for point in profile.points]
    for name in entry.points:
        if name not in names:
            text = say('profile "{profile}" has no point "{name}"', profile=profile.name, name=shown(name))
            place.at(name).problem(text + suggestion(name, names))
    for point in profile.points:
        table = entry.points.get(point.name)
        found = point if table is None else _override(point, profile, table, place.at(point.name))
        if found is not None and found.enabled:
            yield _alarmed(found, place.at(point.name))


def _override(point: Point, profile: Profile, table: object, place: Place) -> Point | None:
    if not isinstance(table, Mapping):
        place.problem(table_wanted())
        return None
    own = point.model_dump(by_alias=True, exclude_unset=True, exclude={"name"})
    if point.unchanged is not None:
        own["unchanged"] = f"{point.unchanged}ms"  # as a file has it
    if point.alarms:
        own["alarms"] = point.alarms
    changed = read_point({**own, **table}, point.name, place)
    if changed is not None:
        check_point(changed, profile.protocol, profile.base, place)
    return changed


def _alarmed(point: Point, place: Place) -> Point:
    """Give a point with the alarms of a standard written out, by its gas and its unit."""
    standards = [alarm for alarm in point.alarms if alarm.standard]
    if not standards:
        return point
    shown_in, _ = converted(point)
    written, here = standard_alarms(shown_in), place.at("alarms")
    if not written:
        here.problem(standard_trouble(shown_in, gas_of(point), ", ".join(gases())))
        return point
    if not all(alarm.basis for alarm in standards):
        here.warning(unconfirmed(written, shown_in.unit))
    alarms = tuple(
        each for alarm in point.alarms for each in (confirmed(written, alarm) if alarm.standard else (alarm,))
    )
    point = point.model_copy(update={"alarms": alarms})
    for keys, text in alarm_findings(converted(point)[0]):
        here.at(*keys).problem(text)
    return point


def _derived(entry: Entry, profile: Profile, place: Place) -> Iterator[DerivedEntry]:
    """Give the enabled derived points: the profile's with what the site says otherwise, then the site's own."""
    tables = {each.name: _written(each) for each in profile.derived}
    for name, table in entry.derived.items():
        if isinstance(table, Mapping):
            tables[name] = {**tables.get(name, {}), **table}
        else:
            place.at(name).problem(table_wanted())
    for name, table in tables.items():
        derived = read_derived(table, name, place.at(name))
        if derived is not None and derived.enabled:
            yield derived


def _written(derived: DerivedEntry) -> dict[str, object]:
    """Give a derived point as a file has it."""
    own = derived.model_dump(by_alias=True, exclude_unset=True, exclude={"name"})
    return own if derived.max_age is None else {**own, "max_age": f"{derived.max_age}ms"}


def _states_of(states: tuple[State, ...], points: set[str]) -> Iterator[State]:
    """Give the states that judge an enabled point, each with those alone: without any it would judge all."""
    for state in states:
        named = tuple(name for name in state.points if name in points)
        if named == state.points:
            yield state
        elif named:
            yield state.model_copy(update={"points": named})


def _heartbeat_of(profile: Profile) -> Iterator[State]:
    """Give the heartbeat as the state that the drivers read behind all others."""
    if profile.heartbeat is not None:
        yield profile.heartbeat.state


def _node(entry: Entry, profile: Profile, addresses: Sequence[str], place: Place) -> str | None:
    """Give what stands for {node} in these addresses, None if nothing does."""
    wanted = profile.protocol == "opcua" and any(NODE in at for at in addresses)
    if wanted and not entry.node:
        place.problem(say('is missing; profile "{profile}" puts it in the place of {{node}}', profile=profile.name))
    elif entry.node is not None and not wanted:
        place.problem(say('profile "{profile}" has no {{node}} to put it in; leave it out', profile=profile.name))
    elif entry.node is not None:
        filled = (at.replace(NODE, entry.node) for at in addresses)
        troubles = (address_trouble(at, profile.protocol, profile.base) for at in filled)
        if trouble := next(filter(None, troubles), None):
            place.problem(trouble)
    return entry.node


Addressed = TypeVar("Addressed", Point, State)


def _filled(addressed: Addressed, node: str) -> Addressed:
    if NODE not in addressed.at:
        return addressed
    return addressed.model_copy(update={"at": addressed.at.replace(NODE, node)})
