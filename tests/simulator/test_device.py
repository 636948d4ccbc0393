"""A simulated device: what its image holds reads back, through the drivers' decoder, as the values it says it has."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.config.load import load_site
from parkgate.config.profile import Heartbeat, Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus.codec import Decoder
from parkgate.drivers.modbus.plan import plan
from parkgate.simulator.device import Device, cells, default_shape, normal_states, set_by, shapes_of, shown
from parkgate.simulator.episode import Condition
from parkgate.simulator.image import Image
from parkgate.simulator.shapes import Counter, Noise, Signals, Steady

SHIPPED = sorted(
    (each for each in files("parkgate.config").joinpath("instruments").iterdir() if each.name.endswith(".toml")),
    key=lambda each: each.name,
)
MODBUS = [each.name[:-5] for each in SHIPPED if tomllib.loads(each.read_text("utf-8"))["protocol"] == "modbus"]
INTEGERS = ["int16", "int32", "int64", "uint16", "uint32", "uint64", "bcd16", "bcd32"]
FLOATS = ["float32", "float64"]

SITE = """
[gateway]
site = "s"
id = "g"
data = "/tmp/s"
[[uplink]]
name = "park"
url = "mqtt://localhost"
[[line]]
name = "l"
url = "modbus-tcp://localhost"
[[instrument]]
name = "i"
line = "l"
profile = "{profile}"
every = "1s"
"""


def modbus(*points, states=(), order="ABCD", base=0):
    return Instrument(
        name="i", line="l", every=1000, profile="p", protocol="modbus", order=order, base=base, points=points,
        states=states,
    )  # fmt: skip


def opcua(*points, states=()):
    return Instrument(name="i", line="l", every=1000, profile="p", protocol="opcua", points=points, states=states)


def device_of(instrument, shapes=None):
    image = Image(cells(instrument)) if instrument.protocol == "modbus" else None
    return Device(instrument, Signals(shapes_of(instrument, shapes or {}), seed="1/i"), image), image


def read_back(device, image):
    """Read an image as the driver would, once its device has written it: values by point name, and the states."""
    device.write()
    instrument = device.instrument
    values, states = {}, {}
    for block in plan(instrument):
        decoder = Decoder(instrument, block)
        decoded = decoder.decode(image.read(block.table, block.start, block.count))
        assert not decoded.flags
        values |= {instrument.points[n].name: v for n, v in zip(decoder.points, decoded.values, strict=True)}
        states |= dict(zip(decoder.states, decoded.states, strict=True))
    return values, tuple(states[index] for index in sorted(states))


def resolution(point):
    """Give what a reading may differ by: half of the last digit shown, or of the raw step, or a float32's."""
    digits = 0 if point.digits is None else 0.5 * 10**-point.digits
    step = abs(point.scale) / 2 if point.type in INTEGERS else 0
    return max(digits, step) + 1e-9


@pytest.mark.parametrize("profile", MODBUS)
def test_every_shipped_modbus_profile_reads_back_as_the_values_it_shows(profile, tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(SITE.format(profile=profile))
    (instrument,) = load_site(file).instruments
    device, image = device_of(instrument)

    for _ in range(50):
        values, states = read_back(device, image)
        assert set(values) == {point.name for point in instrument.points}
        for point in instrument.points:
            expected = device.values()[point.name]
            assert values[point.name] == pytest.approx(expected, abs=resolution(point), rel=1e-6)
        assert states == device.states()
        device.advance(1000)


@pytest.mark.parametrize("profile", MODBUS)
def test_every_shipped_profile_says_nothing_is_wrong_until_told_otherwise(profile, tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(SITE.format(profile=profile))
    (instrument,) = load_site(file).instruments
    device, _ = device_of(instrument)

    assert len(device.states()) == len(instrument.states)
    for state, reading in zip(instrument.states, device.states(), strict=True):
        assert reading not in state.equals


@st.composite
def maps(draw):
    """An instrument of any types, orders and scales, no two points in one place, and a value for each point."""
    order = draw(st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]))
    kinds = draw(st.lists(st.sampled_from([*INTEGERS, *FLOATS, "bool", "bit", "string:4"]), min_size=1, max_size=12))
    points, values = [], {}
    for n, kind in enumerate(kinds):
        at = f"holding {n * 5}.{draw(st.integers(0, 15))}" if kind == "bit" else f"holding {n * 5}"
        at = f"discrete {n}" if kind == "bool" and draw(st.booleans()) else at
        scale = draw(st.sampled_from([1, 0.1, 0.01, 5, -0.5])) if kind in INTEGERS else 1
        own = draw(st.sampled_from([None, "ABCD", "CDAB", "BADC", "DCBA"]))
        points.append(
            Point(name=f"p{n}", at=at, type="bool" if kind == "bit" else kind, scale=scale, order=own)
        )  # fmt: skip
        if kind.startswith("string"):
            values[f"p{n}"] = draw(st.text("abcxyz-0189气", min_size=1, max_size=8))
        else:
            values[f"p{n}"] = draw(st.integers(0, 1) if kind in ("bool", "bit") else st.floats(-1e5, 1e5, width=32))
    return modbus(*points, order=order), values


@given(maps())
def test_any_map_reads_back_as_the_values_it_shows(drawn):
    instrument, values = drawn
    device, image = device_of(instrument, {name: Steady(value=value) for name, value in values.items()})

    read, _ = read_back(device, image)

    for point in instrument.points:
        shows = device.values()[point.name]
        assert read[point.name] == (shows if isinstance(shows, str) else pytest.approx(shows, rel=1e-6, abs=1e-9))


def test_a_value_settles_on_the_resolution_and_within_the_limits_of_its_type():
    tenths = Point(name="x", at="input 0", type="uint16", scale=0.1, digits=1)
    assert shown(tenths, 21.46) == 21.5
    assert shown(tenths, -3) == 0
    assert shown(tenths, 1e9) == 6553.5
    assert shown(Point(name="x", at="input 0", type="int16"), 7.6) == 8
    assert shown(Point(name="x", at="input 0", type="bcd16"), 123_456) == 9_999
    assert shown(Point(name="x", at="input 0", type="bool"), 0.7) == 1
    assert shown(Point(name="x", at="input 0", type="string:2"), "四川") == "四"
    assert shown(Point(name="x", at="s", type="string"), "any length at all") == "any length at all"
    assert shown(Point(name="x", at="input 0", type="float64"), 0.1) == 0.1


@given(
    st.sampled_from([*INTEGERS, *FLOATS, "double"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1, 0.001, 1000, -2]),
    st.sampled_from([0, -40, 0.5]),
)
def test_whatever_a_shape_says_the_register_holds_a_number(kind, value, scale, offset):
    point = Point(name="x", at="holding 0", type=kind, scale=scale, offset=offset)
    instrument = modbus(point)
    device, image = device_of(instrument, {"x": Steady(value=value)})

    read, _ = read_back(device, image)

    assert read["x"] == pytest.approx(device.values()["x"], rel=1e-6, abs=1e-3)


def test_a_point_without_a_shape_gets_a_plausible_one():
    ranged = Point(name="so2", at="input 0", type="float32", range=(100, 300))
    assert default_shape(ranged) == Noise(mean=180, spread=20)
    assert default_shape(Point(name="door", at="coil 0", type="bool", range=(0, 1))) == Steady(value=0)
    assert default_shape(Point(name="serial", at="input 0", type="string:8")) == Steady(value="serial")
    counter = default_shape(Point(name="beats", at="input 0", type="uint16", scale=2))
    assert counter == Counter(rate=1, per=1000, wrap=131_072)
    assert default_shape(Point(name="total", at="input 0", type="double")) == Counter(rate=1, per=1000)


def test_a_shape_of_the_scenario_goes_before_the_plausible_one():
    instrument = modbus(
        Point(name="a", at="input 0", type="float32", range=(0, 1)), Point(name="b", at="input 2", type="bool")
    )
    assert shapes_of(instrument, {"b": Steady(value=1)}) == {"a": Noise(mean=0.4, spread=0.1), "b": Steady(value=1)}


def test_normal_is_a_word_that_sets_no_flag_of_any_state_at_its_address():
    states = (
        State(at="holding 0", bits=(0, 3), equals=[0, 2], flag="fault"),
        State(at="holding 0", bits=(0, 0), equals=1, flag="calibration"),
        State(at="holding 1", equals=0, flag="out-of-service"),
        State(at="discrete 3", equals=0, flag="fault"),
        State(at="discrete 4", equals=1, flag="fault"),
    )
    instrument = modbus(Point(name="x", at="input 0", type="uint16"), states=states)

    assert normal_states(instrument) == {"holding 0": 4, "holding 1": 1, "discrete 3": 1, "discrete 4": 0}
    device, image = device_of(instrument)
    assert device.states() == (4, 0, 1, 1, 0)
    assert read_back(device, image)[1] == device.states()


def test_a_state_that_is_never_normal_reads_nought():
    instrument = modbus(
        Point(name="x", at="input 0", type="uint16"), states=(State(at="coil 0", equals=[0, 1], flag="fault"),)
    )
    assert normal_states(instrument) == {"coil 0": 0}


def beating(at, *, bits=None, points=(), states=(), every=1000):
    heartbeat = Heartbeat(at=at, bits=bits, limit=30_000)
    points = points or (Point(name="x", at="input 0", type="float32", range=(0, 1)),)
    site = modbus(*points, states=(*states, heartbeat.state))
    return site.model_copy(update={"heartbeat": heartbeat.limit, "every": every})


def beats(device, image, count, dt_ms):
    """Read the heartbeat as the driver would, so many times, after a time each."""
    found = []
    for _ in range(count):
        found.append(read_back(device, image)[1][-1])
        assert found[-1] == device.states()[-1]
        device.advance(dt_ms)
        device.show()
    return found


@pytest.mark.parametrize(
    ("at", "bits", "expected"),
    [
        ("holding 9", None, [0, 1, 2, 3, 4]),
        ("holding 40.11", None, [0, 1, 0, 1, 0]),
        ("coil 3", None, [0, 1, 0, 1, 0]),
        ("holding 9", (4, 5), [0, 1, 2, 3, 0]),
    ],
)
def test_a_heartbeat_moves_at_every_reading_as_wide_as_it_is(at, bits, expected):
    device, image = device_of(beating(at, bits=bits, every=5_000))
    assert beats(device, image, 5, 5_000) == expected


def test_a_heartbeat_in_the_word_of_a_state_leaves_the_state_as_it_is():
    states = (State(at="holding 0", bits=(0, 3), equals=[0, 2], flag="fault"),)
    device, image = device_of(beating("holding 0", bits=(11, 11), states=states))
    for beat in (0, 1, 0):
        assert read_back(device, image)[1] == (1, beat)
        device.advance(1000)
        device.show()
    device.show([Condition(instrument="i", flag="fault", at=0, **{"for": 1})])
    assert read_back(device, image)[1] == (0, 1)


def test_a_heartbeat_that_is_a_point_too_is_what_the_point_shows():
    point = Point(name="seconds", at="40010", type="uint16")
    device, image = device_of(beating("holding 9", points=(point,), every=5_000))
    assert beats(device, image, 3, 7_000) == [0, 7, 14]
    assert device.values()["seconds"] == 21


def test_the_heartbeat_stops_where_every_point_is_frozen_and_not_where_some_are():
    points = tuple(Point(name=name, at=f"input {n}", type="uint16") for n, name in enumerate("ab"))
    device, _ = device_of(beating("holding 9", points=points))
    told = []
    for frozen in ((), {"a"}, {"a", "b"}, {"a", "b"}, ()):
        device.advance(1000)
        device.show(frozen=frozen)
        told.append(device.states()[-1])
    assert told == [1, 2, 2, 2, 5]


def test_no_condition_can_be_shown_by_a_heartbeat():
    condition = Condition(instrument="i", flag=Flag.STALE, at=0, **{"for": 1})
    assert set_by(beating("holding 9"), condition) == []


def test_instruments_of_one_unit_share_an_image_without_disturbing_one_another():
    first = modbus(Point(name="a", at="holding 0.1", type="bool"), Point(name="b", at="holding 4", type="uint16"))
    second = modbus(Point(name="a", at="holding 0.6", type="bool"), Point(name="b", at="holding 9", type="uint16"))
    image = Image([*cells(first), *cells(second)])
    for instrument, value in ((first, 5), (second, 6)):
        shapes = {"a": Steady(value=1), "b": Steady(value=value)}
        Device(instrument, Signals(shapes, seed="s"), image).write()

    assert image.word("holding", 0) == 0b100_0010
    assert (image.word("holding", 4), image.word("holding", 9)) == (5, 6)


def test_an_opc_ua_device_has_values_and_states_but_no_cells():
    instrument = opcua(
        Point(name="level", at="nsu=u;s=L", type="double", range=(0, 10)),
        states=(
            State(at="nsu=u;s=H", type="int32", equals=0, flag="fault"),
            State(at="i=9", type="bool", equals=1, flag="fault"),
        ),
    )  # fmt: skip
    device, _ = device_of(instrument)
    device.advance(1000)

    assert 3 <= device.values()["level"] <= 5
    assert device.states() == (1, 0)
    assert cells(instrument) == ()


def test_an_address_that_cannot_be_is_refused():
    with pytest.raises(Unusable):
        cells(modbus(Point(name="x", at="register 7", type="uint16")))
