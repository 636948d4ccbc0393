"""Replies found among the bytes of a wire: whole ones, wherever they stand, and never one that is not there."""

from hypothesis import given
from hypothesis import strategies as st
from support.serial_wire import crc

from parkgate.drivers.modbus.frames import IDENTIFY, NOT_MODBUS, Shape, broken, coming, rtu_frames, tcp_frames


def framed(unit, pdu):
    body = bytes((unit,)) + pdu
    return body + crc(body)


def reply(unit, function, data):
    return framed(unit, bytes((function, len(data))) + data)


units = st.integers(1, 247)
replies = st.builds(reply, units, st.sampled_from([1, 2, 3, 4]), st.binary(min_size=1, max_size=250))
refusals = st.builds(lambda unit, function, code: framed(unit, bytes((function | 0x80, code))), units,
                     st.sampled_from([1, 2, 3, 4, IDENTIFY]), st.integers(1, 11))  # fmt: skip
objects = st.lists(st.binary(max_size=20), min_size=1, max_size=3)
identities = st.builds(
    lambda unit, each: framed(
        unit,
        bytes((IDENTIFY, 14, 1, 1, 0, 0, len(each)))
        + b"".join(bytes((place, len(text))) + text for place, text in enumerate(each)),
    ),
    units,
    objects,
)
frames = st.one_of(replies, refusals, identities)


def bodies(data):
    return [bytes((frame.unit, frame.function)) + frame.data for frame in rtu_frames(data)]


@given(st.lists(frames, max_size=4))
def test_frames_in_a_row_are_found_all_and_in_their_order(sent):
    assert bodies(b"".join(sent)) == [frame[:-2] for frame in sent]


@given(frames, st.binary(max_size=12), st.binary(max_size=12))
def test_a_frame_is_found_among_noise(frame, before, behind):
    # Noise may begin like a long frame, but what it would be ends in a CRC that does not fit.
    assert frame[:-2] in bodies(before + frame + behind)


@given(frames, st.data())
def test_a_frame_with_any_byte_changed_is_not_taken(frame, data):
    place = data.draw(st.integers(0, len(frame) - 1))
    wrong = frame[:place] + bytes((frame[place] ^ data.draw(st.integers(1, 255)),)) + frame[place + 1 :]
    assert frame[:-2] not in bodies(wrong)


@given(frames, st.data())
def test_what_has_not_come_whole_is_not_there_yet(frame, data):
    assert frame[:-2] not in bodies(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(units, st.sampled_from([1, 2, 3, 4]), st.binary(min_size=1, max_size=250), st.data())
def test_the_reply_awaited_is_waited_for_and_is_broken_if_it_came_with_a_wrong_byte(unit, function, payload, data):
    frame, shape = reply(unit, function, payload), Shape(unit, function, len(payload))
    assert coming(frame[: data.draw(st.integers(0, len(frame) - 1))], shape)
    assert not coming(frame, shape)
    place = data.draw(st.integers(3, len(frame) - 1))
    wrong = frame[:place] + bytes((frame[place] ^ 1,)) + frame[place + 1 :]
    assert broken(wrong, shape)
    assert not broken(wrong[:-1], shape)


def test_a_late_identification_is_no_answer_to_a_read():
    (frame,) = rtu_frames(framed(3, bytes((IDENTIFY | 0x80, 1))))
    assert not frame.may_answer(Shape(3, 3, 4))
    assert frame.may_answer(Shape(3, IDENTIFY, None))


@given(st.lists(st.tuples(st.integers(0, 65_535), units, st.integers(1, 255), st.binary(min_size=1, max_size=252))))
def test_a_tcp_stream_gives_its_frames_with_their_transactions(sent):
    stream = b"".join(
        transaction.to_bytes(2, "big") + b"\0\0" + (len(data) + 2).to_bytes(2, "big") + bytes((unit, function)) + data
        for transaction, unit, function, data in sent
    )
    found = [(number, each.unit, each.function, each.data) for number, each in tcp_frames(stream)]
    assert found == sent


def test_a_tcp_stream_that_lost_its_place_says_so():
    assert [frame for _, frame in tcp_frames(b"\0\1\0\7\0\6\1\3")] == [NOT_MODBUS]
