"""Single questions to the lines of a running agent: what is a question, what comes back, and in whose turn."""

import asyncio

import pytest
from support.line_bench import LINE

from parkgate.config.site import Line
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.identity import Identity
from parkgate.gateway.visits import Visits

QUESTION = {"line": "cems", "unit": 3, "table": "input", "start": 4, "count": 2}


class Driver:
    """A line's driver that answers as the test says, and shows two frames for each question."""

    def __init__(self, answer=b"\x41\x48\x00\x00", identity=None):
        self.answer, self.identity = answer, identity
        self.asked = []
        self.traced = []

    def trace(self, traced):
        self.traced.append(traced)

    def show(self, *, sent, frame):
        self.traced[-1](sent, frame)

    async def ask(self, unit, block):
        self.show(sent=True, frame=b"\x03\x04")
        self.asked.append((unit, block.table, block.start, block.count))
        if isinstance(self.answer, Exception):
            raise self.answer
        self.show(sent=False, frame=b"\x03\x84")
        return self.answer

    async def who(self, unit):
        self.asked.append(unit)
        return self.identity


class Station:
    """What a collector is to its visitors."""

    def __init__(self, driver, line=LINE):
        self.line, self.driver = line, driver
        self.visits = 0

    async def visit(self, work):
        self.visits += 1
        return await work(self.driver)


def visits(driver, line=LINE):
    station = Station(driver, line)
    return Visits([station]), station


async def test_a_question_is_one_visit_of_its_line_and_its_frames_are_shown():
    room, station = visits(driver := Driver())
    answer = await room.ask(QUESTION)
    assert answer == {"data": "41480000", "frames": [(True, "0304"), (False, "0384")]}
    assert driver.asked == [(3, "input", 4, 2)]
    assert station.visits == 1
    assert driver.traced[-1] is None


async def test_a_refusal_is_its_code():
    room, _ = visits(Driver(answer=2))
    assert (await room.ask(QUESTION))["code"] == 2


@pytest.mark.parametrize("kind", [Silent, Garbled, Unreachable])
async def test_a_fault_is_told_whole_with_the_frames_so_far_and_nobody_watches_any_more(kind):
    room, _ = visits(driver := Driver(answer=kind("nothing", where="cems", hint="Look.")))
    answer = await room.ask(QUESTION)
    assert answer["fault"] == {"kind": kind.__name__, "what": "nothing", "where": "cems", "hint": "Look."}
    assert answer["frames"] == [(True, "0304")]
    assert driver.traced[-1] is None


async def test_a_fault_of_ours_leaves_nobody_watching():
    room, _ = visits(driver := Driver(answer=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await room.ask(QUESTION)
    assert driver.traced[-1] is None


@pytest.mark.parametrize(
    ("identity", "told"),
    [(None, None), (Identity("ABB", "EL3000", "2"), {"vendor": "ABB", "product": "EL3000", "revision": "2"})],
)
async def test_a_unit_is_asked_what_it_is(identity, told):
    room, _ = visits(driver := Driver(identity=identity))
    assert (await room.identify({"line": "cems", "unit": 9}))["identity"] == told
    assert driver.asked == [9]


NO_QUESTIONS = (
    {"unit": 256}, {"unit": -1}, {"unit": "3"}, {"unit": True}, {"unit": None}, {"table": "coils"},
    {"table": ["input"]}, {"start": -1}, {"start": 65_535}, {"start": "0"}, {"count": 0}, {"count": 126},
    {"count": None},
    {"table": "coil", "count": 2_001},
)  # fmt: skip


@pytest.mark.parametrize("changed", NO_QUESTIONS)
async def test_what_is_no_question_reaches_no_line(changed):
    room, station = visits(Driver())
    assert "error" in await room.ask(QUESTION | changed)
    assert station.visits == 0


async def test_as_many_bits_may_be_asked_as_the_protocol_has():
    room, _ = visits(Driver(answer=bytes(250)))
    assert "data" in await room.ask(QUESTION | {"table": "coil", "count": 2_000})


@pytest.mark.parametrize("line", ["dcs", None, ["cems"]])
async def test_a_line_that_is_not_there_is_told_with_those_there_are(line):
    room, _ = visits(Driver())
    assert "cems" in (await room.ask(QUESTION | {"line": line}))["error"]
    assert "error" in await room.identify({"line": line, "unit": 1})


async def test_a_unit_that_is_none_is_not_asked_what_it_is():
    room, station = visits(Driver())
    assert "error" in await room.identify({"line": "cems", "unit": 999})
    assert station.visits == 0


async def test_an_opc_ua_line_has_no_registers():
    room, station = visits(Driver(), Line(name="cems", url="opc.tcp://h", security="none"))
    assert "error" in await room.ask(QUESTION)
    assert station.visits == 0


async def test_two_who_ask_get_their_own_frames():
    room, _ = visits(Driver())
    answers = await asyncio.gather(room.ask(QUESTION), room.ask(QUESTION))
    assert [len(each["frames"]) for each in answers] == [2, 2]


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
