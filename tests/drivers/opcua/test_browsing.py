"""An open session asked question by question: real servers, their pages and limits, and what is said when they fail."""

import asyncio

import pytest
from asyncua import ua
from asyncua.ua.uaerrors import BadResponseTooLarge, BadSessionIdInvalid
from support.node_opcua import URI as NODE_URI
from support.node_opcua import node, serving
from support.opcua_park import URI, Wire, bare, datavalue, line

from parkgate.drivers.faults import Silent, Unreachable, Unusable
from parkgate.drivers.opcua.browsing import Inquiry
from parkgate.drivers.opcua.driver import OpcUaDriver
from parkgate.drivers.opcua.looking import look
from parkgate.drivers.opcua.space import BROWSE_NAME, OBJECTS, VALUE, Walk, explore


def driver(url, timeout=5_000):
    return OpcUaDriver(line(url, timeout), (), lambda: 0)


@pytest.fixture
async def park():
    async with bare() as park:
        yield park


async def put(park, *names):
    for name in names:
        await park.put(name, datavalue(2.5))


async def test_a_node_tells_those_below_and_above_it_and_its_attributes(park):
    await put(park, "level", "flow")
    async with driver(park.url) as open_:
        asked = open_.asked()
        (below,) = await asked.browse([OBJECTS])
        (above,) = await asked.browse([f"nsu={URI};s=level"], up=True)
        name, value, absent = await asked.read(
            [(f"nsu={URI};s=level", BROWSE_NAME), (f"ns={park.space};s=flow", VALUE), (f"nsu={URI};s=none", VALUE)]
        )
    assert {each.node for each in below.children} >= {f"nsu={URI};s=level", f"nsu={URI};s=flow", "i=2253"}
    assert [each.node for each in above.children] == [OBJECTS]
    assert (name.value, value.value, value.kind, value.said) == ("level", 2.5, "Double", "Good")
    assert (absent.value, absent.said) == (None, "BadNodeIdUnknown")


async def test_a_node_of_a_namespace_that_the_server_has_not_is_not_there_and_the_others_are(park):
    await put(park, "level")
    nodes = ["nsu=urn:elsewhere;s=level", OBJECTS]
    async with driver(park.url) as open_:
        asked = open_.asked()
        pages = await asked.browse(nodes)
        answers = await asked.read([(each, BROWSE_NAME) for each in nodes])
        alone = await asked.browse(nodes[:1])
    assert [each.said for each in (*pages, *alone)] == ["BadNodeIdUnknown", "Good", "BadNodeIdUnknown"]
    assert [each.said for each in answers] == ["BadNodeIdUnknown", "Good"]


async def test_what_is_no_node_id_is_told_as_that(park):
    async with driver(park.url) as open_:
        with pytest.raises(Unusable, match="not an OPC UA node id"):
            await open_.asked().browse(["level"])


async def test_a_driver_that_is_not_open_has_no_session_to_ask():
    with pytest.raises(Unreachable):
        driver("opc.tcp://127.0.0.1:1").asked()


def limited(park, number, most):
    """Let the server tell one of its limits, and count what it is asked at once."""
    node = ua.NodeId(number, 0)
    park.server.set_attribute_value_callback(node, lambda *_: ua.DataValue(ua.Variant(most, ua.VariantType.UInt32)))


async def test_no_more_is_asked_at_once_than_the_server_allows(park, monkeypatch):
    await put(park, *map(str, range(10)))
    limited(park, 11_705, 3)
    limited(park, 11_710, 4)
    nodes = [f"nsu={URI};s={each}" for each in range(10)]
    async with driver(park.url) as open_:
        asked = open_.asked()
        sizes = counted(asked, monkeypatch)
        assert (await asked.limits()).read == 3
        answers = await asked.read([(each, VALUE) for each in nodes])
        pages = await asked.browse(nodes)
    assert [each.value for each in answers] == [2.5] * 10
    assert len(pages) == 10
    assert sizes == {"read": [4, 3, 3, 3, 1], "browse": [4, 4, 2]}  # the first read asks for the limits


def counted(asked, monkeypatch):
    sizes = {"read": [], "browse": []}
    client = asked._client.uaclient
    read, browse = client.read, client.browse

    async def reads(parameters):
        sizes["read"].append(len(parameters.NodesToRead))
        return await read(parameters)

    async def browses(parameters):
        sizes["browse"].append(len(parameters.NodesToBrowse))
        return await browse(parameters)

    monkeypatch.setattr(client, "read", reads)
    monkeypatch.setattr(client, "browse", browses)
    return sizes


async def test_one_answer_brings_no_more_nodes_than_can_be_decoded_between_two_turns(park, monkeypatch):
    asked_for = []
    async with driver(park.url) as open_:
        asked = open_.asked()
        client = asked._client.uaclient
        browse = client.browse

        async def browses(parameters):
            asked_for.append(parameters.RequestedMaxReferencesPerNode * len(parameters.NodesToBrowse))
            return await browse(parameters)

        monkeypatch.setattr(client, "browse", browses)
        for count in (1, 3, 50):
            await asked.browse([f"ns={park.space};i={each}" for each in range(count)])
    assert len(asked_for) == 3
    assert all(900 <= each <= 1_000 for each in asked_for)


async def test_what_is_too_much_for_a_server_is_asked_in_halves_and_one_alone_is_a_fault(park, monkeypatch):
    await put(park, *map(str, range(9)))
    async with driver(park.url) as open_:
        asked = open_.asked()
        await asked.limits()
        client = asked._client.uaclient
        read, most = client.read, 2

        async def small(parameters):
            if len(parameters.NodesToRead) > most:
                raise BadResponseTooLarge
            return await read(parameters)

        monkeypatch.setattr(client, "read", small)
        answers = await asked.read([(f"nsu={URI};s={each}", VALUE) for each in range(9)])
        assert [each.value for each in answers] == [2.5] * 9
        most = 0
        with pytest.raises(Silent, match="BadResponseTooLarge"):
            await asked.read([(OBJECTS, BROWSE_NAME)])


async def test_an_answer_that_lacks_results_is_not_used(park, monkeypatch):
    async with driver(park.url) as open_:
        asked = open_.asked()
        await asked.limits()

        async def nothing(_):
            return []

        monkeypatch.setattr(asked._client.uaclient, "browse", nothing)
        with pytest.raises(Exception, match="0 results came for 1 nodes"):
            await asked.browse([OBJECTS])


async def test_a_server_that_is_gone_is_unreachable_and_one_that_is_slow_is_silent():
    async with bare() as park, Wire(park.url) as wire, driver(wire.url, 300) as open_:
        asked = open_.asked()
        await asked.limits()
        wire.cut()
        with pytest.raises(Silent):
            await asked.browse([OBJECTS])
        asked._client.uaclient.protocol.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(Unreachable):
            await asked.browse([OBJECTS])


async def test_a_session_that_the_server_has_forgotten_is_unreachable(park, monkeypatch):
    async with driver(park.url) as open_:
        asked = open_.asked()

        async def forgotten(_):
            raise BadSessionIdInvalid

        monkeypatch.setattr(asked._client.uaclient, "read", forgotten)
        with pytest.raises(Unreachable, match="BadSessionIdInvalid"):
            await asked.limits()


@pytest.fixture(scope="module")
def others():
    with serving() as park:
        yield park


@pytest.mark.xdist_group("node-opcua")
async def test_a_server_that_others_wrote_is_walked_whole_at_every_size_of_its_pages(others):
    found = []
    async with driver(others.url) as open_:
        for page in (1_000, 7, 1):
            walk = Walk()
            await explore(Inquiry(open_.asked()._client, "here", page), walk)
            found.append([(each.child, each.depth) for each in walk.nodes()])
            assert (walk.done, walk.full) == (True, False)
            assert not any(each.trouble for each in walk.nodes())
    assert found[0] == found[1] == found[2]
    nodes = {each.node for each, _ in found[0]}
    assert {node(f"Farm.T{number:02}.{name}") for number in range(1, 11) for name in ("Level", "Volume")} <= nodes
    assert all(each.startswith(("i=85", "nsu=")) for each in nodes)


@pytest.mark.xdist_group("node-opcua")
async def test_what_others_variables_are_is_read_with_unit_range_and_chinese_titles(others):
    found = {}
    async with driver(others.url) as open_:
        asked, walk = open_.asked(), Walk(start=node("Farm"))
        await explore(asked, walk)
        await look(asked, [*walk.variables()], lambda each: found.setdefault(each.node.path, each))
        plain, own = {}, Walk(depth=1)
        await explore(asked, own)
        await look(asked, [*own.variables()], lambda each: plain.setdefault(each.node.child.name, each))
    level = found["T01", "Level"]
    assert (level.type, level.unit, level.range, level.node.child.title) == ("double", "m", (0, 12), "液位")
    assert len(found) == 50
    assert (plain["Explosive"].unit, plain["Reversed"].range, plain["Unitless"].unit) == ("%LEL", None, "")
    assert {name: plain[name].type for name in ("Boolean", "SByte", "Byte", "Int64", "Float", "LocalizedText")} == {
        "Boolean": "bool", "SByte": "int16", "Byte": "uint16", "Int64": "int64", "Float": "float32",
        "LocalizedText": "string",
    }  # fmt: skip
    refused = {name for name, each in plain.items() if each.why}
    assert refused == {
        "DateTime", "Guid", "ByteString", "XmlElement", "NodeId", "StatusCode", "QualifiedName", "Int32Array",
        "DoubleArray", "StringArray", "Empty", "Matrix", "Transfer", "Span",
    }  # fmt: skip
    assert NODE_URI in level.node.child.node
