"""What `scan` writes of the variables that were chosen: a profile, and what is to be added to the site file. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence

from parkgate.config.language import say
from parkgate.config.profile import Point
from parkgate.config.site import Instrument, Line, Site
from parkgate.drivers.faults import Unusable
from parkgate.drivers.opcua.drafting import profile, quoted, usable
from parkgate.drivers.opcua.looking import Variable
from parkgate.gateway.commands.sizes import largest_snapshot
from parkgate.gateway.messages.encode import MAX_PAYLOAD, meta

_EVERY = 1_000
_LONGEST_SOURCE = f"{'s' * 32}/{'g' * 32}"


def drafted(variables: Sequence[Variable], *, name: str, url: str) -> str:
    """Write the profile.

    Raises:
        Unusable: there is nothing to write, or more than one instrument can have.

    """
    good = [each for each in variables if not usable(each)]
    if not good:
        raise Unusable(
            say("nothing of what was chosen can be a point"),
            where=f"{name}.toml",
            hint=say("No profile was written. See what is there, and why not: parkgate scan {url}", url=url),
        )
    text = profile(variables, title=_title(good, name), url=url)
    points = tuple(Point.model_validate({**each, "name": key}) for key, each in tomllib.loads(text)["points"].items())
    instrument = Instrument(name=name, line="line", every=_EVERY, profile=name, protocol="opcua", points=points)
    source = f"{_LONGEST_SOURCE}/{name}"
    if max(largest_snapshot(_LONGEST_SOURCE, instrument), len(meta(source, instrument)[1])) > MAX_PAYLOAD:
        raise Unusable(
            say("{count} points are more than one instrument can have", count=len(points)),
            where=f"{name}.toml",
            hint=say("Choose fewer by --filter, --from or --choose, and make several instruments of them."),
        )
    return text


def _title(variables: Sequence[Variable], name: str) -> str:
    """Call it after the object that all of them are below, if there is one."""
    above = [each.node.above for each in variables]
    one = above[0] if all(each is above[0] for each in above) else None
    return (one.child.title or one.child.name) if one is not None and one.above is not None else name


def entries(line: Line, site: Site | None, *, name: str, profile: str) -> str:
    """Give what is to be added to the site file: the instrument, and its line where no site has it."""
    told = [] if site else [*_line(line), ""]
    told += ["[[instrument]]", f"name = {quoted(name)}", f"line = {quoted(line.name)}"]
    return "\n".join([*told, f"profile = {quoted(profile)}", 'every = "1s"'])


def _line(line: Line) -> Iterator[str]:
    yield from ("[[line]]", f"name = {quoted(line.name)}", f"url = {quoted(line.url)}")
    yield f"security = {quoted(line.security or 'none')}"
    if line.username is not None:
        yield f"username = {quoted(line.username)}"
    if line.password is not None:
        kept = line.password.model_dump(mode="json", exclude_none=True)
        yield f"password = {{ {', '.join(f'{key} = {quoted(value)}' for key, value in kept.items())} }}"
    if line.ca is not None:
        yield f"ca = {quoted(str(line.ca))}"
