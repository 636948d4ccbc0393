"""What a simulated unit says it is: byte by byte, to whatever is asked, and read back by the driver's own decoder."""

import struct
from importlib.metadata import version

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.identification import decode
from parkgate.simulator.identification import OBJECTS, identify

REVISION = version("parkgate").encode()
VENDOR, CODE = b"\x00\x08Parkgate", b"\x01\x09simulator"
LAST = b"\x02" + bytes((len(REVISION),)) + REVISION


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_stream_is_all_that_there_is_whatever_level_is_asked(code):
    assert identify(bytes((0x2B, 0x0E, code, 0))) == bytes((0x2B, 0x0E, code, 0x81, 0, 0, 3)) + VENDOR + CODE + LAST


def test_a_stream_begins_where_it_is_asked_to_and_at_the_first_where_that_is_not_there():
    assert identify(bytes((0x2B, 0x0E, 1, 1)))[6:] == b"\x02" + CODE + LAST
    assert identify(bytes((0x2B, 0x0E, 1, 0x80)))[6:] == b"\x03" + VENDOR + CODE + LAST


def test_one_object_is_given_by_itself():
    assert identify(bytes((0x2B, 0x0E, 4, 1))) == bytes((0x2B, 0x0E, 4, 0x81, 0, 0, 1)) + CODE


@pytest.mark.parametrize(
    ("asked", "exception"),
    [
        (b"\x2b", 3),
        (b"\x2b\x0d\x01\x00", 1),
        (b"\x2b\x0e", 3),
        (b"\x2b\x0e\x01", 3),
        (b"\x2b\x0e\x01\x00\x00", 3),
        (b"\x2b\x0e\x00\x00", 3),
        (b"\x2b\x0e\x05\x00", 3),
        (b"\x2b\x0e\x04\x03", 2),
    ],
)
def test_what_the_specification_does_not_allow_is_an_exception(asked, exception):
    assert identify(asked) == bytes((0xAB, exception))


@given(st.binary(max_size=252))
@example(b"\x0e\x01\x00")
def test_every_question_has_an_answer_of_whole_objects_or_an_exception(data):
    answer = identify(b"\x2b" + data)
    assert len(answer) <= 253
    if answer[0] == 0xAB:
        assert len(answer) == 2
        return
    count, rest, found = answer[6], answer[7:], {}
    assert answer[:6] == bytes((0x2B, 0x0E, data[1], 0x81, 0, 0))
    for _ in range(count):
        number, length = struct.unpack_from("BB", rest)
        found[number], rest = rest[2 : 2 + length], rest[2 + length :]
    assert rest == b""
    assert found.items() <= OBJECTS.items()
    assert found


def test_the_driver_reads_it_as_what_it_is():
    said = decode(identify(b"\x2b\x0e\x01\x00")[1:])
    assert said == Identity("Parkgate", "simulator", REVISION.decode())
    assert said.simulated
