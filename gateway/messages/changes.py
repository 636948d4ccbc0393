"""What differs between two configurations, as paths that people can read: `points.so2.range`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice

MOST = 40
"""Changes that an event lists."""
LONGEST = 200
"""Characters of JSON that a value before or after a change may have; a longer one is cut."""
_NOTHING = object()

Change = tuple[str, object, object]
"""Where, the value before, and after: None where there was, or is, nothing."""


def read(text: str) -> Mapping[str, object]:
    """Give what a configuration (`encode.configuration`) says: its JSON, and `simulated`, which stands behind it.

    Raises:
        ValueError: it is none.

    """
    begin, end = text.index("{"), text.rindex("}") + 1
    said: dict[str, object] = json.loads(text[begin:end])
    return {**said, "simulated": True} if text[end:] == "simulated" else said


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[list[Change], int]:
    """Give the first changes from one configuration to another, and how many more there are."""
    found = _changes("", before, after)
    first = [(path, _short(old), _short(new)) for path, old, new in islice(found, MOST)]
    return first, sum(1 for _ in found)


def _changes(path: str, before: object, after: object) -> Iterator[Change]:
    old, new = _parts(before), _parts(after)
    if old is None or new is None:
        if before is _NOTHING or after is _NOTHING or json.dumps(before) != json.dumps(after):
            yield path, None if before is _NOTHING else before, None if after is _NOTHING else after
        return
    for name in dict.fromkeys((*old, *new)):
        yield from _changes(f"{path}.{name}" if path else name, old.get(name, _NOTHING), new.get(name, _NOTHING))


def _parts(value: object) -> Mapping[str, object] | None:
    """Give what a value is made of, by name: things in a list are named by their `name`, or else counted from 0."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        names = [str(each.get("name", "")) for each in value]
        distinct = all(names) and len(set(names)) == len(names)
        return dict(zip(names if distinct else map(str, range(len(value))), value, strict=True))
    return None


def _short(value: object) -> object:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}…"
