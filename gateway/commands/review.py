"""A site file looked at as a whole, before anything is opened: what config cannot know of protocols and payloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parkgate.config.document import Document, Report, read_toml
from parkgate.config.language import say
from parkgate.config.load import read_site
from parkgate.config.locate import Path as Keys
from parkgate.config.problem import Problem, Problems
from parkgate.config.resolve import Profiles
from parkgate.config.site import Instrument, Site
from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus import plan as modbus
from parkgate.drivers.modbus.wire_time import Load
from parkgate.drivers.opcua import plan as opcua
from parkgate.gateway.commands import load_checks
from parkgate.gateway.commands.load_checks import loads
from parkgate.gateway.commands.sizes import largest_snapshot
from parkgate.gateway.messages.encode import MAX_PAYLOAD, meta
from parkgate.gateway.status import source


@dataclass(frozen=True, slots=True)
class Review:
    """A site that can be used, and what is in it.

    `requests` is how many one reading of every instrument takes; `largest` the bytes of the largest snapshot by
    instrument. `loads` of the Modbus lines that can be overbooked, by name; `overbooked` the instruments that do not
    fit on theirs: the agent runs all the same, and misses turns.
    """

    site: Site
    warnings: tuple[Problem, ...]
    points: int
    requests: int
    largest: Mapping[str, int]
    loads: Mapping[str, Load]
    overbooked: tuple[Problem, ...]


def review(path: Path) -> Review:
    """Read a site file and everything it names, and look at all of it.

    Raises:
        Problems: everything that is wrong, each with file, line, name and what to write instead.

    """
    loaded = read_site(path)
    site = loaded.site
    largest = {each.name: largest_snapshot(source(site), each) for each in site.instruments}
    found: dict[tuple[Path, int | None, str], Problem] = {}
    for problem in _problems(site, largest):  # what a profile says wrong is told once, not for each that uses it
        found.setdefault((problem.file, problem.line, problem.text), problem)
    if found:
        raise Problems(found.values())
    files, found_loads = _Files.of(path), loads(site)
    return Review(
        site=site,
        warnings=(*loaded.warnings, *_nearly_full(files, site, found_loads)),
        points=sum(len(each.quantities) for each in site.instruments),
        requests=sum(map(_requests, site.instruments)),
        largest=largest,
        loads=found_loads,
        overbooked=tuple(_overbooked(files, site, found_loads)),
    )


def _overbooked(files: _Files, site: Site, found: Mapping[str, Load]) -> Iterator[Problem]:
    """Give the instruments that do not fit on their line, each with its line of the site file."""
    places = {each.name: index for index, each in enumerate(site.instruments)}
    for line in site.lines:
        if line.name in found:
            for name, text in load_checks.overbooked(line, found[line.name]):
                yield files.problem(places[name], (), text)


def _nearly_full(files: _Files, site: Site, found: Mapping[str, Load]) -> Iterator[Problem]:
    """Give the lines that have hardly any time left, and the instruments that hold up others on theirs."""
    places = {each.name: index for index, each in enumerate(site.instruments)}
    for index, line in enumerate(site.lines):
        if line.name not in found:
            continue
        if text := load_checks.nearly_full(line, found[line.name]):
            yield files.site.problem(("line", index), text)
        for name, text in load_checks.held_up(line, found[line.name]):
            yield files.problem(places[name], (), text)


def _problems(site: Site, largest: Mapping[str, int]) -> Iterator[Problem]:
    files = _Files.of(site.path)
    for index, instrument in enumerate(site.instruments):
        for keys, fault in _unreadable(instrument):
            yield files.problem(index, keys, f"{fault.what}. {fault.hint}")
        if largest[instrument.name] > MAX_PAYLOAD:
            text = say(
                "its largest snapshot would be {size} bytes, {most} are allowed; disable points that nobody needs "
                "(points.NAME.enabled = false), or make two instruments of it",
                size=largest[instrument.name],
                most=MAX_PAYLOAD,
            )
            yield files.problem(index, (), text)
        _, description = meta(f"{source(site)}/{instrument.name}", instrument)
        if len(description) > MAX_PAYLOAD:
            text = say(
                "its description (titles, labels, manual) is {size} bytes, {most} are allowed; shorten them",
                size=len(description),
                most=MAX_PAYLOAD,
            )
            yield files.problem(index, (), text)


def _unreadable(instrument: Instrument) -> Iterator[tuple[Keys, Unusable]]:
    """Give the points and states that no request can read, by their keys in the profile."""
    for point in instrument.points:
        alone = instrument.model_copy(update={"points": (point,), "states": ()})
        yield from ((("points", point.name), fault) for fault in _faults(alone))
    for number, state in enumerate(instrument.states):
        alone = instrument.model_copy(update={"points": (), "states": (state,)})
        beats = instrument.heartbeat is not None and number == len(instrument.states) - 1
        keys = ("heartbeat",) if beats else ("state", number)
        yield from ((keys, fault) for fault in _faults(alone))


def _faults(instrument: Instrument) -> tuple[Unusable, ...]:
    if instrument.protocol == "modbus":
        return modbus.problems(instrument)
    try:
        opcua.plan(instrument)
    except Unusable as fault:
        return (fault,)
    return ()


def _requests(instrument: Instrument) -> int:
    if instrument.protocol == "modbus":
        return len(modbus.plan(instrument))
    return len(list(opcua.blocks(range(len(opcua.plan(instrument).nodes)), 0)))


@dataclass(slots=True)
class _Files:
    """The site file and the profiles it names, to say where something stands."""

    site: Document
    profiles: Profiles
    _read: dict[Path, Document | None] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> _Files:
        document = read_toml(path, report := Report())
        if document is None:  # it was there a moment ago
            raise Problems(report.problems)
        return cls(document, Profiles(path.parent))

    def problem(self, index: int, keys: Keys, text: str) -> Problem:
        """Say something about an instrument (by its place), or about what its profile says under these keys.

        It is told where it stands: in the site file if that says it otherwise, else in the profile.
        """
        here = ("instrument", index, *keys)
        problem = self.site.problem(here, text)
        if not keys or here in self.site.locator.lines:
            return problem
        profile = self._profile(index)
        if profile is None:
            return problem
        return Problem(profile.file, profile.locator.line(keys), problem.subject, text)

    def _profile(self, index: int) -> Document | None:
        entries = self.site.table["instrument"]
        name = entries[index]["profile"] if isinstance(entries, list) else ""
        file = self.profiles.find(name)
        if file is not None and file not in self._read:
            self._read[file] = read_toml(file, Report())
        return self._read[file] if file is not None else None
