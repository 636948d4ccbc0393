"""Why a node is not what its point says, in words."""

import uuid
from datetime import UTC, datetime

import pytest
from asyncua import ua
from support.opcua_park import point

from parkgate.drivers.opcua.codec import Reading
from parkgate.drivers.opcua.misfits import misfit


@pytest.mark.parametrize(("reading", "said"), [
    (Reading(None, 0x8034_0000), "the server has no node nsu=urn:test:park;s=level"),
    (Reading(None, 0x803A_0000), "the server refuses nsu=urn:test:park;s=level, with status 0x803A0000"),
    (Reading(None), "the server has a node without a value"),
    (Reading([1.0, 2.0]), "the server has an array; a point is one value, so take the node of an element"),
    (Reading(value=True), "the server has a value of type bool, the profile says double"),
    (Reading(1), "the server has a value of type integer, the profile says double"),
    (Reading("12"), "the server has a value of type string, the profile says double"),
    (Reading(datetime.now(UTC)), "the server has a value of type DateTime; a point is a number, a bool or a string"),
    (Reading(uuid.uuid4()), "the server has a value of type Guid; a point is a number, a bool or a string"),
    (Reading(b"1"), "the server has a value of type ByteString; a point is a number, a bool or a string"),
    (Reading(ua.Range()), "the server has a value of type Range; a point is a number, a bool or a string"),
    (Reading(ua.NodeId()), "the server has a value of type NodeId; a point is a number, a bool or a string"),
    (
        Reading(ua.ExtensionObject()),
        "the server has a value of type ExtensionObject; a point is a number, a bool or a string",
    ),
])  # fmt: skip
def test_each_misfit_says_what_the_server_has(reading, said):
    assert misfit(point("level"), reading) == said
