"""What people ask of a running agent's OPC UA lines: nodes and attributes, each question put between two turns.

A server gives few sessions, so `probe` and `scan` come through here and never beside it. Only reading can be asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar, cast

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.drivers.driver import Driver
from parkgate.drivers.faults import Fault
from parkgate.drivers.opcua.asking import AskedDriver
from parkgate.drivers.opcua.space import MOST_BROWSED, MOST_READ, Asked
from parkgate.gateway.collecting.collector import Collector
from parkgate.gateway.visits import Answer, as_answer

Item = TypeVar("Item")
_HIGHEST_ATTRIBUTE = 27
_HEX = frozenset("0123456789abcdef")


class Inquiries:
    """Answers the control socket's verb `inquire`: `{"verb":"inquire","line":…,"what":…}`.

    `what` is `limits`; `browse` with `nodes` and, for those above them, `up`; `more` with `points`; or `read` with
    `questions`, each a node and an attribute. The answer holds `limits`, `pages` or `answers`; else a `fault`, or an
    `error` where the request is none.
    """

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = {each.line.name: each for each in collectors if kind_of(each.line) == "opcua"}

    async def inquire(self, request: Mapping[str, Any]) -> Answer:
        """Ask the session of a line one question."""
        line = request.get("line")
        collector = self._collectors.get(line) if isinstance(line, str) else None
        if collector is None:
            return {"error": say("no such line; known: {lines}", lines=", ".join(sorted(self._collectors)))}
        ask = _question(request)
        if ask is None:
            return {"error": say("an inquiry needs what, and nodes, points or questions that go with it")}

        async def visit(driver: Driver) -> Answer:
            return await ask(cast("AskedDriver", driver).asked())

        try:
            return await collector.visit(visit)
        except Fault as fault:
            return as_answer(fault)


def _question(request: Mapping[str, Any]) -> Callable[[Asked], Awaitable[Answer]] | None:
    """Give what a request asks, None if it asks nothing that there is."""
    match request:
        case {"what": "limits"}:
            return _limits
        case {"what": "browse", "nodes": [*nodes]} if _fit(nodes, MOST_BROWSED, _is_text):
            return lambda asked: _browse(asked, nodes, up=request.get("up") is True)
        case {"what": "more", "points": [*points]} if _fit(points, MOST_BROWSED, _is_point):
            return lambda asked: _more(asked, points)
        case {"what": "read", "questions": [*questions]} if _fit(questions, MOST_READ, _is_question):
            return lambda asked: _read(asked, [(node, attribute) for node, attribute in questions])
    return None


def _fit(items: list[Item], most: int, fits: Callable[[Item], bool]) -> bool:
    return 1 <= len(items) <= most and all(map(fits, items))


def _is_text(item: object) -> bool:
    return isinstance(item, str)


def _is_point(item: object) -> bool:
    return isinstance(item, str) and len(item) % 2 == 0 and _HEX.issuperset(item)


def _is_question(item: object) -> bool:
    match item:
        case [str(), int() as attribute]:
            return 1 <= attribute <= _HIGHEST_ATTRIBUTE
    return False


async def _limits(asked: Asked) -> Answer:
    return {"limits": asdict(await asked.limits())}


async def _browse(asked: Asked, nodes: list[str], *, up: bool) -> Answer:
    return {"pages": [asdict(each) for each in await asked.browse(nodes, up=up)]}


async def _more(asked: Asked, points: list[str]) -> Answer:
    return {"pages": [asdict(each) for each in await asked.more(points)]}


async def _read(asked: Asked, questions: list[tuple[str, int]]) -> Answer:
    return {"answers": [asdict(each) for each in await asked.read(questions)]}
