"""The nodes that servers of tests share are whole, and what one server does to them no other sees."""

from asyncua import Server, ua
from support import opcua_nodes


async def begun():
    server = Server()
    await server.init()
    return server


async def test_a_server_that_begins_with_copies_has_the_nodes_of_one_that_makes_them(monkeypatch):
    monkeypatch.setattr(opcua_nodes, "_MADE", [])
    made, copied = [(await begun()).iserver.aspace._nodes for _ in range(2)]
    assert made.keys() == copied.keys()
    assert len(made) > 6_000
    for number, node in made.items():
        other = copied[number]
        assert node.references == other.references
        assert node.attributes.keys() == other.attributes.keys()


async def test_what_is_added_to_and_written_into_one_server_is_in_no_other():
    first, second = await begun(), await begun()
    variable = await first.nodes.objects.add_variable(1, "theirs", 7)
    (await first.nodes.namespace_array.read_value()).append("urn:theirs")
    await first.nodes.server.write_attribute(
        ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText("theirs")))
    )
    for server in (second, await begun()):
        assert variable.nodeid not in server.iserver.aspace._nodes
        assert variable.nodeid not in [each.nodeid for each in await server.nodes.objects.get_children()]
        assert "urn:theirs" not in await server.nodes.namespace_array.read_value()
        assert (await server.nodes.server.read_display_name()).Text == "Server"
