"""The newest of everything, as rows of the live table: from a gateway's status, or from a broker's messages. Pure.

A broker may carry anything: what is not the contract's shape is left out, and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from parkgate.gateway.messages.table import Reading, Row, Value

_LEVELS = 5
"""`{prefix}/v1/{site}/{gateway}/{kind}` and what follows."""

Object = Mapping[str, object]


def rows_of_status(reply: Object) -> tuple[Row, ...]:
    """Give the rows of a running agent's answer to `{"verb": "status"}`, in its order.

    An instrument's `seq` counts what was stored in this epoch; `low` is the first that is not yet delivered everywhere.
    """
    listed = reply.get("instruments")
    return tuple(_row_of(each) for each in listed if isinstance(each, dict)) if isinstance(listed, list) else ()


def _row_of(told: Object) -> Row:
    seq, low = _whole(told.get("seq")) or 0, _whole(told.get("low")) or 1
    points = _object(told.get("points"))
    return Row(
        instrument=_text(told.get("name")),
        title=_text(told.get("title")),
        protocol=_text(told.get("protocol")),
        readings=tuple(_reading(name, _object(each), _object(each)) for name, each in points.items()),
        at_ms=_whole(told.get("at")),
        seq=seq,
        stored=seq,
        delivered=low - 1,
        waiting=seq - low + 1,
    )


@dataclass(slots=True)
class Board:
    """The newest snapshot of every instrument that a subscriber of `{prefix}/v1/#` heard of."""

    _status: dict[str, str] = field(default_factory=dict)
    _alarms: dict[str, Object] = field(default_factory=dict)
    _meta: dict[tuple[str, str], Object] = field(default_factory=dict)
    _data: dict[tuple[str, str], Object] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> None:
        """Enter one message: `status`, `alarms`, `meta/{instrument}` and `data/{instrument}`; an empty one clears."""
        levels = topic.split("/")
        if len(levels) < _LEVELS or levels[1] != "v1":
            return
        gateway, (kind, *rest) = "/".join(levels[2:4]), levels[4:]
        told = _parsed(payload)
        if kind == "status" and not rest:
            self._status[gateway] = _text(told.get("state"))
        elif kind == "alarms" and not rest:
            self._alarms[gateway] = told
        elif kind == "meta" and len(rest) == 1:
            _keep(self._meta, (gateway, rest[0]), told)
        elif kind == "data" and len(rest) == 1:
            key = gateway, rest[0]
            if self._meta.get(key, {}).get("report") == "change":
                told = _over(told, self._data.get(key, {}))
            _keep(self._data, key, told)

    @property
    def states(self) -> Mapping[str, str]:
        """What each gateway (`site/gateway`) last said of itself: `online` or `offline`."""
        return {gateway: state for gateway, state in sorted(self._status.items()) if state}

    def alarms(self) -> tuple[list[Object], int]:
        """Give what stands at all gateways, and how much more does of which the broker keeps no word."""
        listed = [_list(told.get("standing")) for told in self._alarms.values()]
        more = sum(_whole(told.get("more")) or 0 for told in self._alarms.values())
        return [_object(each) for entries in listed for each in entries], more

    def rows(self) -> tuple[Row, ...]:
        """Give a row per instrument, by name; named with its gateway where there are several."""
        keys = sorted({*self._meta, *self._data})
        several = len({gateway for gateway, _ in keys}) > 1
        rows = (self._row(key) for key in keys)
        if several:
            rows = (replace(row, instrument="/".join(key)) for row, key in zip(rows, keys, strict=True))
        return tuple(rows)

    def _row(self, key: tuple[str, str]) -> Row:
        meta, data = self._meta.get(key, {}), self._data.get(key, {})
        return Row(
            instrument=key[1],
            title=_text(meta.get("title")),
            protocol=_text(meta.get("protocol")),
            readings=tuple(_readings(_object(meta.get("points")), data)),
            at_ms=_whole(data.get("ts")),
            seq=_whole(data.get("seq")),
        )


def _readings(points: Object, data: Object) -> Iterable[Reading]:
    """Give the readings of a snapshot, in the order of `meta` where it names them."""
    values, invalid = _object(data.get("values")), _object(data.get("invalid"))
    said = {**{name: {"value": value} for name, value in values.items()}, **invalid}
    for name in sorted(said, key=list(points).index if set(said) <= set(points) else str):
        yield _reading(name, _object(said[name]), _object(points.get(name)))


def _reading(name: str, said: Object, about: Object) -> Reading:
    return Reading(
        name=name,
        title=_text(about.get("title")),
        value=_value(said.get("value")),
        unit=_text(about.get("unit")),
        flag=_text(said.get("flag")),
    )


def _over(report: Object, before: Object) -> Object:
    """Give a change report with what was said before of the points that it does not name, of the same description."""
    if not report or report.get("rev") != before.get("rev"):
        return report
    values, invalid = _object(report.get("values")), _object(report.get("invalid"))
    named = {*values, *invalid}
    kept = {kind: {name: said for name, said in _object(before.get(kind)).items() if name not in named}
            for kind in ("values", "invalid")}  # fmt: skip
    return {**report, "values": {**kept["values"], **values}, "invalid": {**kept["invalid"], **invalid}}


def _keep(kept: dict[tuple[str, str], Object], key: tuple[str, str], told: Object) -> None:
    if told:
        kept[key] = told
    else:
        kept.pop(key, None)


def _parsed(payload: bytes) -> Object:
    try:
        return _object(json.loads(payload))
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _value(value: object) -> Value | None:
    return value if isinstance(value, int | float | str) else None
