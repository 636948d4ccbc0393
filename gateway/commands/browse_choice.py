"""Which of the variables that were found are meant: by a filter on their names, by their numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from parkgate.config.language import say
from parkgate.drivers.opcua.space import Node

_WILD = frozenset("*?")
_MOST_DIGITS = 7


def matcher(text: str) -> Callable[[Node], bool]:
    """Give what tells whether a node is meant by its path, its title or its node id, whatever the case.

    `/…/` is a regular expression; a text with `*` or `?` must match the whole of one; any other must be in one.

    Raises:
        ValueError: the regular expression is none.

    """
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return _found(re.compile(text[1:-1], re.IGNORECASE).search)
    if _WILD.intersection(text):
        return _found(re.compile(translate(text), re.IGNORECASE).match)
    lowered = text.casefold()
    return _found(lambda name: lowered in name.casefold())


def _found(test: Callable[[str], object]) -> Callable[[Node], bool]:
    def meant(node: Node) -> bool:
        return any(map(test, ("/".join(node.path), node.child.title, node.child.node)))

    return meant


def numbers(text: str) -> Callable[[int], bool]:
    """Give what tells whether a number is among `1-12,17`.

    Raises:
        ValueError: the text is nothing of the kind; its sentence is for people.

    """
    runs: list[range] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not _is_number(first) or (dash and not _is_number(last)) or int(last or first) < int(first):
            raise ValueError(say('"{text}" names no variables by their numbers, such as 1-12,17', text=text))
        runs.append(range(int(first), int(last or first) + 1))
    return lambda number: any(number in run for run in runs)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
