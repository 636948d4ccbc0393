"""Reads a site file and the profiles it uses into one frozen Site, or says everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from parkgate.config.alarm_checks import SUBSCRIBED, alarm_findings, period_findings
from parkgate.config.derived import Derived, Wanted, settle
from parkgate.config.document import Place, Report, read_toml
from parkgate.config.explain import parse, unknown_key
from parkgate.config.language import say
from parkgate.config.line_checks import Finding, line_findings, shared_findings
from parkgate.config.problem import Problem, Problems
from parkgate.config.profile_file import known_point
from parkgate.config.resolve import INSTALLED_PROFILES, Entry, Profiles, Resolved, resolve
from parkgate.config.site import Gateway, Instrument, Line, Outbox, Site, Statistics, Uplink
from parkgate.config.site_checks import (
    entry_findings,
    gateway_findings,
    instrument_findings,
    name_findings,
    unit_findings,
    uplink_findings,
)
from parkgate.config.statistics_checks import chosen_findings, statistics_findings, weight_findings
from parkgate.config.unit_checks import factor_unit_warning

_SECTIONS = ("gateway", "uplink", "outbox", "statistics", "line", "instrument")

Thing = TypeVar("Thing", Uplink, Line, Entry)
Named = TypeVar("Named", Uplink, Line)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A site that can be used, and what in its files may be a mistake nonetheless."""

    site: Site
    warnings: tuple[Problem, ...] = ()


def load_site(path: Path) -> Site:
    """Read a site file and its profiles.

    Raises:
        Problems: everything that is wrong with them, each with file, line, name and what to write instead.

    """
    return read_site(path).site


def read_site(path: Path, *, installed: Path = INSTALLED_PROFILES) -> Loaded:
    """Read a site file and its profiles, warnings included; `installed` is the folder of this gateway's own profiles.

    Files that it names (certificates, passwords) need not exist; their paths are made absolute from the site file's
    folder, as is `data`.

    Raises:
        Problems: everything that is wrong with them, each with file, line, name and what to write instead.

    """
    report = Report()
    document = read_toml(path, report)
    site = _site(Place(document, report), Profiles(path.parent, installed)) if document else None
    if site is None or report.problems:
        raise Problems(_sorted(report.problems, path))
    return Loaded(site, tuple(_sorted(report.warnings, path)))


def _sorted(problems: Iterable[Problem], site: Path) -> list[Problem]:
    """Put the site file's own first, and each file's in the order of its lines."""
    return sorted(problems, key=lambda each: (each.file != site, each.file, each.line or 0))


def _site(place: Place, profiles: Profiles) -> Site | None:
    table, file = place.document.table, place.document.file
    for key in table:
        if key not in _SECTIONS:
            place.at(key).problem(unknown_key(key, _SECTIONS))
    gateway = _gateway(place)
    outbox = parse(Outbox, table.get("outbox", {}), place.at("outbox"))
    statistics = parse(Statistics, table.get("statistics", {}), place.at("statistics"))
    uplinks = _things(Uplink, place.at("uplink"))
    lines = _things(Line, place.at("line"))
    entries = _things(Entry, place.at("instrument"))
    _needed(place)
    for index, uplink in uplinks.items():
        _report(place.at("uplink", index), uplink_findings(uplink))
    for index, line in lines.items():
        _report(place.at("line", index), line_findings(line))
    instruments = _instruments(place, entries, lines.values(), profiles)
    if statistics is not None:
        _report(place.at("statistics"), statistics_findings(statistics))
        for index, instrument in instruments.items():
            _report(place.at("instrument", index), chosen_findings(instrument, statistics))
    for index, text in shared_findings(lines, instruments.values()):
        place.at("line", index, "url").problem(text)
    if place.report.problems or gateway is None or outbox is None or statistics is None:
        return None
    _warn(place, instruments, lines, uplinks)
    folder = file.parent.absolute()
    return Site(
        path=file,
        gateway=gateway,
        uplinks=tuple(_absolute(each, folder) for each in uplinks.values()),
        outbox=outbox,
        statistics=statistics,
        lines=tuple(_absolute(each, folder) for each in lines.values()),
        instruments=tuple(instruments.values()),
    )


def _gateway(place: Place) -> Gateway | None:
    if "gateway" not in place.document.table:
        place.problem(say("the table [gateway] is missing; it needs site, id and data"))
        return None
    here = place.at("gateway")
    gateway = parse(Gateway, place.document.table["gateway"], here)
    if gateway is None:
        return None
    gateway = gateway.model_copy(update={"data": place.document.file.parent.absolute() / gateway.data})
    _report(here, gateway_findings(gateway))
    return gateway


def _entries(place: Place) -> list[object]:
    """Give the entries of the array of tables at a place; none after reporting that it is something else."""
    entries = place.document.table.get(str(place.keys[-1]), [])
    if isinstance(entries, list):
        return entries
    place.problem(say("must be written with two brackets: [[{key}]]", key=place.keys[-1]))
    return []


def _things(model: type[Thing], place: Place) -> dict[int, Thing]:
    """Read the array of tables at a place, by index; what has problems is left out after reporting them."""
    entries = _entries(place)
    for index, text in name_findings([_name(each) for each in entries]):
        place.at(index, "name").problem(text)
    read = {index: parse(model, each, place.at(index)) for index, each in enumerate(entries)}
    return {index: each for index, each in read.items() if each is not None}


def _needed(place: Place) -> None:
    """Report that there is nothing to read: neither a line nor an instrument can be left out."""
    table = place.document.table
    if not table.get("line", []):
        place.at("line").problem(say("there is no [[line]]; add one with name and url"))
    if not table.get("instrument", []):
        text = say("there is no [[instrument]]; add one with name, line, profile and every")
        place.at("instrument").problem(text)


def _name(entry: object) -> str | None:
    """Give the name of an entry, also of one that something is wrong with."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else None


def _instruments(
    place: Place, entries: Mapping[int, Entry], lines: Iterable[Line], profiles: Profiles
) -> dict[int, Instrument]:
    by_name = {line.name: line for line in reversed(list(lines))}
    written = place.document.table.get("line")
    known = [name for each in written if (name := _name(each))] if isinstance(written, list) else []
    resolved: dict[int, Resolved] = {}
    for index, entry in entries.items():
        here = place.at("instrument", index)
        _report(here, entry_findings(entry, known))
        if (found := resolve(entry, profiles, here)) is not None:
            resolved[index] = found
            if (line := by_name.get(entry.line)) is not None:
                _report(here, instrument_findings(found.instrument, line))
    whole = len(resolved) == len(_entries(place.at("instrument")))
    return _with_derived(place, resolved, alone=not whole)


def _with_derived(place: Place, resolved: Mapping[int, Resolved], *, alone: bool) -> dict[int, Instrument]:
    """Give the instruments with their derived points, which may take what others measure.

    `alone` where one of them is wrong itself: what it would give is not known then.
    """
    settled = settle({each.instrument.name: _wanted(each) for each in resolved.values()}, alone=alone)
    indices = {each.instrument.name: index for index, each in resolved.items()}
    for told in settled.findings:
        here = place.at("instrument", indices[told.instrument], "derived", told.name)
        here.at(*filter(None, [told.attribute])).problem(told.text)
    return {
        index: _looked_over(
            place.at("instrument", index),
            each.instrument.model_copy(update={"derived": tuple(settled.derived[each.instrument.name])}),
        )
        for index, each in resolved.items()
    }


def _looked_over(place: Place, instrument: Instrument) -> Instrument:
    """Report what is wrong with how an instrument's points are averaged and alarmed; give it back."""
    derived = {each.name for each in instrument.derived}
    for name, key, text in weight_findings(instrument.quantities):
        place.at("derived" if name in derived else "points", name, key).problem(text)
    least = max(2 * instrument.every, SUBSCRIBED if instrument.acquisition == "subscription" else 0)
    for point in instrument.quantities:
        here = place.at("derived" if point.name in derived else "points", point.name, "alarms")
        found = [*(alarm_findings(point) if point.name in derived else ()), *period_findings(point, least)]
        for keys, text in found:
            here.at(*keys).problem(text)
    return instrument


def _wanted(resolved: Resolved) -> Wanted:
    instrument, entries = resolved
    return Wanted(
        points={point.name: known_point(point) for point in instrument.points},
        entries={each.name: each for each in entries},
        every=instrument.every,
        changes=instrument.acquisition == "subscription",
    )


def _warn(
    place: Place, instruments: Mapping[int, Instrument], lines: Mapping[int, Line], uplinks: Mapping[int, Uplink]
) -> None:
    for index, text in unit_findings(instruments):
        place.at("instrument", index, "unit").warning(text)
    used = {each.line for each in instruments.values()}
    for index, line in lines.items():
        if line.name not in used:
            place.at("line", index).warning(say("no instrument is on this line"))
    for keys, text in _unit_warnings(instruments):
        place.at("instrument", *keys, "unit").warning(text)
    if not uplinks:
        place.warning(say("there is no [[uplink]]: values are kept here and sent nowhere"))


def _unit_warnings(instruments: Mapping[int, Instrument]) -> Iterator[tuple[tuple[int, str, str], str]]:
    """Give the points whose unit is not that of their factor, those of a profile once."""
    told: set[tuple[str, str, str, str | None]] = set()
    for index, instrument in instruments.items():
        for point in instrument.quantities:
            about = (instrument.profile, point.name, point.unit, point.factor)
            if about not in told and (text := factor_unit_warning(point.unit, point.factor)):
                told.add(about)
                yield (index, "derived" if isinstance(point, Derived) else "points", point.name), text


def _report(place: Place, findings: Iterable[Finding]) -> None:
    for key, text in findings:
        place.at(key).problem(text)


def _absolute(thing: Named, folder: Path) -> Named:
    """Make the paths of an uplink or a line absolute, seen from the site file's folder."""
    paths: dict[str, object] = {key: folder / path for key in ("ca", "cert", "key") if (path := getattr(thing, key))}
    if thing.password is not None and thing.password.file is not None:
        paths["password"] = thing.password.model_copy(update={"file": folder / thing.password.file})
    return thing.model_copy(update=paths)
