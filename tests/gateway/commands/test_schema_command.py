"""`parkgate schema`: documents that other programs read."""

import json

import jsonschema
import pytest
from support.cabinet import verb

from parkgate.gateway.messages.schema import SCHEMAS, asyncapi, json_schema
from parkgate.gateway.status import version


async def test_without_a_message_it_prints_the_asyncapi_document_of_this_version():
    code, out, err = await verb("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == asyncapi(version())


@pytest.mark.parametrize("message", sorted(SCHEMAS))
@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_with_a_message_it_prints_its_json_schema(message, words):
    code, out, err = await verb("schema", message, *words)
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema(message)
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


async def test_a_message_that_does_not_exist_is_a_mistake_of_usage_and_lists_those_there_are():
    code, out, err = await verb("schema", "gossip")
    assert (code, out) == (2, "")
    assert all(message in err for message in SCHEMAS)
