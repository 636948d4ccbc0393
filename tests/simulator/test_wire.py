"""The instrument's end of Modbus TCP, against the specification's own byte examples and against nonsense."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.simulator.image import Image
from parkgate.simulator.wire import NotModbus, Request, Requests, Tcp, reply

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, TARGET_SILENT = 1, 2, 3, 11


def answer(request, units):
    image = units.get(request.unit)
    pdu = Tcp().nobody(request) if image is None else reply(request.pdu, image)
    return Tcp().frame(request, request.unit, pdu)


def image_of_the_specification():
    """The cells of the examples in MODBUS Application Protocol V1.1b3, 6.1 to 6.4."""
    image = Image([("coil", 0, 38), ("discrete", 196, 22), ("holding", 107, 3), ("input", 8, 1)])
    image.write("coil", 19, [int(bit) for byte in ("CD", "6B", "05") for bit in f"{int(byte, 16):08b}"[::-1]][:19])
    image.write("discrete", 196, [int(bit) for byte in ("AC", "DB", "35") for bit in f"{int(byte, 16):08b}"[::-1]][:22])
    image.write("holding", 107, (0x022B, 0x0000, 0x0064))
    image.write("input", 8, (0x000A,))
    return image


def ask(pdu: bytes, image: Image | None = None, unit=1) -> bytes:
    """Give the PDU that answers a PDU."""
    frame = answer(Request(0x1501, unit, pdu), {1: image or image_of_the_specification()})
    transaction, protocol, length, answered = struct.unpack_from(">HHHB", frame)
    assert (transaction, protocol, length, answered) == (0x1501, 0, len(frame) - 6, unit)
    return frame[7:]


def frame(pdu: bytes, transaction=1, unit=1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


@pytest.mark.parametrize(
    ("request_pdu", "reply_pdu"),
    [
        ("01 00 13 00 13", "01 03 CD 6B 05"),
        ("02 00 C4 00 16", "02 03 AC DB 35"),
        ("03 00 6B 00 03", "03 06 02 2B 00 00 00 64"),
        ("04 00 08 00 01", "04 02 00 0A"),
        ("01 04 A1 00 01", "81 02"),
    ],
)
def test_the_examples_of_the_specification_are_answered_as_printed_there(request_pdu, reply_pdu):
    assert ask(bytes.fromhex(request_pdu)) == bytes.fromhex(reply_pdu)


@pytest.mark.parametrize("function", [0, 5, 6, 7, 8, 15, 16, 22, 23, 43, 0x7F])
def test_every_function_but_the_four_reads_is_refused_so_that_nothing_can_be_written(function):
    image = image_of_the_specification()
    pdu = struct.pack(">BHHB", function, 107, 1, 2) + b"\x12\x34"

    assert ask(pdu, image) == bytes((function | 0x80, ILLEGAL_FUNCTION))
    assert image.word("holding", 107) == 0x022B


@pytest.mark.parametrize(
    ("function", "count"), [(1, 0), (1, 2001), (2, 0xFFFF), (3, 0), (3, 126), (4, 0), (4, 126), (4, 0xFFFF)]
)
def test_a_count_the_specification_forbids_is_an_illegal_value(function, count):
    assert ask(struct.pack(">BHH", function, 0, count)) == bytes((function | 0x80, ILLEGAL_VALUE))


@pytest.mark.parametrize("pdu", ["03", "03 00", "03 00 00 00", "04 00 08 00 01 00"])
def test_a_read_of_the_wrong_length_is_an_illegal_value(pdu):
    data = bytes.fromhex(pdu)

    assert ask(data) == bytes((data[0] | 0x80, ILLEGAL_VALUE))


@pytest.mark.parametrize("first", [106, 108, 110, 0, 0xFFFF])
def test_a_read_that_leaves_the_map_is_an_illegal_address(first):
    assert ask(struct.pack(">BHH", 3, first, 3)) == bytes((0x83, ILLEGAL_ADDRESS))


def test_a_table_the_unit_does_not_have_is_an_illegal_address():
    assert ask(struct.pack(">BHH", 1, 0, 1), Image([("input", 0, 2)])) == bytes((0x81, ILLEGAL_ADDRESS))


def test_unused_cells_within_the_map_read_as_nought():
    image = Image([("input", 10, 1), ("input", 14, 2)])
    image.write("input", 10, (7,))
    image.write("input", 14, (8, 9))

    assert ask(struct.pack(">BHH", 4, 10, 6), image) == b"\x04\x0c" + struct.pack(">6H", 7, 0, 0, 0, 8, 9)


def test_a_unit_nobody_has_is_answered_as_a_gateway_would():
    assert ask(struct.pack(">BHH", 4, 8, 1), unit=9) == bytes((0x84, TARGET_SILENT))


@given(st.lists(st.binary(min_size=1, max_size=253), max_size=20), st.data())
def test_requests_are_the_same_however_the_network_splits_and_joins_them(pdus, data):
    stream = b"".join(frame(pdu, transaction=n, unit=n % 256) for n, pdu in enumerate(pdus))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    requests = Requests()

    whole = [
        request
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for request in requests.feed(stream[start:end])
    ]

    assert whole == [Request(n, n % 256, pdu) for n, pdu in enumerate(pdus)]


@pytest.mark.parametrize(
    "header", ["0001 0001 0006 01 03", "0001 0000 0001 01 03", "0001 0000 00FF 01 03", "4745 5420 2F20 48 54"]
)
def test_a_stream_that_is_not_modbus_is_given_up(header):
    with pytest.raises(NotModbus):
        list(Requests().feed(bytes.fromhex(header)))


def test_the_requests_before_the_nonsense_are_still_answered():
    given_up = Requests().feed(frame(b"\x03\x00\x00\x00\x01") + b"GET / HTTP/1.1\r\n")

    assert next(given_up) == Request(1, 1, b"\x03\x00\x00\x00\x01")
    with pytest.raises(NotModbus):
        next(given_up)


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_nonsense_is_answered_or_given_up_and_nothing_else(chunks):
    units = {1: image_of_the_specification()}
    requests = Requests()
    try:
        for chunk in chunks:
            for request in requests.feed(chunk):
                assert len(answer(request, units)) >= 9
    except NotModbus:
        pass


@given(st.binary(min_size=1, max_size=253), st.integers(0, 255))
def test_any_pdu_to_any_unit_has_one_answer_that_fits_the_protocol(pdu, unit):
    given = answer(Request(7, unit, pdu), {1: image_of_the_specification()})

    assert given[:4] == b"\x00\x07\x00\x00"
    assert int.from_bytes(given[4:6], "big") == len(given) - 6 <= 254
    assert given[7] in (pdu[0], pdu[0] | 0x80)


@given(
    st.integers(0, 0xFF00),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=200),
    st.integers(0, 0xFFFF),
    st.integers(1, 125),
)
def test_a_read_gives_the_words_that_were_written_or_nothing(base, words, first, count):
    image = Image([("holding", base, len(words))])
    image.write("holding", base, words)
    inside = base <= first and first + count <= base + len(words)

    expected = struct.pack(f">{count}H", *words[first - base : first - base + count]) if inside else None

    assert image.read("holding", first, count) == expected


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.data())
def test_bits_are_packed_eight_a_byte_with_the_first_lowest(bits, data):
    image = Image([("coil", 3, len(bits))])
    image.write("coil", 3, bits)
    first = data.draw(st.integers(0, len(bits) - 1))
    count = data.draw(st.integers(1, len(bits) - first))

    packed = image.read("coil", 3 + first, count)

    assert [packed[i // 8] >> i % 8 & 1 for i in range(count)] == bits[first : first + count]
    assert len(packed) == -(-count // 8)


def test_a_bit_of_a_register_is_set_and_cleared_without_its_neighbours():
    image = Image([("holding", 40, 1)])
    image.write("holding", 40, (0b1010_0000,))

    image.write_bit("holding", 40, 3, on=True)
    assert image.word("holding", 40) == 0b1010_1000
    image.write_bit("holding", 40, 7, on=False)
    assert image.word("holding", 40) == 0b0010_1000


@pytest.mark.parametrize(("table", "first"), [("holding", 39), ("holding", 41), ("input", 40)])
def test_nothing_is_written_outside_the_span_an_image_was_made_for(table, first):
    image = Image([("holding", 40, 1)])

    with pytest.raises((KeyError, IndexError)):
        image.write(table, first, (1,))
