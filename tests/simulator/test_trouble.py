"""What goes wrong on a wire, byte by byte."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from parkgate.simulator.rtu import Rtu, crc
from parkgate.simulator.trouble import KINDS, Answer, Piece, Reply, Trouble, good, spoilt
from parkgate.simulator.wire import Request, Tcp

PDU = bytes((4, 6, 0, 1, 0, 2, 0, 3))
ASKED = Request(7, 1, bytes((4, 0, 0, 0, 3)))
TCP, RTU = Reply(Tcp(), ASKED, PDU), Reply(Rtu(), ASKED, PDU)
WHOLE = bytes.fromhex("0007 0000 0009 01 04 06 0001 0002 0003")


def trouble(kind, **more):
    return Trouble.model_validate({"at": "0s", "for": "1s", "instrument": "i", "kind": kind, **more})


def given_to(kind, reply=TCP, **more):
    return spoilt(reply, [trouble(kind, **more)], random.Random(1))


def test_a_good_answer_is_one_frame_at_once():
    assert good(TCP) == Answer((Piece(0.0, WHOLE),))


def test_silent_answers_nothing():
    assert given_to("silent") == Answer()


@pytest.mark.parametrize("kind", ["slow", "late"])
def test_slow_and_late_answer_well_after_their_time(kind):
    assert given_to(kind, by="1500ms") == Answer((Piece(1.5, WHOLE),))


def test_an_exception_has_its_code():
    assert given_to("exception", code=4).pieces[0].data == bytes.fromhex("0007 0000 0003 01 84 04")


def test_a_wrong_unit_is_another_ones_answer():
    assert given_to("wrong-unit").pieces[0].data == WHOLE[:6] + b"\x02" + WHOLE[7:]


def test_a_wrong_length_is_a_sound_frame_with_one_register_less():
    assert given_to("wrong-length").pieces[0].data == bytes.fromhex("0007 0000 0007 01 04 04 0001 0002")


def test_a_bad_crc_is_wrong_and_all_before_it_right():
    frame = given_to("bad-crc", RTU).pieces[0].data
    assert frame[:-2] == b"\x01" + PDU
    assert crc(frame[:-2]) != frame[-2:]


def test_noise_stands_before_a_good_answer():
    frame = given_to("noise").pieces[0].data
    assert frame.endswith(WHOLE)
    assert len(WHOLE) < len(frame) <= len(WHOLE) + 8


def test_a_cut_answer_is_its_beginning_and_the_end_of_the_connection():
    answer = given_to("cut")
    assert answer.close
    assert WHOLE.startswith(answer.pieces[0].data)
    assert 0 < len(answer.pieces[0].data) < len(WHOLE)


def test_byte_by_byte_is_whole_in_the_end():
    pieces = given_to("byte-by-byte", by="20ms").pieces
    assert b"".join(each.data for each in pieces) == WHOLE
    assert {(each.after, len(each.data)) for each in pieces} == {(0.02, 1)}


@given(
    st.sampled_from(sorted(kind for kind, about in KINDS.items() if about.of)),
    st.binary(min_size=2, max_size=252),
    st.integers(0, 2**32),
)
def test_no_trouble_of_the_wire_sends_more_than_a_frame_and_some_noise(kind, data, seed):
    reply = Reply(Rtu(), ASKED, bytes((4, len(data))) + data)
    more = {"by": 1000, "code": 4, "registers": 1, "rate": 100}
    needed = {name: more[name] for name in KINDS[kind].needs}
    whose = "instrument" if "instrument" in KINDS[kind].of else next(iter(KINDS[kind].of))
    happens = Trouble.model_validate({"at": 0, "for": 1, whose: "x", "kind": kind, **needed})
    sent = b"".join(each.data for each in spoilt(reply, [happens], random.Random(seed)).pieces)
    assert len(sent) <= len(reply.frame()) + 8


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"kind": "late", "instrument": "i"}, "needs by"),
        ({"kind": "silent", "instrument": "i", "by": "1s"}, "does not take by"),
        ({"kind": "silent", "uplink": "u"}, "instrument | line"),
        ({"kind": "silent"}, "instrument | line"),
        ({"kind": "silent", "instrument": "i", "line": "l"}, "instrument | line"),
        ({"kind": "refuse", "instrument": "i"}, "is of one line"),
    ],
)
def test_a_trouble_that_lacks_something_says_what(wrong, word):
    with pytest.raises(ValidationError) as told:
        Trouble.model_validate({"at": "0s", "for": "1s", **wrong})
    assert word in str(told.value)


def test_every_kind_that_spoils_says_what_an_honest_gateway_may_say():
    for kind in KINDS.values():
        assert not kind.must or kind.flags or not kind.whole or not kind.unknown
