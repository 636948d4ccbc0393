"""The load of a line: what the wire needs for its bits, and who does not fit into the time that there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.modbus_maps import instrument, instruments, point

from parkgate.config.site import Line, Rs485
from parkgate.drivers.modbus.plan import plan
from parkgate.drivers.modbus.wire_time import (
    USUAL_RESPONSE_MS,
    USUAL_TCP_RESPONSE_MS,
    character_ms,
    load,
    request_ms,
    silence_ms,
    worth_telling,
)


def serial(baudrate=9600, **more):
    return Line(name="rs485-1", url="modbus-rtu:///dev/ttyS1", baudrate=baudrate, **more)


def tcp(**more):
    return Line(name="tcp-1", url="modbus-tcp://127.0.0.1", **more)


def registers(count, **more):
    """An instrument of so many registers in a row: one request up to 125 of them."""
    return instrument(*(point(f"input {n}") for n in range(count)), **more)


def wire_ms(line, count, **more):
    """What a request of so many registers takes besides the time that the instrument thinks."""
    about = registers(count, **more)
    (block,) = plan(about)
    return request_ms(line, about, block) - USUAL_RESPONSE_MS


@pytest.mark.parametrize(
    ("baudrate", "count", "ms"),
    [
        (9600, 1, 22 * 10 / 9.6),  # 22.9: 8 asked, 7 answered, twice 3.5 of silence, each 10 bits
        (9600, 20, 62.5),
        (9600, 125, 281.25),
        (19_200, 125, 140.625),
        (115_200, 125, 263 * 10 / 115.2 + 2 * 1.75),  # 26.3: above 19200 baud the silence does not shrink
    ],
)
def test_a_request_takes_the_time_of_its_characters_and_of_both_silences(baudrate, count, ms):
    assert wire_ms(serial(baudrate), count) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("parity", "stopbits", "bits"), [("none", 1, 10), ("even", 1, 11), ("odd", 1, 11), ("none", 2, 11), ("even", 2, 12)]
)
def test_a_character_has_a_start_bit_eight_of_data_perhaps_a_parity_and_its_stop_bits(parity, stopbits, bits):
    assert character_ms(serial(1_000, parity=parity, stopbits=stopbits)) == bits


@pytest.mark.parametrize(("baudrate", "ms"), [(9600, 3.5 * 10 / 9.6), (19_200, 3.5 * 10 / 19.2), (19_201, 1.75)])
def test_the_silence_is_three_and_a_half_characters_up_to_19200_baud_and_fixed_above(baudrate, ms):
    assert silence_ms(serial(baudrate)) == pytest.approx(ms)


def test_bits_are_packed_eight_a_character():
    about = instrument(*(point(f"coil {n}", "bool") for n in range(16)))
    (block,) = plan(about)
    assert request_ms(serial(), about, block) == pytest.approx(22 * 10 / 9.6 + USUAL_RESPONSE_MS)


def test_a_pause_counts_in_place_of_the_silence_before_a_request_where_it_is_longer():
    plain = wire_ms(serial(), 1)
    silence = silence_ms(serial())
    assert wire_ms(serial(pause=2), 1) == pytest.approx(plain)
    assert wire_ms(serial(pause=50), 1) == pytest.approx(plain - silence + 50)
    assert wire_ms(serial(pause=50), 1, pause=80) == pytest.approx(plain - silence + 80)
    assert wire_ms(serial(rs485=Rs485(delay_before=3)), 1) == pytest.approx(plain + 3)


def test_the_time_that_an_instrument_thinks_is_what_it_was_told_to_be():
    about = registers(1, response=120)
    (block,) = plan(about)
    assert request_ms(serial(), about, block) == pytest.approx(wire_ms(serial(), 1) + 120)


def test_over_tcp_the_bytes_cost_nothing():
    about = registers(125)
    (block,) = plan(about)
    assert request_ms(tcp(), about, block) == USUAL_TCP_RESPONSE_MS
    assert request_ms(tcp(pause=30), registers(125, response=5, pause=40), block) == 45


def test_a_serial_line_behind_a_network_has_the_load_of_its_wire():
    over_tcp = Line(name="l", url="modbus-rtu-over-tcp://10.0.0.9:4001", baudrate=9600)
    assert load(over_tcp, [registers(20)]).percent == load(serial(), [registers(20)]).percent == pytest.approx(8.25)


def test_a_turn_is_all_requests_of_the_plan_and_its_share_is_of_the_period():
    found = load(serial(), [registers(250, every=2_000)])
    (share,) = found.shares
    assert (share.requests, share.every) == (2, 2_000)
    assert share.ms == pytest.approx(2 * (281.25 + USUAL_RESPONSE_MS))
    assert share.longest == pytest.approx(281.25 + USUAL_RESPONSE_MS)
    assert found.percent == share.percent == pytest.approx(share.ms / 20)


def park(*periods, count=20):
    """Instruments of one request each (82.5 ms at 9600 baud), by their periods."""
    return [registers(count, name=f"i{n}", unit=n, every=every) for n, every in enumerate(periods, 1)]


def test_who_is_read_most_often_comes_first_and_who_makes_it_too_much_does_not_fit_nor_anyone_behind():
    found = load(serial(), park(5_000, 200, 200, 500, 60_000))
    assert [share.name for share in found.shares] == ["i2", "i3", "i4", "i1", "i5"]
    assert found.percent == pytest.approx(82.5 * 100 * (1 / 200 + 1 / 200 + 1 / 500 + 1 / 5_000 + 1 / 60_000))
    assert (found.excess, found.fits) == (("i1", "i5"), False)  # 41.25 + 41.25 + 16.5 is 99 percent
    assert load(serial(), park(200, 200, 500)).excess == ()


def test_one_that_takes_longer_than_its_own_period_does_not_fit_alone():
    assert load(serial(), park(82)).excess == ("i1",)
    assert load(serial(), park(83)).fits


def test_a_long_request_holds_up_what_is_read_more_often_than_it_takes():
    long, quick = registers(125, name="long", every=60_000), registers(1, name="quick", unit=2, every=250)
    ((holding, held),) = load(serial(), [long, quick]).holding_up
    assert (holding.name, held.name) == ("long", "quick")
    assert load(serial(19_200), [long, quick]).holding_up == ()


def test_a_line_without_instruments_has_no_load():
    found = load(serial(), [])
    assert (found.percent, found.shares, found.fits, found.holding_up) == (0, (), True, ())


@pytest.mark.parametrize(
    ("line", "about", "told"),
    [
        (serial(), {}, True),
        (Line(name="l", url="modbus-rtu-over-tcp://h:1"), {}, True),
        (tcp(), {}, False),
        (tcp(pause=5), {}, True),
        (tcp(), {"response": 5}, True),
        (tcp(), {"pause": 5}, True),
        (Line(name="l", url="opc.tcp://h", security="none"), {}, False),
    ],
)
def test_the_load_is_worth_telling_of_every_serial_line_and_of_others_that_are_known_to_be_slow(line, about, told):
    assert worth_telling(line, [registers(1, **about)]) is told
    assert not worth_telling(line, [])


lines = st.builds(
    serial,
    st.sampled_from([1_200, 9_600, 19_200, 38_400, 115_200]),
    parity=st.sampled_from(["none", "even"]),
    stopbits=st.sampled_from([1, 2]),
    pause=st.integers(0, 100),
) | st.builds(tcp, pause=st.integers(0, 100))


@st.composite
def sharing(draw):
    found = draw(st.lists(instruments(most=150, size=6), max_size=5))
    return [
        each.model_copy(
            update={
                "name": f"i{n}",
                "every": draw(st.integers(5, 20_000)),
                "pause": draw(st.integers(0, 100)),
                "response": draw(st.none() | st.integers(0, 500)),
            }
        )
        for n, each in enumerate(found)
    ]


@given(lines, sharing(), st.integers(0, 5))
def test_load_is_additive_whoever_is_named_first(line, found, cut):
    whole = load(line, found).percent
    assert whole == pytest.approx(load(line, found[:cut]).percent + load(line, found[cut:]).percent)
    assert whole == pytest.approx(load(line, found[::-1]).percent)


@given(lines, sharing())
def test_somebody_does_not_fit_exactly_where_the_line_has_not_the_time_for_all(line, found):
    told = load(line, found)
    assert told.fits == (told.percent <= 100)
    names = [share.name for share in told.shares]
    kept = names[: len(names) - len(told.excess)]
    assert [*kept, *told.excess] == names
    assert sorted(names) == sorted(each.name for each in found)
    assert [share.every for share in told.shares] == sorted(each.every for each in found)
    assert load(line, [each for each in found if each.name in kept]).fits


@given(lines, sharing(), st.integers(2, 10))
def test_reading_less_often_never_makes_a_line_fuller_and_who_is_left_out_takes_nothing(line, found, factor):
    slower = [each.model_copy(update={"every": each.every * factor}) for each in found]
    assert load(line, slower).percent == pytest.approx(load(line, found).percent / factor)
    assert load(line, found[1:]).percent <= load(line, found).percent + 1e-6
