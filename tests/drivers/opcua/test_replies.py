"""The library's replies in plain Python: what JSON can hold, node ids as a profile writes them, legible texts."""

import json
import math
import uuid
from datetime import UTC, datetime

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.addresses import address_trouble
from parkgate.drivers.opcua.legible import legible
from parkgate.drivers.opcua.plan import NodeAddress, index, parse
from parkgate.drivers.opcua.replies import answer, page, written
from parkgate.drivers.opcua.units import common_code

URIS = ("http://opcfoundation.org/UA/", "urn:server", "urn:park", "urn:100%;of\nall")
IDENTIFIERS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.text(min_size=1, max_size=30),
    st.uuids(),
    st.binary(min_size=1, max_size=20),
)


@given(identifier=IDENTIFIERS, number=st.integers(0, 6))
def test_a_node_id_is_written_so_that_it_leads_to_the_node_again(identifier, number):
    text = written(ua.NodeId(identifier, number), URIS)
    found = parse(text, where="here")
    assert address_trouble(text, "opcua", 0) is None or "{node}" in text
    assert (index(found, {uri: place for place, uri in enumerate(URIS)}), found.identifier) == (number, identifier)


def test_a_namespace_is_written_by_its_uri_since_its_index_may_change():
    assert written(ua.NodeId("T1.Level", 2), URIS) == "nsu=urn:park;s=T1.Level"
    assert written(ua.NodeId(85, 0), URIS) == "i=85"
    assert written(ua.NodeId(5, 9), URIS) == "ns=9;i=5"
    assert written(ua.ExpandedNodeId(5, 0, NamespaceUri="urn:other"), URIS) == "nsu=urn:other;i=5"
    assert parse(written(ua.NodeId(1, 3), URIS), where="") == NodeAddress("urn:100%;of\nall", 1)


WHEN = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
VALUES = (
    (True, None, True, "Boolean"),
    (7, ua.VariantType.Byte, 7, "Byte"),
    (2.5, ua.VariantType.Float, 2.5, "Float"),
    ("罐", None, "罐", "String"),
    (b"\x01\xff", None, "01ff", "ByteString"),
    (uuid.UUID(int=5), None, str(uuid.UUID(int=5)), "Guid"),
    (WHEN, None, WHEN.isoformat(), "DateTime"),
    (ua.LocalizedText("正常", "zh"), None, "正常", "LocalizedText"),
    (ua.LocalizedText(None), None, "", "LocalizedText"),
    (ua.QualifiedName("Level", 2), None, "Level", "QualifiedName"),
    (ua.NodeId("T1", 2), None, "nsu=urn:park;s=T1", "NodeId"),
    (ua.StatusCode(0x8034_0000), None, "BadNodeIdUnknown", "StatusCode"),
    (ua.Range(-1, 4.5), None, [-1, 4.5], "Range"),
    (ua.EUInformation(DisplayName=ua.LocalizedText("m³")), None, "m³", "EUInformation"),
    (ua.EUInformation(Description=ua.LocalizedText("metre")), None, "metre", "EUInformation"),
    (ua.EUInformation(UnitId=4_408_652), None, "CEL", "EUInformation"),
    (ua.BuildInfo(), None, "BuildInfo", "ExtensionObject"),
    (ua.ServerState.Running, ua.VariantType.Int32, 0, "Int32"),
)


@pytest.mark.parametrize(("value", "kind", "told", "name"), VALUES)
def test_a_value_is_one_that_json_has_with_the_name_of_its_type(value, kind, told, name):
    found = answer(ua.DataValue(ua.Variant(value, kind)), URIS)
    assert (found.value, found.kind, found.size) == (told, name, None)
    assert json.loads(json.dumps(found.value)) == told


def test_of_an_array_the_first_few_are_kept_and_how_many_there_are():
    found = answer(ua.DataValue(ua.Variant([*range(100)], ua.VariantType.Int32)), URIS)
    assert (found.value, found.size, found.kind) == ([*range(8)], 100, "Int32")
    empty = answer(ua.DataValue(ua.Variant([], ua.VariantType.Double)), URIS)
    assert (empty.value, empty.size, empty.kind) == ([], 0, "Double")


def test_status_and_both_times_are_told_and_no_value_is_none():
    came = ua.DataValue(StatusCode=ua.StatusCode(0x8031_0000), SourceTimestamp=WHEN)
    found = answer(came, URIS)
    assert (found.value, found.kind, found.said, found.server) == (None, "", "BadNoCommunication", None)
    assert found.source == 1_767_323_045_678
    assert answer(ua.DataValue(ua.Variant(None)), URIS).kind == ""


@pytest.mark.parametrize(
    ("value", "kind", "taken"),
    [(2.5, ua.VariantType.Float, 2.5), ("x", None, "x"), ([1.0], ua.VariantType.Double, ()), (WHEN, None, ()),
     (b"7", None, ()), (ua.Range(0, 1), None, ())],
)  # fmt: skip
def test_only_what_a_point_can_have_is_judged_as_a_value(value, kind, taken):
    reading = answer(ua.DataValue(ua.Variant(value, kind)), URIS).reading()
    assert reading.value == taken
    assert reading.single == (kind is ua.VariantType.Float)


def test_what_is_not_there_is_judged_as_nothing():
    assert answer(ua.DataValue(StatusCode=ua.StatusCode(0x8034_0000)), URIS).reading().value is None
    assert math.isnan(answer(ua.DataValue(ua.Variant(math.nan)), URIS).reading().value)


_FORWARD = True


def reference(name, target=None, kind=ua.NodeClass.Object, of=35, **more):
    return ua.ReferenceDescription(
        ua.NodeId(of), _FORWARD, target or ua.NodeId(name, 2), ua.QualifiedName(name, 2), ua.LocalizedText(**more), kind
    )


def test_a_page_tells_those_below_and_not_those_of_other_servers():
    elsewhere = ua.ExpandedNodeId("far", 2, ServerIndex=1)
    references = [
        reference("T1", Text="1# 储罐"),
        reference("far", elsewhere),
        reference("Level", kind=ua.NodeClass.Variable),
        reference("EURange", kind=ua.NodeClass.Variable, of=46),
        reference("Start", kind=ua.NodeClass.Method),
    ]
    found = page(ua.BrowseResult(ContinuationPoint=b"\x01\xfe", References=references), URIS)
    assert [(each.name, each.title, each.kind, each.property) for each in found.children] == [
        ("T1", "1# 储罐", "object", False),
        ("Level", "", "variable", False),
        ("EURange", "", "variable", True),
        ("Start", "", "other", False),
    ]
    assert found.more == "01fe"


def test_a_node_without_a_name_is_told_by_its_title_or_its_id():
    found = page(
        ua.BrowseResult(References=[reference(None, ua.NodeId(5, 2), Text="液位"), reference(None, ua.NodeId(5, 2))]),
        URIS,
    )
    assert [each.name for each in found.children] == ["液位", "nsu=urn:park;i=5"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [(b"Level", "Level"), ("液位".encode(), "液位"), ("温度".encode("gb18030"), "温度"), (b"\xff\xff", "??")],
)
def test_a_name_is_legible_in_the_encodings_that_servers_send(raw, told):
    assert legible(raw.decode("utf-8", "surrogateescape")) == told


@given(text=st.text(alphabet=st.characters(exclude_categories=())))
def test_whatever_came_is_legible(text):
    assert legible(text).encode("utf-8") is not None


def test_no_text_is_an_empty_one():
    assert legible(None) == ""


@pytest.mark.parametrize(("number", "code"), [(4_408_652, "CEL"), (5_067_858, "MTR"), (20_529, "P1"), (0, ""), (-1, ""),
                                              (1, ""), (2**31, ""), (0x41_00_41, "")])  # fmt: skip
def test_a_unit_that_has_but_its_number_is_told_by_its_common_code(number, code):
    assert common_code(number) == code
