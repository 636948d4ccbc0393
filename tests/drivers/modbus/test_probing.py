"""One read of an instrument with its registers, and what is asked beside a doubtful point."""

import struct

import pytest
from support.asked_line import AskedLine
from support.modbus_maps import instrument, point

from parkgate.config.profile import State
from parkgate.drivers.faults import Silent
from parkgate.drivers.modbus import probing
from parkgate.drivers.modbus.probing import advices, probe
from parkgate.simulator.image import Image

NOW = 1_763_890_000_000


def floats(*values, table="input", start=0, swapped=False):
    image = Image([(table, start, 2 * len(values))])
    for index, value in enumerate(values):
        words = struct.unpack(">HH", struct.pack(">f", value))
        image.write(table, start + 2 * index, words[::-1] if swapped else words)
    return image


async def probed(site, image):
    line = AskedLine({3: image})
    found = await probe(line, site, lambda: NOW)
    return line, found


async def test_an_instrument_is_asked_by_the_very_requests_of_its_plan():
    site = instrument(point("input 0", "float32"), point("input 2", "float32"))
    line, found = await probed(site, floats(12.5, 6.2))
    assert line.asked == [(3, "input", 0, 4)]
    assert found.snapshot.values == (12.5, 6.2)
    assert found.snapshot.at == NOW
    assert [found.words(field) for field in found.fields()] == [(0x4148, 0), (0x40C6, 0x6666)]


async def test_states_stand_behind_the_points_with_their_registers():
    site = instrument(point("input 0"), states=(State(at="holding 7", equals=1, flag="fault"),))
    image = Image([("input", 0, 1), ("holding", 7, 1)])
    image.write("holding", 7, (1,))
    _, found = await probed(site, image)
    assert [(field.role, found.words(field)) for field in found.fields()] == [("point", (0,)), ("state", (1,))]
    assert found.snapshot.states == (1,)


async def test_bits_are_told_one_by_one():
    site = instrument(point("coil 3", "bool"), point("coil 4", "bool"))
    image = Image([("coil", 0, 12)])
    image.write("coil", 3, (1, 0))
    _, found = await probed(site, image)
    assert [found.words(field) for field in found.fields()] == [(1,), (0,)]


async def test_what_is_refused_is_told_with_its_exception_and_the_rest_is_read():
    site = instrument(point("input 0"), point("input 40"))
    _, found = await probed(site, Image([("input", 0, 2)]))
    there, gone = found.fields()
    assert (found.words(there), found.exception(there)) == ((0,), None)
    assert (found.words(gone), found.exception(gone)) == ((), 2)
    assert found.snapshot.flags == {1: "bad-configuration"}


async def test_what_was_refused_whole_and_answered_in_pieces_is_no_refusal():
    site = instrument(point("input 0"), point("input 5"), max_gap=16)
    line = AskedLine({3: Image([("input", 0, 6)])})
    refuses = line.ask

    async def no_gaps(unit, block):
        return 2 if block.count > 1 else await refuses(unit, block)

    line.ask = no_gaps
    found = await probe(line, site, lambda: NOW)
    assert [found.exception(field) for field in found.fields()] == [None, None]


async def test_a_silent_instrument_is_told_as_the_driver_tells_it():
    with pytest.raises(Silent):
        await probe(AskedLine({}), instrument(point("input 0")), lambda: NOW)


async def test_beside_points_in_order_nothing_is_asked():
    site = instrument(point("input 2", "float32", range=(0, 300)))
    line, found = await probed(site, floats(99.0, 12.5))
    (advice,) = (await advices(line, found)).values()
    assert advice.verdict == "as-configured"
    assert len(line.asked) == 1


async def test_beside_a_doubtful_point_only_what_is_missing_is_asked():
    site = instrument(point("input 2", "float32", range=(0, 300)), point("input 4", "float32", range=(0, 300)))
    line, found = await probed(site, floats(500.0, 12.5, 99.0, swapped=True))
    advice = await advices(line, found)
    assert line.asked[1:] == [(3, "input", 1, 1)]
    assert 'set order = "CDAB"' in advice["p0"].words()


async def test_a_wanted_point_is_looked_at_from_both_sides_though_it_is_in_order():
    site = instrument(point("input 2", "float32", range=(0, 300)))
    line, found = await probed(site, floats(99.0, 12.5))
    advice = (await advices(line, found, {"p0"}))["p0"]
    assert line.asked[1:] == [(3, "input", 1, 1)]
    assert [each.base for each in advice.candidates if each.cells] == [0] * 4 + [1] * 4


async def test_a_neighbour_that_does_not_exist_is_no_candidate():
    site = instrument(point("input 2", "float32", range=(0, 300)))
    line, found = await probed(site, floats(12.5, start=2, swapped=True))
    advice = (await advices(line, found))["p0"]
    assert line.asked[1:] == [(3, "input", 1, 1)]
    assert advice.words() == 'only CDAB is plausible: set order = "CDAB"'


async def test_a_point_that_is_refused_is_looked_for_one_register_away():
    site = instrument(point("input 1", "uint16", range=(100, 200)))
    image = Image([("input", 0, 1)])
    image.write("input", 0, (150,))
    line, found = await probed(site, image)
    assert (await advices(line, found))["p0"].words() == "only counting from 1 is plausible: set base = 1"


async def test_a_line_is_not_kept_long_for_many_doubtful_points(monkeypatch):
    monkeypatch.setattr(probing, "MOST_BESIDE", 2)
    far = [point(f"input {10 * index + 2}", range=(7, 9)) for index in range(5)]
    line, found = await probed(instrument(*far, max_gap=0), Image([("input", 0, 60)]))
    planned = len(line.asked)
    assert len(await advices(line, found)) == 5
    assert len(line.asked) - planned == 2


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
