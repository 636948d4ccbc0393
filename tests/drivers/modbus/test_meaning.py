"""What a frame means: the examples of the specification, every exception code, and whatever bytes come."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.drivers.modbus.frames import crc
from parkgate.drivers.modbus.meaning import exception, line, meaning
from parkgate.simulator import rtu


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")


def serial(text):
    data = bytes.fromhex(text)
    return data + crc(data)


def tcp(text, transaction=7, unit=3):
    pdu = bytes.fromhex(text)
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


@given(st.binary(max_size=256))
def test_the_crc_is_that_of_the_simulated_instruments(data):
    assert crc(data) == rtu.crc(data)


def test_a_request_on_a_serial_line():
    told = line(serial("03 04 0000 0014"), sent=True, rtu=True)
    assert told == "→ 03 04 0000 0014 F1E7  unit 3, read input registers 0 to 19"


def test_a_reply_on_a_serial_line():
    told = line(serial("03 04 04 41A0 0000"), sent=False, rtu=True)
    check = crc(bytes.fromhex("03040441A00000")).hex().upper()
    assert told == f"← 03 04 04 41A0 0000 {check}  unit 3, input registers: 4 bytes; CRC right"


def test_a_request_and_its_reply_on_tcp():
    sent = line(tcp("03 006B 0003"), sent=True, rtu=False)
    assert sent == "→ 0007 0000 0006 03 03 006B 0003  transaction 7, unit 3, read holding registers 107 to 109"
    came = line(tcp("03 06 022B 0000 0064"), sent=False, rtu=False)
    assert came == "← 0007 0000 0009 03 03 06 022B 0000 0064  transaction 7, unit 3, holding registers: 6 bytes"


@pytest.mark.parametrize(
    ("function", "cells"),
    [("01", "coils"), ("02", "discrete inputs"), ("03", "holding registers"), ("04", "input registers")],
)
def test_every_table_is_named(function, cells):
    assert meaning(serial(f"01 {function} 0009 0001"), sent=True, rtu=True).words == f"unit 1, read {cells} 9"
    assert f"{cells}: 1 bytes" in meaning(serial(f"01 {function} 01 05"), sent=False, rtu=True).words


def test_a_wrong_crc_is_told_with_the_right_one():
    frame = serial("03 04 02 0001")
    told = meaning(frame[:-1] + b"\x00", sent=False, rtu=True)
    assert told.words.endswith(f"; CRC wrong, {frame[-2:].hex().upper()} would be right")
    assert "CRC right" not in told.words


def test_a_byte_count_that_does_not_fit_is_told():
    assert meaning(tcp("04 28 41A0"), sent=False, rtu=False).words.endswith("input registers: says 40 bytes, 2 came")
    assert meaning(tcp("04"), sent=False, rtu=False).words.endswith("input registers: says 0 bytes, 0 came")


@pytest.mark.parametrize("code", range(1, 12))
def test_every_exception_code_is_told_with_what_it_means(code):
    said = meaning(serial(f"03 84 {code:02X}"), sent=False, rtu=True).words
    assert said == f"unit 3, refuses function 4: {exception(code)}; CRC right"
    assert exception(code).startswith(f"exception {code}, ")
    assert ("does not know" in exception(code)) == (code in {1, 9})


def test_the_second_exception_is_the_one_that_technicians_meet():
    assert exception(2) == "exception 2, ILLEGAL DATA ADDRESS: it has no such register, or not all of those asked for"


def test_a_device_identification_is_told():
    assert meaning(serial("03 2B 0E 01 00"), sent=True, rtu=True).words == "unit 3, read device identification"
    reply = "2B 0E 01 01 00 00 03 00 03 414243 01 01 31 02 01 32"
    assert meaning(tcp(reply), sent=False, rtu=False).words.endswith("device identification: ABC / 1 / 2")
    cut = meaning(tcp("2B 0E 01"), sent=False, rtu=False).words
    assert cut.endswith("device identification that cannot be read")


def test_a_function_of_another_master_is_only_counted():
    assert meaning(serial("03 06 0001 0002"), sent=False, rtu=True).words.startswith("unit 3, function 6, 4 bytes")
    assert meaning(serial("03 06 0001 0002"), sent=True, rtu=True).words.startswith("unit 3, function 6, 4 bytes")


def test_what_is_no_frame_is_told_so():
    assert meaning(b"\x03\x04", sent=False, rtu=True).words == "2 bytes, too few for a frame"
    assert meaning(b"\x03\x04", sent=False, rtu=False).words == "2 bytes, too few for a frame"
    web = meaning(b"HTTP/1.1 400", sent=False, rtu=False)
    assert (web.hex, web.words) == ("4854 5450 2F31 2E31 2034 3030", "not Modbus TCP: its header does not fit")


@given(frame=st.binary(max_size=300), sent=st.booleans(), rtu_=st.booleans())
def test_whatever_comes_is_shown_whole_and_told(frame, sent, rtu_):
    told = meaning(frame, sent=sent, rtu=rtu_)
    assert told.hex.replace(" ", "") == frame.hex().upper()
    assert told.words


def test_frames_are_told_in_chinese(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    told = line(serial("03 84 02"), sent=False, rtu=True)
    assert told.startswith("← 03 84 02 ")
    assert "从站 3，拒绝功能码 4：异常码 2，ILLEGAL DATA ADDRESS：没有这个寄存器" in told
