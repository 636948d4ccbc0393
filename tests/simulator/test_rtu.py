"""Modbus RTU at the instrument's end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from parkgate.simulator.rtu import Requests, Rtu, crc, seconds, silence
from parkgate.simulator.wire import Request

READ = bytes((3, 0, 0, 0, 10))


def asking(unit, pdu=READ):
    return Rtu().frame(Request(0, unit, pdu), unit, pdu)


def test_the_crc_is_that_of_the_known_frames():
    assert crc(bytes.fromhex("01 03 00 00 00 0A")) == bytes.fromhex("C5 CD")
    assert crc(bytes.fromhex("02 07")) == bytes.fromhex("41 12")  # MODBUS over Serial Line V1.02, appendix B


@given(st.binary(min_size=1, max_size=254))
def test_the_crc_is_that_of_another_implementation(data):
    assert crc(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@given(st.lists(st.integers(0, 247), min_size=1, max_size=8), st.data())
def test_requests_are_whole_however_they_are_split_and_whatever_noise_comes_before(units, data):
    stream = b"".join(asking(unit) for unit in units)
    noise = data.draw(st.binary(max_size=3).filter(lambda each: 43 not in each))
    cutter, found, rest = Requests(), [], noise + stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += cutter.feed(rest[:size])
        rest = rest[size:]
    assert [each.unit for each in found][-len(units) :] == units
    assert {each.pdu for each in found[-len(units) :]} == {READ}


def test_a_frame_with_a_wrong_crc_is_passed_over_and_the_next_one_heard():
    spoilt = asking(1)[:-1] + b"\0"
    assert [each.unit for each in Requests().feed(spoilt + asking(2))] == [2]


def test_nobody_answers_for_a_unit_that_nobody_has():
    assert Rtu().nobody(Request(0, 9, READ)) is None


@pytest.mark.parametrize(("baudrate", "milliseconds"), [(9_600, 4.01), (19_200, 2.005), (115_200, 1.75)])
def test_between_frames_there_is_silence_of_three_and_a_half_characters(baudrate, milliseconds):
    assert silence(baudrate) * 1000 == pytest.approx(milliseconds, rel=0.001)


def test_a_character_has_eleven_bits():
    assert seconds(8, 9_600) == pytest.approx(88 / 9_600)
