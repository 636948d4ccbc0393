"""JSON Schema 2020-12 of every message and one AsyncAPI 3 document, both made from the models."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel

from parkgate.gateway.messages import models

SCHEMAS: dict[str, type[BaseModel]] = {
    "status": models.Status,
    "meta": models.Meta,
    "data": models.Snapshot,
    "backfill": models.Backfill,
    "stats": models.Stats,
    "event": models.Event,
    "alarm": models.Alarm,
    "alarms": models.Alarms,
}
"""Message name -> model."""

_CHANNELS = {
    "status": ("status", True),
    "meta": ("meta/{instrument}", True),
    "metaRev": ("meta/{instrument}/{rev}", True),
    "data": ("data/{instrument}", True),
    "backfill": ("backfill/{instrument}", False),
    "stats": ("stats/{period}/{instrument}", False),
    "event": ("event", False),
    "alarm": ("alarm/{instrument}", False),
    "alarms": ("alarms", True),
}
_MESSAGE_OF = {"metaRev": "meta"}
_PARAMETERS = {
    "prefix": "First topic level, from the site file's uplink.",
    "site": "The site's name.",
    "gateway": "The gateway's id.",
    "instrument": "The instrument's name.",
    "period": "1min, 10min (or as the site has it), 1h or 1d.",
    "rev": "The revision that the meta record describes.",
}


def json_schema(message: str) -> dict[str, object]:
    """Give the JSON Schema of a message by its name in `SCHEMAS`."""
    schema = SCHEMAS[message].model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **cast("dict[str, object]", _no_null(schema))}


def _no_null(schema: object) -> object:
    """Take null out: what a field does not have is left out, never null; None is only the models' word for it."""
    if isinstance(schema, list):
        return [_no_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left = {key: _no_null(value) for key, value in schema.items() if (key, value) != ("default", None)}
    choices = [each for each in cast("list[dict[str, object]]", left.pop("anyOf", [])) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **left}
    return {**left, "anyOf": choices} if choices else left


def asyncapi(version: str) -> dict[str, object]:
    """Give the AsyncAPI 3.0 document of everything a gateway publishes."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Parkgate", "version": version, "description": "What a gateway publishes over MQTT, QoS 1."},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, *shape) for name, shape in _CHANNELS.items()},
        "operations": {f"publish{name[0].upper()}{name[1:]}": _operation(name, shape[1])
                       for name, shape in _CHANNELS.items()},
        "components": {"messages": {name: {"name": name, "payload": json_schema(name)} for name in SCHEMAS}},
    }  # fmt: skip


def _channel(name: str, leaf: str, retained: bool) -> dict[str, object]:  # noqa: FBT001  # a column of the table above
    address = f"{{prefix}}/v1/{{site}}/{{gateway}}/{leaf}"
    message = _MESSAGE_OF.get(name, name)
    return {
        "address": address,
        "description": "Retained." if retained else "Not retained.",
        "parameters": {key: {"description": text} for key, text in _PARAMETERS.items() if f"{{{key}}}" in address},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(name: str, retained: bool) -> dict[str, object]:  # noqa: FBT001  # the same
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
    }
