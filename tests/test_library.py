"""The instrument library, read as the agent reads it: what a server holds becomes what the manual says it means."""

import tomllib

import pytest
from asyncua import ua
from support.library_cases import CASES, PROFILES, cases_of, image_of, instrument_of, profile_of, raw_of
from support.library_table import DOCS, FILES, KINDS, document, titles
from support.modbus_wire import Wire
from support.opcua_park import bare, datavalue, line

from parkgate.config.site import Line
from parkgate.drivers.modbus.driver import ModbusDriver
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.gateway.processing.validity import Judge

MODBUS = [name for name in PROFILES if profile_of(name).protocol == "modbus"]
OPCUA = [name for name in PROFILES if profile_of(name).protocol == "opcua"]
FLOATS = {"float32", "float64", "double"}
MANY = 8
"""Beyond so many codes of one state the least and the greatest stand for the others."""


def named(instrument, snapshot):
    """Give the values and the flags of a snapshot by the names of its points."""
    names = [point.name for point in instrument.points]
    return dict(zip(names, snapshot.values, strict=True)), {
        names[place]: flag for place, flag in snapshot.flags.items()
    }


def wrong(instrument, case, snapshot):
    """Tell in which points a snapshot is not what the case says."""
    values, flags = named(instrument, snapshot)
    for name in values.keys() | case.values.keys():
        got, wanted = (values.get(name), flags.get(name)), (case.values.get(name), case.flags.get(name))
        if got != wanted:
            yield f"{case.name}: {name} is {got}, not {wanted}"


def uncovered(instrument, read):
    """Tell which states, sentinels, failures and ranges no case exercises: `read` are the cases and their snapshots."""
    for index, state in enumerate(instrument.states):
        wanted = set(state.equals) if len(state.equals) <= MANY else {min(state.equals), max(state.equals)}
        points = state.points or [point.name for point in instrument.points]
        seen = {each.states[index] for case, each in read if state.flag in {case.flags.get(name) for name in points}}
        yield from (f"{state.at} {state.bits or ''} = {value}: {state.flag}" for value in sorted(wanted - seen))
    cases = [case for case, _ in read]
    floats = [point.name for point in instrument.points if point.type in FLOATS]
    if floats and not any(case.values[name] is None for case in cases for name in floats):
        yield "a float that is not a number"
    ranges = {point.name: point.range for point in instrument.points if point.range is not None}
    if ranges and not any(outside(case, name, *ends) for case in cases for name, ends in ranges.items()):
        yield "a value outside its range"


def outside(case, name, low, high):
    value = case.values[name]
    return value is not None and not low <= value <= high and case.flags.get(name) == "out-of-range"


def unseen_sentinels(instrument, name, read):
    """Tell which values that mean none are held by no case in which the point has none."""
    at = {point: entry["at"] for point, entry in normal_of(name).items()}
    for point in instrument.points:
        lost = [case.holds[at[point.name]] for case, _ in read if case.values[point.name] is None]
        seen = {raw_of(held, point.order or instrument.order) for held in lost}
        bits = 16 * len(read[0][0].holds[at[point.name]].split())
        yield from (f"{point.name}: {value}" for value in point.invalid if int(value) % 2**bits not in seen)


def normal_of(name):
    return tomllib.loads((CASES / name / "cases.toml").read_text(encoding="utf-8"))["normal"]


def test_every_profile_has_a_folder_of_cases_and_every_folder_a_profile():
    assert {path.parent.name for path in CASES.glob("*/cases.toml")} == set(PROFILES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_instrument_has_a_generic_profile(kind):
    of_kind = [name for name in PROFILES if profile_of(name).labels["kind"] == kind]
    assert any(profile_of(name).manual.startswith("Parkgate's generic map") for name in of_kind)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_of_a_known_kind_and_has_a_title_in_both_languages(name):
    profile = profile_of(name)
    assert profile.labels["kind"] in KINDS
    assert all(titles(profile.title))
    assert profile.safety == profile.labels["kind"].startswith("gas-")


@pytest.mark.parametrize(("language", "file"), FILES.items())
def test_the_document_of_the_library_is_that_of_the_profiles(language, file):
    assert (DOCS / file).read_text(encoding="utf-8") == document(language)


@pytest.mark.parametrize("name", MODBUS)
async def test_registers_as_the_manual_has_them_become_the_values_and_flags_that_they_mean(name, tmp_path):
    instrument = instrument_of(name, tmp_path)
    judge, read, mistakes = Judge.of(instrument), [], []
    async with Wire() as wire:
        reached = Line(name="line", url=f"modbus-tcp://127.0.0.1:{wire.port}", timeout="30s")
        async with ModbusDriver(reached, [instrument], lambda: 0) as driver:
            for case in cases_of(name):
                wire.registers = image_of(case)
                (snapshot,) = await driver.read(instrument)
                mistakes += wrong(instrument, case, judge(snapshot))
                read.append((case, snapshot))
    assert mistakes == []
    assert [*uncovered(instrument, read), *unseen_sentinels(instrument, name, read)] == []


@pytest.mark.parametrize("name", OPCUA)
async def test_nodes_become_the_values_and_flags_that_they_mean(name, tmp_path):
    instrument = instrument_of(name, tmp_path)
    judge, read, mistakes = Judge.of(instrument), [], []
    async with bare() as park:
        uri = instrument.points[0].at.partition(";")[0].removeprefix("nsu=")
        park.space = await park.server.register_namespace(uri)
        for case in cases_of(name):
            for node, held in case.holds.items():
                kind = {bool: ua.VariantType.Boolean, int: ua.VariantType.Int32, float: ua.VariantType.Double}[
                    type(held)
                ]
                await park.put(node, datavalue(held, kind))
            async with OpcUaDriver(line(park.url), [instrument], lambda: 0) as driver:
                (snapshot,) = await driver.read(instrument)
            mistakes += wrong(instrument, case, judge(snapshot))
            read.append((case, snapshot))
    assert mistakes == []
    assert list(uncovered(instrument, read)) == []
