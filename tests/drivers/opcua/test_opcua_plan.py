"""Node ids as people write them, and what one cycle asks."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import URI, instrument, point, state

from parkgate.drivers.faults import Unusable
from parkgate.drivers.opcua.plan import MAX_BLOCK, NodeAddress, blocks, endpoint, index, parse, plan

GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


@pytest.mark.parametrize(
    ("text", "namespace", "identifier"),
    [
        ("i=84", 0, 84),
        ("ns=2;i=5", 2, 5),
        ("i=4294967295", 0, 4_294_967_295),
        ("ns=65535;s=A", 65_535, "A"),
        ("nsu=urn:tank;s=T1.Level", "urn:tank", "T1.Level"),
        ("nsu=http://plant.example/UA/;i=7", "http://plant.example/UA/", 7),
        ("nsu=urn:a%3Bb%25;s=x", "urn:a;b%", "x"),
        ('ns=3;s="DB_Tank"."level;1=a"', 3, '"DB_Tank"."level;1=a"'),
        ("ns=3;s=储罐.液位", 3, "储罐.液位"),
        (f"ns=1;g={GUID}", 1, uuid.UUID(GUID)),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", 1, bytes.fromhex("33f45b281b1156478f09e3dcc76e2844")),
    ],
)
def test_every_form_of_a_node_id_is_understood(text, namespace, identifier):
    assert parse(text, where="here") == NodeAddress(namespace, identifier)


@pytest.mark.parametrize(
    "text",
    ["", "T1.Level", "ns=2", "ns=2;x=1", "ns=65536;i=1", "i=4294967296", "i=-1", "i=1_0", "i=٣", "s=", "nsu=;s=a",
     "ns=1;g=nonsense", "ns=1;b=*", "svr=1;i=5"],
)  # fmt: skip
def test_what_is_not_a_node_id_is_refused_with_its_place_and_an_example(text):
    with pytest.raises(Unusable) as caught:
        parse(text, where='instrument "tank-1", points.level.at')
    assert caught.value.where == 'instrument "tank-1", points.level.at'
    assert text in caught.value.what
    assert "nsu=urn:tank;s=T1.Level" in caught.value.hint


@given(st.text() | st.from_regex(r"(ns=[0-9]{1,6};|nsu=[^;]*;)?[isgbx]=.*", fullmatch=True))
def test_any_text_is_a_node_id_or_refused(text):
    try:
        address = parse(text, where="here")
    except Unusable:
        return
    assert isinstance(address.identifier, int | str | uuid.UUID | bytes)
    assert address.namespace == "" or address.namespace or address.namespace == 0


def test_a_node_that_several_points_and_states_name_is_asked_once():
    tank = instrument(
        point("level"),
        point("again", at=f"nsu={URI};s=level"),
        states=[state(equals=1), state(equals=2), state("Other")],
    )
    planned = plan(tank)
    assert [node.identifier for node in planned.nodes] == ["level", "Health", "Other"]
    assert planned.points == (0, 0)
    assert planned.states == (1, 1, 2)


def test_a_bad_node_id_names_its_instrument_and_point_or_state():
    with pytest.raises(Unusable, match=r'instrument "tank-1", points\.level\.at: "40001" is not'):
        plan(instrument(point("level", at="40001")))
    bad = state().model_copy(update={"at": "discrete 0"})
    with pytest.raises(Unusable, match=r'instrument "tank-1", state 2, at: "discrete 0" is not'):
        plan(instrument(point("level"), states=[state(), bad]))


def test_a_namespace_is_found_by_its_uri_and_an_index_stands_for_itself():
    namespaces = {"http://opcfoundation.org/UA/": 0, URI: 4}
    assert index(NodeAddress(URI, "a"), namespaces) == 4
    assert index(NodeAddress("urn:elsewhere", "a"), namespaces) is None
    assert index(NodeAddress(9, "a"), namespaces) == 9


@given(st.integers(0, 1_000), st.integers(0, 300))
def test_blocks_hold_every_node_once_in_order_within_both_limits(count, limit):
    cut = [tuple(block) for block in blocks(tuple(range(count)), limit)]
    assert [place for block in cut for place in block] == list(range(count))
    size = min(MAX_BLOCK, limit or MAX_BLOCK)
    assert all(0 < len(block) <= size for block in cut)
    assert len(cut) == -(-count // size)


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("opc.tcp://10.0.0.9:4841/mirror", "opc.tcp://10.0.0.9:4841/mirror"),
        ("opc.tcp://10.0.0.9/mirror", "opc.tcp://10.0.0.9:4840/mirror"),
        ("opc.tcp://[fe80::1]", "opc.tcp://[fe80::1]:4840"),
        ("opc.tcp://dcs:/x?y=1", "opc.tcp://dcs:4840/x?y=1"),
        ("opc.tcp://127.0.0.1:0/x", "opc.tcp://127.0.0.1:0/x"),
    ],
)
def test_a_url_without_a_port_gets_the_registered_one(url, full):
    assert endpoint(url, where="here") == full


@pytest.mark.parametrize(
    "url", ["http://dcs:4840", "opc.tcp://", "opc.tcp:dcs", "opc.tcp://dcs:99999", "opc.tcp://[::1", ""]
)
def test_a_url_that_no_opc_ua_server_has_is_refused(url):
    with pytest.raises(Unusable, match='line "dcs"'):
        endpoint(url, where='line "dcs"')
