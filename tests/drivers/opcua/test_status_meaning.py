"""What a status code means, in words: of codes that the standard has, and that the judging knows."""

import pytest
from asyncua.ua.status_codes import StatusCodes, get_name_and_doc

from parkgate.drivers.opcua import meaning as module
from parkgate.drivers.opcua.codec import STATUS_FLAGS
from parkgate.drivers.opcua.meaning import meaning
from parkgate.drivers.opcua.replies import status_name


@pytest.mark.parametrize("name", module._MEANINGS)
def test_a_meaning_is_of_a_code_that_the_standard_has(name):
    assert isinstance(getattr(StatusCodes, name), int)
    assert meaning(name, getattr(StatusCodes, name))


@pytest.mark.parametrize("code", STATUS_FLAGS)
def test_a_code_that_gives_a_flag_of_its_own_has_a_name_and_some_meaning(code):
    name, _ = get_name_and_doc(code)
    assert status_name(code) == name
    assert meaning(name, code)


def test_plain_good_says_nothing_and_others_at_least_how_bad_it_is():
    assert meaning("Good", 0) == ""
    assert meaning("GoodEdited", 0x00DC_0000) == "the value is good"
    assert meaning("Uncertain", 0x4000_0000) == "the value may be less good than it should be"
    assert meaning("Bad", 0x8000_0000) == meaning("Bad", 0xC000_0000) == "the value may not be used"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "Good"),
        (0x0000_0480, "Good"),
        (0x808C_0000, "BadSensorFailure"),
        (0x8034_0000 | 0x0400, "BadNodeIdUnknown"),
        (0x8FFF_0000, "Bad (0x8FFF0000)"),
        (0x4FFF_0001, "Uncertain (0x4FFF0001)"),
        (0x0FFF_0000, "Good (0x0FFF0000)"),
    ],
)
def test_a_status_is_told_by_its_name_whatever_its_low_half_says(code, name):
    assert status_name(code) == name


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
