"""A site file moved elsewhere: its lines, uplink and data folder where a demo or a test has them. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

PASSWORD = "PARKGATE_DEMO_PASSWORD"  # noqa: S105  the name of a variable, not a password
"""The environment variable through which the agent gets the broker's password: never in clear in a file."""
_OF_ITS_BROKER = frozenset({"url", "username", "password", "ca", "cert", "key"})

_OF_ITS_SERVER = frozenset({"username", "password", "ca", "cert", "key"})


@dataclass(frozen=True, slots=True)
class MovedSite:
    """A site file's text, the gateway's title and name (`site/gateway`), its topics, and its environment's secrets."""

    text: str
    title: str
    source: str
    topics: str
    secrets: Mapping[str, str] = field(default_factory=dict)


def moved_site(
    text: str,
    lines: Mapping[str, str],
    uplink: str,
    data: str,
    *,
    gateway_id: str = "",
    profile: Callable[[str], str] = str,
) -> MovedSite:
    """Put other addresses into a site file: `lines` by name, the uplink's URL and the data folder.

    Of several uplinks the first stays. A `user:password@` of the uplink's URL becomes its `username` and a password
    from the environment. `profile` says where the profile of that name is, as seen from the new place.
    """
    site = tomllib.loads(text)
    gateway = {**site["gateway"], "data": data, "id": gateway_id or site["gateway"]["id"]}
    source = f"{gateway['site']}/{gateway['id']}"
    sends, secrets = _uplink(site["uplink"][0], uplink)
    moved = {
        **site,
        "gateway": gateway,
        "uplink": [sends],
        "line": [_line(line, lines[line["name"]]) for line in site["line"]],
        "instrument": [{**each, "profile": profile(each["profile"])} for each in site["instrument"]],
    }
    title = f"{gateway.get('title', '')} {source}".strip()
    return MovedSite(toml(moved), title, source, f"{sends.get('prefix', 'park')}/v1/{source}/#", secrets)


def toml(tables: Mapping[str, Any]) -> str:
    """Write a document of tables and arrays of tables, in the form in which people write it."""
    return "\n".join(_lines(tables)) + "\n"


def _lines(tables: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tables.items():
        several = isinstance(value, list)
        for table in value if several else [value]:
            yield f"[[{name}]]" if several else f"[{name}]"
            yield from (f"{_quoted(key)} = {_value(each)}" for key, each in table.items())


def _line(line: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Give the table of a line that leads elsewhere; what is simulated there knows neither its users nor its keys."""
    moved = {key: value for key, value in line.items() if key not in _OF_ITS_SERVER} | {"url": url}
    return moved | {"security": "none"} if "security" in line else moved


def _uplink(first: Mapping[str, Any], url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the table of an uplink that leads elsewhere, and the secrets that it needs."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    sends = {key: value for key, value in first.items() if key not in _OF_ITS_BROKER} | {"url": bare}
    if parts.username is None:
        return sends, {}
    access = {"username": unquote(parts.username), "password": {"env": PASSWORD}}
    return sends | access, {PASSWORD: unquote(parts.password or "")}


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value)
        case Mapping():
            return "{ " + ", ".join(f"{_quoted(key)} = {_value(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(each) for each in value) + "]"
    return str(value)  # numbers, dates and times


def _quoted(text: str) -> str:
    """Write a TOML basic string: JSON's escapes are a part of TOML's, and TOML wants one more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
