"""Single questions to the OPC UA lines of a running agent: what is a question, what comes back, and in whose turn."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asked_space import AskedSpace, folder, holding, variable
from support.line_bench import LINE

from parkgate.config.site import Line
from parkgate.drivers.faults import Garbled, Silent, Unreachable
from parkgate.drivers.opcua.space import OBJECTS, VALUE, Limits
from parkgate.gateway.inquiries import Inquiries

DCS = Line(name="dcs", url="opc.tcp://h", security="none")
BELOW = {OBJECTS: [folder("ns=2;s=T1"), variable("ns=2;s=V", "液位")], "ns=2;s=T1": [], "ns=2;s=V": []}


class Driver:
    """A line's driver that gives its session, or says why there is none."""

    def __init__(self, session):
        self.session = session

    def asked(self):
        if isinstance(self.session, Exception):
            raise self.session
        return self.session


class Station:
    """What a collector is to its visitors."""

    def __init__(self, driver, line=DCS):
        self.line, self.driver = line, driver
        self.visits = 0

    async def visit(self, work):
        self.visits += 1
        return await work(self.driver)


def room(session=None, line=DCS):
    space = session or AskedSpace(BELOW, holding("ns=2;s=V"), page=1, limits=Limits(5, 6, 7, ("ua", "urn:a")))
    station = Station(Driver(space), line)
    return Inquiries([station]), station


async def ask(inquiries, **request):
    """Ask as over the socket: what cannot go through JSON is no answer."""
    return json.loads(json.dumps(await inquiries.inquire({"line": "dcs", **request})))


async def test_each_question_is_one_visit_of_its_line():
    inquiries, station = room()
    limits = await ask(inquiries, what="limits")
    first = await ask(inquiries, what="browse", nodes=[OBJECTS])
    rest = await ask(inquiries, what="more", points=[first["pages"][0]["more"]])
    value = await ask(inquiries, what="read", questions=[["ns=2;s=V", VALUE]])
    assert limits == {"limits": {"browse": 5, "read": 6, "continued": 7, "namespaces": ["ua", "urn:a"]}}
    assert [each["node"] for each in first["pages"][0]["children"]] == ["ns=2;s=T1"]
    assert rest["pages"][0]["children"][0]["title"] == "液位"
    assert (value["answers"][0]["value"], value["answers"][0]["said"]) == (2.5, "Good")
    assert station.visits == 4


async def test_what_is_above_a_node_is_asked_with_up():
    space = AskedSpace(BELOW, above={"ns=2;s=V": [OBJECTS]})
    inquiries, _ = room(space)
    told = await ask(inquiries, what="browse", nodes=["ns=2;s=V"], up=True)
    assert [each["node"] for each in told["pages"][0]["children"]] == [OBJECTS]


@pytest.mark.parametrize("kind", [Silent, Garbled, Unreachable])
async def test_a_fault_is_told_whole(kind):
    inquiries, _ = room(kind("nothing", where="dcs", hint="Look."))
    told = await ask(inquiries, what="limits")
    assert told == {"fault": {"kind": kind.__name__, "what": "nothing", "where": "dcs", "hint": "Look."}}


NO_QUESTIONS = (
    {}, {"what": "write"}, {"what": "browse"}, {"what": "browse", "nodes": []}, {"what": "browse", "nodes": [5]},
    {"what": "browse", "nodes": "i=85"}, {"what": "browse", "nodes": ["i=85"] * 51},
    {"what": "more", "points": ["xy"]}, {"what": "more", "points": ["abc"]}, {"what": "more", "points": []},
    {"what": "read", "questions": [["i=85"]]}, {"what": "read", "questions": [["i=85", "13"]]},
    {"what": "read", "questions": [["i=85", 0]]}, {"what": "read", "questions": [["i=85", 28]]},
    {"what": "read", "questions": [["i=85", 13]] * 201}, {"what": "read", "questions": [[5, 13]]},
)  # fmt: skip


@pytest.mark.parametrize("request_", NO_QUESTIONS)
async def test_what_is_no_question_reaches_no_line(request_):
    inquiries, station = room()
    assert "error" in await ask(inquiries, **request_)
    assert station.visits == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["browse", "more", "read"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["nodes", "points", "up"]), inner),
    max_leaves=8,
)


@given(request_=st.dictionaries(st.sampled_from(["what", "nodes", "points", "questions", "up"]), json_values))
async def test_whatever_comes_over_the_socket_is_answered(request_):
    inquiries, _ = room()
    told = await inquiries.inquire({"line": "dcs", **request_})
    assert len(told) == 1


@pytest.mark.parametrize("line", ["cems", None, ["dcs"], 5])
async def test_a_line_that_is_not_there_is_told_with_those_there_are(line):
    inquiries, station = room()
    assert "dcs" in (await ask(inquiries, line=line, what="limits"))["error"]
    assert station.visits == 0


async def test_a_modbus_line_has_no_nodes():
    inquiries, station = room(line=LINE)
    assert "error" in await inquiries.inquire({"line": LINE.name, "what": "limits"})
    assert station.visits == 0


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
