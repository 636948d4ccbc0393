"""The driver against a server that shares no code with its client: node-opcua, which others wrote."""

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest
from support.node_opcua import URI, node, serving
from support.opcua_park import T0, instrument, line, point
from support.opcua_secured import gateway, secure_line

from parkgate.config.document import Report
from parkgate.config.flag import Flag
from parkgate.config.profile_file import read_profile
from parkgate.drivers.driver import Recalled
from parkgate.drivers.faults import Unreachable
from parkgate.drivers.opcua import certificates, history
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.gateway.processing.validity import Judge

pytestmark = pytest.mark.xdist_group("node-opcua")

NOW = T0 + 60_000
ROOM = Path(str(files("parkgate.config"))) / "instruments"


@pytest.fixture(scope="module")
def park():
    with serving() as started:
        yield started


def held(name, kind="double", **more):
    return point(name.lower().replace(".", "_")[-32:], kind, at=node(name), **more)


def driver(line_, asked, application=None):
    return OpcUaDriver(line_, [asked], lambda: NOW, application)


async def read(park, *points, states=()):
    asked = instrument(*points, states=states)
    async with driver(line(park.url), asked) as opened:
        (snapshot,) = await opened.read(asked)
    return snapshot


NUMBERS = {
    "Boolean": ("bool", 1),
    "SByte": ("int16", -128),
    "Byte": ("uint16", 255),
    "Int16": ("int16", -(2**15)),
    "UInt16": ("uint16", 2**16 - 1),
    "Int32": ("int32", -(2**31)),
    "UInt32": ("uint32", 2**32 - 1),
    "Float": ("float32", 12.3),
    "Double": ("double", 0.1),
}


async def test_every_type_of_number_comes_with_the_source_s_time(park):
    points = [held(name, kind) for name, (kind, _) in NUMBERS.items()]
    points += [held("Int64", "int64", as_="string"), held("UInt64", "uint64", as_="string")]
    snapshot = await read(park, *points)
    assert snapshot.flags == {}
    assert snapshot.values == (*(value for _, value in NUMBERS.values()), str(-(2**63)), str(2**64 - 1))
    assert (snapshot.at, snapshot.offsets) == (T0, {})


async def test_texts_come_as_they_are(park):
    snapshot = await read(park, held("String", "string"), held("LocalizedText", "string"))
    assert (snapshot.values, snapshot.flags) == (("罐区一", "正常"), {})


REFUSED = {
    "DateTime": "a value of type DateTime;",
    "Guid": "a value of type Guid;",
    "ByteString": "a value of type ByteString;",
    "XmlElement": "a value of type XmlElement;",
    "NodeId": "a value of type NodeId;",
    "StatusCode": "a value of type StatusCode;",
    "QualifiedName": "a value of type QualifiedName;",
    "Int32Array": "an array;",
    "DoubleArray": "an array;",
    "StringArray": "an array;",
    "Empty": "an array;",
    "Matrix": "an array;",
    "Transfer": "a value of type ExtensionObject;",
    "Span": "a value of type Range;",
    "Null": "a node without a value",
    "NotThere": "no node nsu=urn:test:node-opcua;s=NotThere",
    "DoubleArray[1]": "no node nsu=urn:test:node-opcua;s=DoubleArray[1]",
}
"""What each node has, and so no point can hold. A node id is no index range: `s=Array[1]` is another node."""


@pytest.mark.parametrize("kind", ["double", "int32", "bool", "string"])
async def test_what_no_point_can_hold_is_a_bad_configuration_of_that_point_alone_and_says_why(park, kind):
    refused = [point(f"p{number}", kind, at=node(name)) for number, name in enumerate(REFUSED)]
    asked = instrument(held("Double"), *refused)
    async with driver(line(park.url), asked) as opened:
        (snapshot,) = await opened.read(asked)
        misfits = dict(opened.standing(asked).reasons)
    assert snapshot.flags == dict.fromkeys(range(1, len(REFUSED) + 1), Flag.BAD_CONFIGURATION)
    assert snapshot.values == (0.1, *(None,) * len(REFUSED))
    for each, has in zip(refused, REFUSED.values(), strict=True):
        assert misfits.pop(each.name).startswith(f"the server has {has}")
    assert misfits == {}


@pytest.mark.parametrize(
    ("name", "kind", "value", "flag"),
    [
        ("Int16", "double", -(2**15), None),
        ("Float", "double", 12.3, None),
        ("UInt32", "int64", 2**32 - 1, None),
        ("UInt32", "int16", None, Flag.OUT_OF_RANGE),
        ("UInt64", "uint64", None, Flag.OUT_OF_RANGE),  # beyond 2^53 it travels as text only
        ("Double", "int32", None, Flag.BAD_CONFIGURATION),
        ("Boolean", "int32", None, Flag.BAD_CONFIGURATION),
        ("Byte", "bool", None, Flag.BAD_CONFIGURATION),
        ("Int32", "string", None, Flag.BAD_CONFIGURATION),
        ("String", "double", None, Flag.BAD_CONFIGURATION),
    ],
)
async def test_a_number_comes_as_the_profile_says_or_flagged(park, name, kind, value, flag):
    snapshot = await read(park, held(name, kind))
    assert (snapshot.values, snapshot.flags) == ((value,), {} if flag is None else {0: flag})


STATUSES = {
    "Bad": Flag.FAULT,
    "BadSensorFailure": Flag.FAULT,
    "BadDeviceFailure": Flag.FAULT,
    "BadOutOfService": Flag.OUT_OF_SERVICE,
    "BadNotConnected": Flag.NO_COMMUNICATION,
    "BadCommunicationError": Flag.NO_COMMUNICATION,
    "BadWaitingForInitialData": Flag.NO_COMMUNICATION,
    "BadConfigurationError": Flag.BAD_CONFIGURATION,
    "BadOutOfRange": Flag.OUT_OF_RANGE,
    "UncertainLastUsableValue": Flag.STALE,
    "UncertainNoCommunicationLastUsableValue": Flag.NO_COMMUNICATION,
    "UncertainSubstituteValue": Flag.MANUAL,
    "UncertainInitialValue": Flag.NO_COMMUNICATION,
    "GoodLocalOverride": Flag.MANUAL,
}
UNCERTAIN = ["Uncertain", "UncertainSensorNotAccurate", "UncertainEngineeringUnitsExceeded", "UncertainSubNormal"]
GOOD = ["GoodClamped", "GoodOverload"]


async def test_each_status_is_a_flag_an_uncertain_value_or_a_good_one(park):
    names = [*STATUSES, *UNCERTAIN, *GOOD]
    snapshot = await read(park, *map(held, names))
    assert {names[place]: flag for place, flag in snapshot.flags.items()} == STATUSES
    assert [names[place] for place in sorted(snapshot.uncertain)] == UNCERTAIN
    # A Bad value never counts, though this server sends one beside the status.
    assert snapshot.values == tuple(None if name.startswith("Bad") else 7.5 for name in names)


async def test_a_namespace_that_is_not_there_costs_its_own_point(park):
    snapshot = await read(park, held("Double"), point("other", at="nsu=urn:elsewhere;s=Double"))
    assert (snapshot.values, snapshot.flags) == ((0.1, None), {1: Flag.BAD_CONFIGURATION})


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
async def test_it_is_read_signed_and_encrypted(park, tmp_path, mode):
    application = gateway(tmp_path)
    certificates.pin(application, "dcs", park.shown.certificate)
    asked = instrument(held("Level"))
    async with driver(secure_line(park.url, f"Basic256Sha256/{mode}"), asked, application) as opened:
        (snapshot,) = await opened.read(asked)
    assert snapshot.flags == {}


async def test_its_certificate_is_trusted_by_nobody_before_somebody_says_so(park, tmp_path):
    asked = instrument(held("Level"))
    with pytest.raises(Unreachable, match="is not trusted"):
        async with driver(secure_line(park.url), asked, gateway(tmp_path)):
            pass


async def test_what_was_missed_comes_from_its_history_with_the_times_of_the_source(park, monkeypatch):
    monkeypatch.setattr(history, "RESTS", 0)
    trend, tank, late, told = "Trend", instrument(held("Trend")), [], []
    park.set(trend, 0.0, source=T0)
    opened = OpcUaDriver(line(park.url), [tank], lambda: T0 + 3_600_000)
    async with opened:
        await opened.read(tank)
    for number in range(1, 120):  # nobody is there
        park.set(trend, float(number), source=T0 + 1_000 * number, status="Good" if number % 10 else "BadSensorFailure")
    park.set(trend, -1.0, source=T0 + 120_000)
    async with opened:
        while not told:
            *before, live = await opened.read(tank)
            late += before
            told += opened.history.told(tank)
    assert live.values == (-1.0,)
    assert [(each.at - T0, each.late) for each in late] == [(1_000 * number, True) for number in range(1, 120)]
    assert [each.values[0] for each in late if not each.flags] == [float(n) for n in range(1, 120) if n % 10]
    assert all(each.flags == {0: Flag.FAULT} for each in late if (each.at - T0) % 10_000 == 0)
    assert told == [Recalled(T0, T0 + 120_000, 119)]


async def test_no_session_is_left_behind(park):
    await read(park, held("Level"))
    assert park.sessions == 0


async def test_after_a_restart_the_line_is_entered_again(park):
    asked = instrument(held("Double"))
    opened = driver(line(park.url), asked)
    async with opened:
        park.stop()
        with pytest.raises(Unreachable):
            await opened.read(asked)
    await asyncio.to_thread(park.start)
    async with opened:
        (snapshot,) = await opened.read(asked)
    assert snapshot.values == (0.1,)


DI = "nsu=urn:example:device;s={node}."


def shipped(name):
    """Give the points and states of a profile that comes with Parkgate, at this server's device."""
    profile = read_profile(ROOM / f"{name}.toml", Report())

    def here(each):
        return each.model_copy(update={"at": each.at.replace(DI, f"nsu={URI};s=Analyser.")})

    return tuple(map(here, profile.points)), tuple(map(here, profile.states))


@pytest.mark.parametrize(
    ("health", "flag"),
    [(0, None), (1, Flag.FAULT), (2, Flag.CALIBRATION), (3, Flag.OUT_OF_RANGE), (4, None)],
)
async def test_the_health_of_a_device_flags_its_values_as_its_profile_says(park, health, flag):
    park.set("Analyser.DeviceHealth", health)
    points, states = shipped("di-device-opcua")
    asked = instrument(*points, states=states)
    async with driver(line(park.url), asked) as opened:
        (snapshot,) = await opened.read(asked)
        judged = Judge.of(opened.described(asked))(snapshot)
    assert judged.flags == ({} if flag is None else {0: flag, 1: flag})
    assert judged.values == (35.5, 21.4)
