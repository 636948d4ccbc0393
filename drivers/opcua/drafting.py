"""A profile written of variables that were found, pure: a file that runs as it is.

What no point can be made of stands in it as a comment that says why.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from parkgate.config.addresses import NODE, address_trouble
from parkgate.config.language import say
from parkgate.drivers.opcua.looking import Variable
from parkgate.drivers.opcua.naming import names, slug
from parkgate.drivers.opcua.space import Node

_ENDLESS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBERS = frozenset({"int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "double"})


def usable(variable: Variable) -> str:
    """Tell why a variable cannot stand in a profile, empty where it can."""
    at = variable.node.child.node
    if variable.why:
        return variable.why
    if NODE in at:
        return say("its node id holds {node}, which stands for something else in a profile", node=NODE)
    if address_trouble(at, "opcua", 0) or _whole(at).strip() != at:  # a reader of a profile drops blanks at the ends
        return say("its node id cannot be written in a profile")
    return ""


def profile(variables: Sequence[Variable], *, title: str, url: str) -> str:
    """Write a profile of variables, in their order; at least one of them must be usable."""
    whys = [usable(each) for each in variables]
    good = [each.node for each, why in zip(variables, whys, strict=True) if not why]
    named = iter(names([each.path for each in good]))
    often = Counter(map(_called, good))
    lines = [
        f"title = {quoted(title)}",
        f"manual = {quoted(say('found by parkgate scan {url}; compare each point with the documents', url=url))}",
        'protocol = "opcua"',
        "",
        "[points]",
    ]
    rows = zip(variables, whys, strict=True)
    for above, some in groupby(rows, key=lambda row: row[0].node.path[:-1]):
        lines += [_comment("/".join(above))] if above else []
        lines += [
            _refused(each, why) if why else _point(next(named), each, alone=often[_called(each.node)] == 1)
            for each, why in some
        ]
    return "\n".join(lines) + "\n"


def _called(node: Node) -> str:
    return node.child.title or node.child.name


def _point(name: str, variable: Variable, *, alone: bool) -> str:
    """Write a point; where others are called the same, its title begins with the object above it."""
    node = variable.node
    above = node.above if node.above is not None and node.above.above is not None and not alone else None
    title = _called(node) if above is None else f"{_called(above)} {_called(node)}"
    return f"{name} = {{ {', '.join(f'{key} = {value}' for key, value in _attributes(name, title, variable))} }}"


def _attributes(name: str, title: str, variable: Variable) -> Iterator[tuple[str, str]]:
    yield "at", quoted(variable.node.child.node)
    yield "type", quoted(variable.type)
    if not title.isascii() or slug(title) != name:
        yield "title", quoted(title)
    if variable.unit:
        yield "unit", quoted(variable.unit)
    if variable.range is not None and variable.type in _NUMBERS:
        yield "range", f"[{', '.join(map(_number, variable.range))}]"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))  # noqa: PLR2004 - exact


def _refused(variable: Variable, why: str) -> str:
    child = variable.node.child
    return _comment(f"{child.name} ({child.node}): {why}")


def _comment(text: str) -> str:
    """Write a comment; what TOML does not take in one is left out."""
    return f"# {_ENDLESS.sub(' ', _whole(text))}"


def quoted(text: str) -> str:
    """Write a text as a TOML string (TOML 1.0, String: those of JSON, and no bare DEL)."""
    return json.dumps(_whole(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
