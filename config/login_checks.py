"""What the user, password and certificates of an uplink or a line must be beyond their types. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from parkgate.config.language import say
from parkgate.config.site import Line, Uplink


def login_findings(thing: Uplink | Line) -> Iterator[tuple[str, str]]:
    """Give the keys that lack another one, and a password that is not kept in exactly one place."""
    for key, other in (("cert", "key"), ("key", "cert")):
        if getattr(thing, key) is None and getattr(thing, other) is not None:
            yield key, say("is missing; a certificate and its key go together")
    if thing.password is not None and thing.username is None:
        yield "username", say("is missing; a password needs it")
    if thing.password is not None and len(thing.password.model_dump(exclude_none=True)) != 1:
        text = say('needs exactly one of credential, file and env, as {{ credential = "park-password" }}')
        yield "password", text
