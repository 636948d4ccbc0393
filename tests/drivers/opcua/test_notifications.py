"""A PublishResponse read without the library says what the library says."""

import struct

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, moment

from parkgate.drivers.opcua.codec import Reading
from parkgate.drivers.opcua.notifications import Notification, parse
from parkgate.drivers.opcua.subscription import _by_library

INTEGERS = {"SByte": (-(2**7), 2**7 - 1), "Byte": (0, 2**8 - 1), "Int16": (-(2**15), 2**15 - 1),
            "UInt16": (0, 2**16 - 1), "Int32": (-(2**31), 2**31 - 1), "UInt32": (0, 2**32 - 1),
            "Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1)}  # fmt: skip
VARIANTS = st.one_of(
    *(st.builds(ua.Variant, st.integers(*ends), st.just(ua.VariantType[name])) for name, ends in INTEGERS.items()),
    st.builds(ua.Variant, st.floats(width=32, allow_nan=False), st.just(ua.VariantType.Float)),
    st.builds(ua.Variant, st.floats(allow_nan=False), st.just(ua.VariantType.Double)),
    st.builds(ua.Variant, st.booleans(), st.just(ua.VariantType.Boolean)),
    st.builds(ua.Variant, st.text(st.characters(exclude_categories=["Cs"])), st.just(ua.VariantType.String)),
    st.just(ua.Variant(None, ua.VariantType.String)),
    st.just(ua.Variant()),
)
TIMES = st.none() | st.integers(-10_000_000_000_000, 200_000_000_000_000).map(moment)
VALUES = st.builds(
    ua.DataValue,
    st.none() | VARIANTS,
    StatusCode=st.builds(ua.StatusCode, st.integers(0, 2**32 - 1).map(ua.UInt32)),
    SourceTimestamp=TIMES,
    ServerTimestamp=TIMES,
)


def response(*parts, subscription=7, sequence=3, available=(), more=False):
    said = ua.PublishResponse()
    said.Parameters.SubscriptionId = subscription
    said.Parameters.MoreNotifications = more
    said.Parameters.AvailableSequenceNumbers = list(available)
    said.Parameters.NotificationMessage.SequenceNumber = sequence
    said.Parameters.NotificationMessage.NotificationData = list(parts)
    return said


def changes(*values):
    items = [ua.MonitoredItemNotification(handle, value) for handle, value in enumerate(values)]
    return ua.DataChangeNotification(MonitoredItems=items)


@given(
    st.lists(st.lists(VALUES, max_size=4), max_size=3), st.lists(st.integers(0, 2**32 - 1), max_size=3), st.booleans()
)
def test_what_changed_is_read_as_the_library_reads_it(parts, available, more):
    data = struct_to_binary(response(*(changes(*values) for values in parts), available=available, more=more))
    found = parse(data)
    assert found == _by_library(Buffer(data))
    assert len(found.items) == sum(map(len, parts))
    assert (found.subscription, found.sequence) == (7, 3)


def test_a_sign_of_life_and_an_end_are_told_apart():
    assert parse(struct_to_binary(response())) == Notification(7, 3, [])
    ended = parse(struct_to_binary(response(ua.StatusChangeNotification(Status=ua.StatusCode(0x800A_0000)))))
    assert ended == Notification(7, 3, [], 0x800A_0000)


def test_picoseconds_stand_behind_their_times_as_the_standard_has_it():
    item = struct.pack("<IBBdIqHqH", 5, 0x3F, 11, 2.5, 0x4000_0000, ticks(T0), 9, ticks(T0 + 8), 7)
    data = raw(item)
    assert parse(data).items == [(5, Reading(2.5, 0x4000_0000, T0, T0 + 8))]


def ticks(milliseconds):
    return milliseconds * 10_000 + 116_444_736_000_000_000


def raw(*items, more=0):
    body = struct.pack("<i", len(items)) + b"".join(items) + struct.pack("<i", -1)
    head = struct.pack("<4sqIIBi3sIi", bytes.fromhex("01003d03"), 0, 1, 0, 0, -1, bytes(3), 7, -1)
    message = struct.pack("<BIqi", more, 3, 0, 1)
    return (
        head
        + message
        + struct.pack("<4sBi", bytes.fromhex("01002b03"), 1, len(body))
        + body
        + struct.pack("<ii", -1, -1)
    )


@pytest.mark.parametrize(
    "value",
    [ua.Variant([1.0, 2.0], ua.VariantType.Double), ua.Variant(ua.LocalizedText("自动"), ua.VariantType.LocalizedText),
     ua.Variant(b"x", ua.VariantType.ByteString), ua.Variant(moment(T0), ua.VariantType.DateTime)],
    ids=["array", "localized text", "bytes", "time"],
)  # fmt: skip
def test_what_is_not_usual_is_left_to_the_library(value):
    data = struct_to_binary(response(changes(ua.DataValue(ua.Variant(1.5)), ua.DataValue(value))))
    assert parse(data) is None
    assert next(reading.value for _, reading in _by_library(Buffer(data)).items) == 1.5


def test_events_and_failed_answers_are_left_to_the_library():
    assert parse(struct_to_binary(response(ua.EventNotificationList()))) is None
    bad = response(changes(ua.DataValue(ua.Variant(1.5))))
    bad.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTimeout))
    assert parse(struct_to_binary(bad)) is None
    assert parse(struct_to_binary(ua.ReadResponse()) + bytes(40)) is None


@given(st.data())
def test_a_message_cut_short_never_passes_for_a_whole_one(data):
    whole = struct_to_binary(response(changes(ua.DataValue(ua.Variant("level")), ua.DataValue(ua.Variant(2.5)))))
    tail = 4 * 3  # diagnostics and results behind the changes, which nobody needs
    short = whole[: data.draw(st.integers(0, len(whole) - tail - 1))]
    with pytest.raises((struct.error, IndexError)):
        parse(short)
