"""The driver against a real socket: whatever a bad instrument sends, no wrong value and the right fault."""

import asyncio
import logging
import struct
from contextlib import asynccontextmanager

import pytest
from support.modbus_maps import instrument, point
from support.modbus_wire import (
    Wire,
    after_the_late_one,
    byte_by_byte,
    close,
    half,
    half_and_close,
    honest,
    in_another_transaction,
    in_one_piece_with_the_late_one,
    late,
    otherwise,
    raw,
    refuse,
    say,
    silent,
)

from parkgate.config.flag import Flag
from parkgate.config.profile import State
from parkgate.config.site import Line
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.modbus.driver import ModbusDriver
from parkgate.drivers.modbus.endpoint import endpoint_of

REGISTERS = {("holding", index): 100 + index for index in range(20)} | {("input", index): index for index in range(130)}
ONE = instrument(point("holding 0"), point("holding 1"))
TWO_BLOCKS = instrument(
    point("holding 3"), point("input 7"), states=(State(at="input 8", bits=(0, 2), equals=1, flag="fault"),)
)
GAPPED = instrument(point("holding 0"), point("holding 1"), point("holding 5"), point("holding 6"))


class Clock:
    """Milliseconds that pass only when told."""

    def __init__(self):
        self.now = 1_000_000

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def wire():
    async with Wire(dict(REGISTERS)) as listening:
        yield listening


def driver_of(wire, *instruments, timeout="30s", now=Clock()):  # noqa: B008 - a clock that nobody moves
    line = Line(name="tcp-1", url=f"modbus-tcp://127.0.0.1:{wire.port}", timeout=timeout)
    return ModbusDriver(line, instruments, now)


@asynccontextmanager
async def reading(wire, site, **more):
    async with driver_of(wire, site, **more) as driver:

        async def read():
            (snapshot,) = await driver.read(site)
            return snapshot

        yield read


async def test_a_snapshot_has_its_values_in_the_points_order_and_its_states_raw(wire, clock):
    async with reading(wire, TWO_BLOCKS, now=clock) as read:
        found = await read()
    assert (found.instrument, found.at) == ("stack-1", 1_000_000)
    assert (found.values, found.states, dict(found.flags)) == ((103, 7), (0,), {})
    assert [(each.unit, each.function, each.start, each.count) for each in wire.asked] == [(3, 3, 3, 1), (3, 4, 7, 2)]


async def test_a_snapshots_time_is_when_its_last_answer_came(wire, clock):
    def a_second_later(wire, question):
        clock.now += 1_000
        return honest(wire, question)

    wire.script.extend([a_second_later, a_second_later])
    async with reading(wire, TWO_BLOCKS, now=clock) as read:
        assert (await read()).at == 1_002_000


async def test_all_four_tables_are_read_with_their_functions(wire):
    wire.registers |= {("coil", 9): 1, ("discrete", 1): 0, ("discrete", 2): 1}
    site = instrument(
        point("coil 9", "bool"), point("discrete 1", "bool"), point("discrete 2", "bool"), point("holding 0"),
        point("input 2"),
    )  # fmt: skip
    async with reading(wire, site) as read:
        assert (await read()).values == (1, 0, 1, 100, 2)
    assert [each.function for each in wire.asked] == [1, 2, 3, 4]


async def test_an_answer_of_125_registers_is_read_whole(wire):
    site = instrument(*(point(f"input {index}") for index in range(125)))
    async with reading(wire, site) as read:
        assert (await read()).values == tuple(range(125))
    assert len(wire.asked) == 1


async def test_an_answer_that_comes_byte_by_byte_is_read(wire):
    wire.script.append(byte_by_byte)
    async with reading(wire, ONE) as read:
        assert (await read()).values == (100, 101)


async def test_one_line_serves_several_instruments_one_after_another(wire):
    other = instrument(point("holding 9"), name="stack-2", unit=4)
    async with driver_of(wire, ONE, other) as driver:
        assert [(await driver.read(each))[0].values for each in (ONE, other, ONE)] == [(100, 101), (109,), (100, 101)]
    assert [each.unit for each in wire.asked] == [3, 4, 3]
    assert wire.connections == 1


async def test_the_catalog_opens_this_driver_for_a_modbus_line(wire, clock):
    line = Line(name="tcp-1", url=f"modbus-tcp://localhost:{wire.port}")
    async with open_driver(line, (ONE,), clock) as driver:
        assert (await driver.read(ONE))[0].values == (100, 101)


async def test_no_answer_is_silent_and_the_next_read_is_whole(wire):
    wire.script.append(silent)
    async with reading(wire, ONE) as read:
        with pytest.raises(Silent, match="no answer within 30000 ms") as fault:
            await read()
        assert (await read()).values == (100, 101)
    assert fault.value.where == "stack-1 (tcp-1, unit 3)"


async def test_the_timeout_is_the_lines(wire):
    wire.script.append(raw())
    async with reading(wire, ONE, timeout="20ms") as read:
        with pytest.raises(Silent, match="no answer within 20 ms"):
            await read()


async def test_a_block_without_answer_makes_the_whole_turn_silent(wire):
    wire.script.extend([honest, silent])
    async with reading(wire, TWO_BLOCKS) as read:
        with pytest.raises(Silent):
            await read()
        assert (await read()).values == (103, 7)


@pytest.mark.parametrize("behaviour", [after_the_late_one, in_one_piece_with_the_late_one])
async def test_a_late_answer_is_never_taken_for_the_next_one(wire, behaviour):
    late_site = instrument(*(point(f"input {index}") for index in range(125)))
    next_site = instrument(*(point(f"input {5 + index}") for index in range(125)), name="stack-2")
    wire.script.extend([late, behaviour])
    async with driver_of(wire, late_site, next_site) as driver:
        with pytest.raises(Silent):
            await driver.read(late_site)
        (found,) = await driver.read(next_site)
    assert found.values == tuple(range(5, 130))


async def test_an_answer_with_another_transaction_number_is_no_answer(wire):
    wire.script.extend([in_another_transaction(0), in_another_transaction(999)])
    async with reading(wire, ONE) as read:
        for _ in range(2):
            with pytest.raises(Silent):
                await read()


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [
        (otherwise(unit=4), "unit 4 answered instead"),
        (say(bytes.fromhex("0404 0064 0065")), "asked with function 3, answered 4"),
        (say(bytes.fromhex("8402")), "asked with function 3, answered 132"),
        (say(bytes.fromhex("2B0E")), "asked with function 3, answered 43"),
        (say(bytes.fromhex("0302 0064")), "4 bytes were asked, 2 came"),
        (say(bytes.fromhex("0306 0064 0065 0066")), "4 bytes were asked, 6 came"),
        (say(bytes.fromhex("0304 0064")), "4 bytes were asked, 2 came"),
        (say(bytes.fromhex("0302 0064 0065")), "4 bytes were asked, 4 came"),
        (say(bytes.fromhex("0300")), "4 bytes were asked, 0 came"),
        (raw(b"\r\nlogin: "), "not Modbus TCP"),
        (otherwise(protocol=1), "not Modbus TCP"),
        (otherwise(length=2), "not Modbus TCP"),
        (otherwise(length=255), "not Modbus TCP"),
    ],
)
async def test_an_answer_that_does_not_fit_its_question_is_garbled_at_once_and_the_line_goes_on(wire, behaviour, what):
    wire.script.append(behaviour)
    async with reading(wire, ONE) as read:
        with pytest.raises(Garbled, match=what):
            await read()
        assert (await read()).values == (100, 101)
    assert wire.connections == 1


async def test_a_frame_that_stops_short_is_silence_and_does_not_spoil_the_next(wire):
    wire.script.append(half)
    async with reading(wire, ONE) as read:
        with pytest.raises(Silent):
            await read()
        assert (await read()).values == (100, 101)


@pytest.mark.parametrize("behaviour", [close, half_and_close])
async def test_a_connection_closed_in_mid_answer_is_told_at_once_and_not_after_the_timeout(wire, behaviour):
    wire.script.append(behaviour)
    async with reading(wire, ONE, timeout="1h") as read:
        with pytest.raises(Unreachable, match="connection was closed"):
            await asyncio.wait_for(read(), 30)
        with pytest.raises(Unreachable, match="connection was closed"):
            await read()
    assert wire.connections == 1


async def test_a_connection_closed_between_reads_is_not_opened_behind_our_back(wire):
    async with driver_of(wire, ONE) as driver:
        await driver.read(ONE)
        wire.hang_up()
        while driver._wire._connection._open:
            await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="connection was closed"):
            await driver.read(ONE)
    assert wire.connections == 1


async def test_the_same_driver_can_be_entered_again(wire):
    driver = driver_of(wire, ONE)
    for _ in range(3):
        async with driver:
            assert (await driver.read(ONE))[0].values == (100, 101)
    assert wire.connections == 3


async def test_a_driver_that_was_left_reads_nothing(wire):
    driver = driver_of(wire, ONE)
    async with driver:
        pass
    with pytest.raises(Unreachable):
        await driver.read(ONE)


async def test_three_silences_in_a_row_blame_the_line(wire):
    wire.script.extend([silent] * 3)
    async with reading(wire, ONE) as read:
        for _ in range(2):
            with pytest.raises(Silent):
                await read()
        with pytest.raises(Unreachable, match="nothing answers any more, 3 times"):
            await read()


async def test_garbage_counts_as_silence_since_a_stream_may_be_out_of_step_for_ever(wire):
    wire.script.extend([raw(b"garbage!"), silent, raw(b"garbage!")])
    async with reading(wire, ONE) as read:
        for fault in (Garbled, Silent, Unreachable):
            with pytest.raises(fault):
                await read()


async def test_any_answer_in_between_clears_the_line(wire):
    wire.script.extend([silent, silent, honest, silent, silent, refuse(4), silent, silent])
    async with reading(wire, ONE) as read:
        for expected in (Silent, Silent, None, Silent, Silent, None, Silent, Silent):
            if expected is None:
                await read()
            else:
                with pytest.raises(expected):
                    await read()


async def test_dead_instruments_do_not_close_the_line_of_one_that_answers(wire):
    dead = [instrument(point("holding 0"), name=f"dead-{index}", unit=10 + index) for index in range(4)]
    wire.script.extend([*([silent] * 4), honest] * 2)
    async with driver_of(wire, *dead, ONE) as driver:
        for _ in range(2):
            for each in dead:
                with pytest.raises(Silent):
                    await driver.read(each)
            assert (await driver.read(ONE))[0].values == (100, 101)


async def test_nobody_there_is_unreachable():
    async with Wire() as listening:
        port = listening.port
    line = Line(name="tcp-1", url=f"modbus-tcp://127.0.0.1:{port}")
    with pytest.raises(Unreachable, match="no connection to 127") as fault:
        async with ModbusDriver(line, (ONE,), Clock()):
            pass
    assert fault.value.where == "tcp-1"


@pytest.mark.parametrize(
    "url",
    [
        "modbus-rtu://",
        "modbus-rtu-over-tcp://h",
        "opc.tcp://h:1",
        "modbus-tcp://",
        "modbus-tcp://h:99999",
        f"modbus-tcp://{'a' * 70}",
    ],
)
def test_a_url_that_is_no_modbus_line_is_unusable(url):
    with pytest.raises(Unusable, match="not a Modbus line"):
        ModbusDriver(Line(name="tcp-1", url=url), (ONE,), Clock())


def test_the_port_is_502_unless_the_url_names_one():
    assert str(endpoint_of(Line(name="tcp-1", url="modbus-tcp://10.0.0.5"))) == "10.0.0.5:502"


@pytest.mark.parametrize("code", [10, 11])
async def test_a_gateway_that_cannot_reach_the_instrument_makes_it_silent_and_not_the_line(wire, code):
    wire.script.extend([refuse(code)] * 4)
    async with reading(wire, ONE) as read:
        for _ in range(4):
            with pytest.raises(Silent, match=rf"gateway on this line cannot reach it \(exception {code}\)"):
                await read()


@pytest.mark.parametrize(
    ("code", "flag"),
    [(4, Flag.FAULT), (8, Flag.FAULT), (99, Flag.FAULT)],
)
async def test_a_block_that_fails_this_turn_is_flagged_and_the_others_stand(wire, code, flag):
    wire.script.extend([honest, refuse(code)])
    async with reading(wire, TWO_BLOCKS) as read:
        found = await read()
        assert (found.values, dict(found.flags), found.states) == ((103, None), {1: flag}, (None,))
        assert (await read()).values == (103, 7)


@pytest.mark.parametrize("code", [5, 6])
async def test_an_instrument_that_is_busy_is_asked_once_more_behind_the_rest_of_its_turn(wire, code):
    wire.script.extend([refuse(code), honest, honest])
    async with reading(wire, TWO_BLOCKS) as read:
        assert (await read()).values == (103, 7)
        wire.script.extend([refuse(code), honest, refuse(code)])
        found = await read()
        assert (found.values, dict(found.flags)) == ((None, 7), {0: Flag.NO_COMMUNICATION})
        assert (await read()).values == (103, 7)
    turn = [each.start for each in wire.asked[:3]]
    assert turn[0] == turn[2] != turn[1]


async def test_an_instrument_that_refuses_gaps_is_read_without_them_at_once_and_from_then_on(wire):
    del wire.registers["holding", 3]
    async with reading(wire, GAPPED) as read:
        for _ in range(2):
            found = await read()
            assert (found.values, dict(found.flags)) == ((100, 101, 105, 106), {})
    assert [(each.start, each.count) for each in wire.asked] == [(0, 7), (0, 2), (5, 2), (0, 2), (5, 2)]


@pytest.mark.parametrize("code", [2, 3])
async def test_a_point_the_instrument_refuses_is_found_and_left_out_for_ten_minutes(wire, clock, code):
    site = instrument(*(point(f"holding {index}") for index in range(8)))

    def strict(wire, question):
        if question.start <= 5 < question.start + question.count:
            return refuse(code)(wire, question)
        return honest(wire, question)

    wire.script.extend([strict] * 100)
    async with reading(wire, site, now=clock) as read:
        for _ in range(2):
            found = await read()
            assert found.values == (100, 101, 102, 103, 104, None, 106, 107)
            assert dict(found.flags) == {5: Flag.BAD_CONFIGURATION}
        learned = len(wire.asked)
        await read()
        assert [(each.start, each.count) for each in wire.asked[learned:]] == [(0, 4), (4, 1), (6, 2)]
        clock.now += 600_000
        await read()
        assert (wire.asked[-1].start, wire.asked[-1].count) == (5, 1)
        wire.script.clear()
        clock.now += 600_000
        assert dict((await read()).flags) == {}
        await read()
    assert (wire.asked[-1].start, wire.asked[-1].count) == (0, 8)


async def test_a_function_the_instrument_does_not_have_flags_that_table_only(wire):
    wire.script.extend([honest, refuse(1)])
    async with reading(wire, TWO_BLOCKS) as read:
        for _ in range(2):
            found = await read()
            assert (found.values, dict(found.flags)) == ((103, None), {1: Flag.BAD_CONFIGURATION})
            assert found.states == (None,)
    assert [each.function for each in wire.asked] == [3, 4, 3]


async def test_what_was_refused_is_remembered_over_a_reconnection(wire):
    del wire.registers["holding", 3]
    driver = driver_of(wire, GAPPED)
    for _ in range(2):
        async with driver:
            await driver.read(GAPPED)
    assert [(each.start, each.count) for each in wire.asked] == [(0, 7), (0, 2), (5, 2), (0, 2), (5, 2)]


async def test_a_cancelled_read_leaves_the_line_usable(wire):
    wire.script.append(late)
    wire.script.append(after_the_late_one)
    async with reading(wire, ONE) as read:
        pending = asyncio.create_task(read())
        while not wire.held:
            await asyncio.sleep(0)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        assert (await read()).values == (100, 101)


async def test_the_library_says_nothing_of_its_own(wire, caplog):
    caplog.set_level(logging.WARNING)
    wire.script.extend([late, after_the_late_one, raw(b"garbage!"), otherwise(unit=9), half_and_close])
    async with reading(wire, ONE) as read:
        for _ in range(5):
            try:
                await read()
            except (Silent, Garbled, Unreachable):
                continue
    assert caplog.records == []


async def test_the_flow_of_a_real_float_block(wire):
    words = struct.unpack(">4H", bytes.fromhex("47F1200040A1A89D"))
    wire.registers |= {("holding", 100 + index): word for index, word in enumerate(words)}
    site = instrument(point("40101", "float32"), point("40103", "float32", digits=4))
    async with reading(wire, site) as read:
        assert (await read()).values == (123456.0, 5.0518)
