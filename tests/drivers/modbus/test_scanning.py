"""Who answers on a line: any well-formed answer shows a unit, and whoever is there is asked what it is."""

from support.asked_line import AskedLine

from parkgate.drivers.modbus.scanning import BAUDRATES, UNITS, Setting, scan, settings
from parkgate.simulator.image import Image


async def found(line, units):
    return [each async for each in scan(line, units)]


async def test_each_unit_is_asked_for_one_register_and_told_as_it_answers():
    line = AskedLine({2: Image([("holding", 0, 1)])})
    told = await found(line, (1, 2, 3))
    assert line.asked == [(unit, "holding", 0, 1) for unit in (1, 2, 3)]
    assert [(each.unit, each.there, each.code) for each in told] == [
        (1, False, None),
        (2, True, None),
        (3, False, None),
    ]
    assert line.identified == [2]
    assert told[1].identity.simulated


async def test_a_refusal_shows_that_somebody_is_there():
    told = await found(AskedLine({9: Image([("input", 0, 1)])}), [9])
    assert [(each.there, each.code) for each in told] == [(True, 2)]


async def test_what_cannot_be_read_is_nobody_but_is_told():
    line = AskedLine({}, spoilt={4})
    (told,) = await found(line, [4])
    assert (told.there, told.unreadable) == (False, "what came back is no frame")
    assert line.identified == []


def test_the_common_settings_are_tried_the_most_common_first():
    tried = list(settings())
    assert tried[:3] == [Setting(9_600, "none"), Setting(9_600, "even"), Setting(19_200, "none")]
    assert len(tried) == len(set(tried)) == 2 * len(BAUDRATES)


def test_what_is_known_is_not_tried_otherwise():
    assert list(settings([4_800], ["odd"])) == [Setting(4_800, "odd")]
    assert {each.parity for each in settings([4_800])} == {"none", "even"}
    assert {each.baudrate for each in settings([], ["even"])} == set(BAUDRATES)


def test_the_units_of_a_serial_line_are_1_to_247():
    assert (UNITS[0], UNITS[-1]) == (1, 247)
