"""What a status, a value and its times come to, and back."""

import json
import math
import struct
from datetime import UTC, datetime

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, instrument, point, state

from parkgate.config.flag import Flag
from parkgate.config.profile import Heartbeat
from parkgate.drivers.faults import Unusable
from parkgate.drivers.opcua.codec import Decoder, Reading, encode, judge, words
from parkgate.drivers.opcua.plan import plan

NOW = T0 + 1_000
INTEGERS = {"int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1),
            "uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}  # fmt: skip
TYPES = ("bool", "float32", "float64", "double", "string", "string:4", *INTEGERS)


def snapshot(asked, *readings):
    return Decoder(asked, plan(asked)).decode(readings, NOW)


def decoded(one, value, status=0, **more):
    """The value, flag and doubt of a single point."""
    given = snapshot(instrument(one), Reading(value, status, T0, T0, **more))
    return given.values[0], given.flags.get(0), 0 in given.uncertain


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("BadNodeIdUnknown", Flag.BAD_CONFIGURATION),
        ("BadNodeIdInvalid", Flag.BAD_CONFIGURATION),
        ("BadAttributeIdInvalid", Flag.BAD_CONFIGURATION),
        ("BadNotReadable", Flag.BAD_CONFIGURATION),
        ("BadUserAccessDenied", Flag.BAD_CONFIGURATION),
        ("BadConfigurationError", Flag.BAD_CONFIGURATION),
        ("BadTypeMismatch", Flag.BAD_CONFIGURATION),
        ("BadNotConnected", Flag.NO_COMMUNICATION),
        ("BadCommunicationError", Flag.NO_COMMUNICATION),
        ("BadNoCommunication", Flag.NO_COMMUNICATION),
        ("BadWaitingForInitialData", Flag.NO_COMMUNICATION),
        ("BadServerHalted", Flag.NO_COMMUNICATION),
        ("BadTimeout", Flag.NO_COMMUNICATION),
        ("BadNoData", Flag.NO_COMMUNICATION),
        ("BadOutOfService", Flag.OUT_OF_SERVICE),
        ("BadOutOfRange", Flag.OUT_OF_RANGE),
        ("BadDeviceFailure", Flag.FAULT),
        ("BadSensorFailure", Flag.FAULT),
        ("BadUnexpectedError", Flag.FAULT),
        ("Bad", Flag.FAULT),
    ],
)
def test_a_bad_status_gives_its_flag_and_no_value(name, flag):
    assert decoded(point("p"), 4.2, getattr(ua.StatusCodes, name)) == (None, flag, False)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("Uncertain", None),
        ("UncertainSensorNotAccurate", None),
        ("UncertainEngineeringUnitsExceeded", None),
        ("UncertainSubNormal", None),
        ("UncertainSensorCalibration", None),
        ("UncertainNoCommunicationLastUsableValue", Flag.NO_COMMUNICATION),
        ("UncertainLastUsableValue", Flag.STALE),
        ("UncertainSubstituteValue", Flag.MANUAL),
        ("UncertainTransducerInManual", Flag.MANUAL),
        ("UncertainInitialValue", Flag.NO_COMMUNICATION),
        ("UncertainSimulatedValue", Flag.CALIBRATION),
    ],
)
def test_an_uncertain_value_stands_and_one_that_was_replaced_or_is_old_is_flagged_too(name, flag):
    assert decoded(point("p"), 4.2, getattr(ua.StatusCodes, name)) == (4.2, flag, flag is None)


@pytest.mark.parametrize(
    ("raw", "flag"), [(0xFFFF, Flag.FAULT), (2**16, Flag.OUT_OF_RANGE), ("5", Flag.BAD_CONFIGURATION)]
)
def test_an_uncertain_value_that_is_itself_unusable_is_not_told_as_usable_but_uncertain(raw, flag):
    assert decoded(point("p", "uint16", invalid=[0xFFFF]), raw, ua.StatusCodes.Uncertain) == (None, flag, False)


def test_a_good_value_is_plain_but_one_overridden_by_hand_is_manual():
    assert decoded(point("p"), 4.2, ua.StatusCodes.GoodClamped) == (4.2, None, False)
    assert decoded(point("p"), 4.2, ua.StatusCodes.GoodLocalOverride) == (4.2, Flag.MANUAL, False)


def test_the_reserved_severity_is_bad_and_reserved_and_information_bits_change_nothing():
    assert judge(0xC000_0000) == (Flag.FAULT, False, False)
    assert judge(0x8034_0000 | 0x3000_0000) == (Flag.BAD_CONFIGURATION, False, False)
    assert judge(0x8034_0000 | 0x04FF) == (Flag.BAD_CONFIGURATION, False, False)
    assert judge(0x0000_0500) == (None, True, False)
    assert judge(0x4090_0480) == (Flag.STALE, True, True)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [("bool", True, 1), ("bool", False, 0), ("string", "运行", "运行"), ("string:4", "12345678", "12345678"),
     ("double", 3, 3.0), ("float32", single(4.1), 4.1), ("float32", 4.1, 4.1), ("double", 0.1 + 0.2, 0.1 + 0.2)],
)  # fmt: skip
def test_a_value_of_the_right_type_stands(kind, raw, value):
    taken, flag, _ = decoded(point("p", kind), raw)
    assert (taken, type(taken), flag) == (value, type(value), None)


@pytest.mark.parametrize("kind", INTEGERS)
def test_an_integer_stands_at_both_ends_of_its_type_and_is_out_of_range_beyond(kind):
    lowest, highest = INTEGERS[kind]
    one = point("p", kind, **{"as": "string"})
    for raw in (lowest, 0, highest):
        assert decoded(one, raw) == (str(raw), None, False)
    for raw in (lowest - 1, highest + 1):
        assert decoded(one, raw) == (None, Flag.OUT_OF_RANGE, False)


def test_an_integer_beyond_two_to_the_53_needs_to_be_a_string():
    for raw in (2**53, -(2**53)):
        assert decoded(point("p", "int64"), raw) == (raw, None, False)
    for raw in (2**53 + 1, -(2**53) - 1):
        assert decoded(point("p", "int64"), raw) == (None, Flag.OUT_OF_RANGE, False)


@pytest.mark.parametrize(
    ("kind", "raw", "more", "text"),
    [("int64", 12_345_678_901_234_567, {"scale": 0.1}, "1234567890123456.7"),
     ("int64", -(2**63), {"scale": 0.001}, "-9223372036854775.808"),
     ("uint64", 2**64 - 1, {"scale": 0.001, "digits": 1}, "18446744073709551.6"),
     ("uint64", 2**64 - 1, {"offset": 0.5}, "18446744073709551615.5"), ("int64", 0, {"scale": 0.1}, "0.0"),
     ("int64", -1, {"scale": 0.001, "digits": 1}, "0.0"), ("int64", 5, {"digits": 2}, "5")],
)  # fmt: skip
def test_a_scaled_integer_as_a_string_is_a_text_that_is_exact_at_any_size(kind, raw, more, text):
    assert decoded(point("p", kind, **{"as": "string"}, **more), raw) == (text, None, False)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [("bool", 1), ("bool", 0.0), ("int16", True), ("int32", 1.0), ("uint16", "5"), ("double", "4.2"), ("double", [4.2]),
     ("float32", True), ("double", None), ("double", b"4"), ("double", datetime(2025, 1, 1, tzinfo=UTC)),
     ("string", 5), ("string", b"x"), ("string", ["x"]), ("uint32", {"a": 1}), ("string", None)],
)  # fmt: skip
def test_a_value_of_another_type_is_a_wrong_configuration(kind, raw):
    assert decoded(point("p", kind), raw) == (None, Flag.BAD_CONFIGURATION, False)


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["float32", "double"])
def test_what_is_not_a_finite_number_is_a_fault(kind, raw):
    assert decoded(point("p", kind), raw) == (None, Flag.FAULT, False)


def test_a_sentinel_is_a_fault_as_the_instrument_says_it_before_scaling():
    assert decoded(point("p", "uint16", scale=0.1, invalid=[0xFFFF]), 0xFFFF) == (None, Flag.FAULT, False)
    assert decoded(point("p", "uint16", scale=0.1, invalid=[6_553.5]), 0xFFFF) == (6_553.5, None, False)
    assert decoded(point("p", "float32", invalid=[-99.9]), single(-99.9), single=True) == (None, Flag.FAULT, False)
    assert decoded(point("p", "double", invalid=[-99.9]), -99.9) == (None, Flag.FAULT, False)


def test_a_double_that_the_server_holds_as_float_is_written_as_short_as_one():
    assert decoded(point("p"), single(21.4), single=True) == (21.4, None, False)
    assert decoded(point("p"), single(21.4)) == (single(21.4), None, False)


@pytest.mark.parametrize(
    ("kind", "raw", "more", "value"),
    [("int16", 105, {"scale": 0.1}, 10.5), ("int16", 3, {"scale": 0.1}, 0.3), ("uint16", 7, {"offset": 0.25}, 7.25),
     ("uint16", 1234, {"scale": 0.01, "digits": 1}, 12.3), ("double", 2.34567, {"digits": 2}, 2.35),
     ("double", -0.001, {"digits": 1}, 0.0), ("float32", single(0.1), {"scale": 100.0}, 10.0),
     ("int16", 7, {"digits": 2}, 7)],
)  # fmt: skip
def test_scaling_and_digits(kind, raw, more, value):
    assert decoded(point("p", kind, **more), raw) == (value, None, False)


def test_a_value_that_scaling_carries_beyond_all_numbers_is_out_of_range():
    assert decoded(point("p", scale=1e300), 1e300) == (None, Flag.OUT_OF_RANGE, False)
    for written in ("number", "string"):
        one = point("p", "uint64", scale=1e300, **{"as": written})
        assert decoded(one, 2**63) == (None, Flag.OUT_OF_RANGE, False)
    assert decoded(point("p"), 10**400) == (None, Flag.OUT_OF_RANGE, False)


def test_a_text_in_gb18030_is_read_and_one_in_no_encoding_is_a_fault():
    gb = "停机".encode("gb18030").decode("utf-8", "surrogateescape")
    assert decoded(point("p", "string"), gb) == ("停机", None, False)
    assert decoded(point("p", "string"), b"\xff\xff".decode("utf-8", "surrogateescape")) == (None, Flag.FAULT, False)
    assert decoded(point("p", "string"), "\ud800") == (None, Flag.FAULT, False)


def test_a_text_longer_than_the_profile_gives_room_for_is_out_of_range():
    assert decoded(point("p", "string:4"), "123456789") == (None, Flag.OUT_OF_RANGE, False)
    assert decoded(point("p", "string"), "x" * 255)[1] is None
    assert decoded(point("p", "string"), "x" * 256) == (None, Flag.OUT_OF_RANGE, False)


def test_a_snapshot_is_as_old_as_its_newest_usable_point_and_the_others_say_how_far_they_are_off():
    points = [point(name) for name in "abcde"]
    given = snapshot(
        instrument(*points),
        Reading(1.0, 0, T0 - 250, NOW),
        Reading(2.0, 0, T0, NOW),
        Reading(3.0, ua.StatusCodes.BadDeviceFailure, T0 + 99, NOW),
        Reading(4.0, ua.StatusCodes.UncertainLastUsableValue, T0 + 5, NOW),
        Reading(5.0, 0, T0, NOW),
    )
    assert given.at == T0
    assert given.offsets == {0: -250, 3: 5}


@pytest.mark.parametrize(
    ("source", "server", "at"),
    [(T0, T0 + 5, T0), (None, T0 + 5, T0 + 5), (0, T0, T0), (-11_644_473_600_000, T0, T0),
     (253_402_300_799_999, T0, T0), (None, None, NOW), (0, 253_402_300_799_999, NOW)],
)  # fmt: skip
def test_the_sources_time_counts_then_the_servers_then_ours(source, server, at):
    given = snapshot(instrument(point("p")), Reading(1.0, 0, source, server))
    assert (given.at, given.offsets) == (at, {})


def test_a_cycle_without_any_usable_value_is_as_old_as_its_answer():
    given = snapshot(instrument(point("a"), point("b")), *[Reading(None, 0x8005_0000, T0, T0)] * 2)
    assert (given.at, given.offsets, given.values) == (NOW, {}, (None, None))
    assert set(given.flags.values()) == {Flag.NO_COMMUNICATION}


def test_states_are_integers_whole_or_as_bit_fields_and_none_where_they_cannot_be_read():
    tank = instrument(
        point("p"),
        states=[state("a"), state("a", bits=(4, 7)), state("b"), state("c"), state("d"), state("e", bits=(0, 3))],
    )
    readings = (Reading(1.0), Reading(0xA5), Reading(True), Reading(5, 0x8031_0000), Reading("on"), Reading(-1))  # noqa: FBT003  a node's value
    assert snapshot(tank, *readings).states == (0xA5, 0xA, 1, None, None, 0xF)


def test_a_heartbeat_is_the_last_of_the_states_and_may_be_the_node_of_a_point():
    beats = point("beats", "int32")
    tank = instrument(beats, states=[state("a"), Heartbeat(at=beats.at, limit=30_000).state])
    assert len(plan(tank).nodes) == 2
    assert snapshot(tank, Reading(7), Reading(1)).states == (1, 7)
    assert snapshot(tank, Reading(7, 0x8031_0000), Reading(1)).states == (1, None)


def test_an_uncertain_state_still_judges():
    assert snapshot(instrument(point("p"), states=[state()]), Reading(1.0), Reading(1, 0x4093_0000)).states == (1,)


@pytest.mark.parametrize(
    "name",
    ["UncertainNoCommunicationLastUsableValue", "UncertainLastUsableValue", "UncertainSubstituteValue",
     "UncertainInitialValue", "UncertainTransducerInManual", "UncertainSimulatedValue", "GoodLocalOverride"],
)  # fmt: skip
@pytest.mark.parametrize("bits", [None, (0, 3)])
def test_a_state_that_is_old_or_replaced_could_not_be_read(name, bits):
    tank = instrument(point("p"), states=[state(bits=bits)])
    assert snapshot(tank, Reading(1.0), Reading(0, getattr(ua.StatusCodes, name))).states == (None,)


def test_a_type_that_opc_ua_does_not_have_is_refused_with_its_point():
    tank = instrument(point("level", "bcd16"))
    with pytest.raises(Unusable, match=r'instrument "tank-1", points\.level\.type: OPC UA has no type "bcd16"'):
        Decoder(tank, plan(tank))


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
anything = st.recursive(plain, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner))
times = st.none() | st.integers(-(2**63), 2**63)


@st.composite
def any_point(draw):
    kind = draw(st.sampled_from(TYPES))
    number = st.floats(-1e6, 1e6, allow_nan=False)
    return point(
        "p",
        kind,
        scale=draw(st.just(1.0) | number),
        offset=draw(st.just(0.0) | number),
        digits=draw(st.none() | st.integers(0, 12)),
        invalid=draw(st.lists(number | st.integers(), max_size=3)),
        **{"as": draw(st.sampled_from(["number", "string"]))},
    )


@given(any_point(), anything, st.integers(0, 2**32 - 1) | st.just(0), times, times, st.booleans())
def test_whatever_a_server_says_gives_a_value_or_a_flag_that_can_be_sent(one, value, status, source, server, single):
    given = snapshot(
        instrument(one, states=[state()]), Reading(value, status, source, server, single), Reading(value, status)
    )
    (taken,) = given.values
    assert (taken is not None) or (0 in given.flags)
    assert status < 0x8000_0000 or (taken is None and 0 in given.flags)
    assert 0 < given.at < 2**48
    assert type(taken) in (int, float, str, type(None))
    json.dumps([taken, given.states, given.offsets], allow_nan=False, ensure_ascii=False).encode()


@given(st.sampled_from(sorted(INTEGERS)), st.data())
def test_encoding_is_the_inverse_of_decoding_for_integers(kind, data):
    value = data.draw(st.integers(max(INTEGERS[kind][0], -(2**53)), min(INTEGERS[kind][1], 2**53)))
    assert decoded(point("p", kind), encode(point("p", kind), value)) == (value, None, False)
    raw = data.draw(st.integers(max(INTEGERS[kind][0], -(2**31)), min(INTEGERS[kind][1], 2**31)))
    scaled = point("p", kind, scale=0.1, offset=-40.0)
    value, flag, _ = decoded(scaled, raw)
    assert flag is None
    assert encode(scaled, value) == raw


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_encoding_is_the_inverse_of_decoding_for_a_float32(value):
    one = point("p", "float32")
    shown, flag, _ = decoded(one, value, single=True)
    assert flag is None
    assert single(encode(one, shown)) == value


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [("bool", 1, True), ("bool", 0, False), ("string", "a", "a"), ("string", None, None), ("double", None, None),
     ("int16", 40_000, 32_767), ("int16", -1e9, -32_768), ("uint16", -1, 0), ("uint64", str(2**64 - 1), 2**64 - 1),
     ("uint64", 1e300, 2**64 - 1), ("int16", math.nan, None), ("int32", 2.6, 3), ("float32", 1e300, math.inf),
     ("float32", -1e300, -math.inf), ("double", 1e300, 1e300)],
)  # fmt: skip
def test_a_simulated_node_holds_the_nearest_that_its_type_can(kind, value, raw):
    held = encode(point("p", kind), value)
    assert (held, type(held)) == (raw, type(raw))


def test_states_on_one_node_are_put_together_so_that_each_reads_as_asked():
    tank = instrument(
        point("p"),
        states=[state("h", equals=1), state("h", equals=2), state("b", bits=(0, 3)), state("b", bits=(4, 7))],
    )
    nodes = plan(tank)
    assert words(tank.states, [0, 2, 5, 0xA], nodes) == {1: 2, 2: 0xA5}
    assert words(tank.states, [1, 0, 0, 0], nodes) == {1: 1, 2: 0}
    assert words(tank.states, [0, 0, 0, 0x1F], nodes) == {1: 0, 2: 0xF0}
