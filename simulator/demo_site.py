"""The demo's site file: the packaged one, its addresses replaced by where things really listen. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PASSWORD = "PARKGATE_DEMO_PASSWORD"  # noqa: S105  the name of a variable, not a password
"""The environment variable through which the agent gets the broker's password: never in clear in a file."""


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site file's text, the gateway's title and name (`site/gateway`), its topics, and its environment's secrets."""

    text: str
    title: str
    source: str
    topics: str
    secrets: Mapping[str, str] = field(default_factory=dict)


def demo_site(template: str, lines: Mapping[str, str], uplink: str, data: str, *, gateway_id: str = "") -> DemoSite:
    """Put real addresses into a site file with one uplink: `lines` by name, the uplink's URL and the data folder.

    `gateway_id` replaces the gateway's id, if there is one. A `user:password@` of the uplink becomes its `username` and
    a password from the environment.
    """
    site = tomllib.loads(template)
    text = template
    for line in site["line"]:
        text = _replace(text, "url", line["url"], lines[line["name"]])
    parts = urlsplit(uplink)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    text = _replace(text, "url", site["uplink"][0]["url"], bare, _credentials(parts.username))
    text = _replace(text, "data", site["gateway"]["data"], data)
    gateway_id = gateway_id or site["gateway"]["id"]
    text = _replace(text, "id", site["gateway"]["id"], gateway_id)
    gateway = f"{site['gateway']['site']}/{gateway_id}"
    prefix = site["uplink"][0].get("prefix", "park")
    secrets = {PASSWORD: unquote(parts.password or "")} if parts.username else {}
    title = f"{site['gateway'].get('title', '')} {gateway}".strip()
    return DemoSite(text, title, gateway, f"{prefix}/v1/{gateway}/#", secrets)


def _credentials(username: str | None) -> str:
    if username is None:
        return ""
    return f"\nusername = {_quoted(unquote(username))}\npassword = {{ env = {_quoted(PASSWORD)} }}"


def _replace(text: str, key: str, old: str, new: str, more: str = "") -> str:
    return text.replace(f"{key} = {_quoted(old)}", f"{key} = {_quoted(new)}{more}", 1)


def _quoted(value: str) -> str:
    """Write a TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)
