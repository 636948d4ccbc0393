"""The documents that platform teams generate their code from."""

import json
import re

import jsonschema
import pytest

from parkgate.gateway.messages.schema import SCHEMAS, asyncapi, json_schema
from parkgate.gateway.messages.topics import Topics

DOCUMENT = asyncapi("1.2.3")


@pytest.mark.parametrize("message", SCHEMAS)
def test_each_is_a_json_schema_of_2020_12(message):
    schema = json_schema(message)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("message", SCHEMAS)
def test_every_reference_inside_leads_somewhere(message):
    schema = json_schema(message)
    text = json.dumps(schema)
    for name in re.findall(r'"\$ref": "#/\$defs/(\w+)"', text):
        assert name in schema["$defs"]
    assert "#/components/schemas" not in text


def test_the_asyncapi_document_is_complete_in_itself():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["version"] == "1.2.3"
    messages = DOCUMENT["components"]["messages"]
    assert messages.keys() == SCHEMAS.keys()
    for name, channel in DOCUMENT["channels"].items():
        (message,) = channel["messages"].values()
        assert message["$ref"].removeprefix("#/components/messages/") in messages
        assert channel["parameters"].keys() == set(re.findall(r"{(\w+)}", channel["address"])), name


def test_every_channel_is_sent_with_qos_1_and_says_if_it_is_retained():
    operations = {each["channel"]["$ref"].rsplit("/", 1)[-1]: each for each in DOCUMENT["operations"].values()}
    assert operations.keys() == DOCUMENT["channels"].keys()
    bindings = {name: each["bindings"]["mqtt"] for name, each in operations.items()}
    assert {each["action"] for each in operations.values()} == {"send"}
    assert {each["qos"] for each in bindings.values()} == {1}
    retained = {name for name, each in bindings.items() if each["retain"]}
    assert retained == {"status", "meta", "metaRev", "data", "alarms"}
    for name, channel in DOCUMENT["channels"].items():
        assert channel["description"] == ("Retained." if name in retained else "Not retained.")


def test_the_addresses_are_those_that_the_gateway_publishes_to():
    topics = Topics.of("{prefix}", "{site}", "{gateway}")
    published = {
        topics.status,
        topics.meta("{instrument}"),
        topics.meta("{instrument}", "{rev}"),
        topics.live("data", "{instrument}"),
        topics.backfill("{instrument}"),
        topics.live("stats/{period}", "{instrument}"),
        topics.live("event", ""),
        topics.live("alarm", "{instrument}"),
        topics.alarms,
    }
    assert {each["address"] for each in DOCUMENT["channels"].values()} == published
