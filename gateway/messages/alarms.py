"""Alarms to bytes: the record of a transition, and the retained set of what stands. Pure.

A record says all of its alarm that a consumer needs; the set is made of the newest record of each alarm that stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from parkgate.gateway.messages.encode import MAX_PAYLOAD, Encode, sayable

Fields = Mapping[str, object]
"""What a record says of an alarm: `point`, `alarm`, `kind`, `state`, `acknowledged`, `latched`, `priority` …"""
Place = tuple[str, str, str]
"""An alarm's instrument, point and name."""
_OF_THE_SERIES = ("source", "epoch", "seq", "low", "by", "why", "clock")
"""What a record says that the set does not."""
_URGENCY = {"urgent": 0, "high": 1, "medium": 2, "low": 3}


def transition(source: str, epoch: str, ts: int, rev: str, fields: Fields, *, unsynced: bool = False) -> Encode:
    """Give the encoder of a transition; `source` is the instrument's, `rev` names the description of its points.

    `unsynced` if its time was taken from a clock that cannot be believed.
    """
    about = sayable({**fields, "clock": "unsynced"} if unsynced else fields)  # people's words may be no UTF-8

    def encode(seq: int, low: int) -> bytes:
        return orjson.dumps({"source": source, "epoch": epoch, "seq": seq, "low": low, "ts": ts, "rev": rev, **about})

    return encode


def standing(ts: int, entries: Iterable[Fields]) -> bytes:
    """Give the payload of the set at `ts`, the most urgent first and of these the oldest.

    What would make it larger than a broker takes is counted in `more`: the transitions themselves told of it.
    """
    ordered = by_urgency(entries)
    whole = orjson.dumps({"ts": ts, "standing": ordered})
    if len(whole) <= MAX_PAYLOAD:
        return whole
    size, count = len(orjson.dumps({"ts": ts, "standing": [], "more": len(ordered)})), 0
    while size + (length := len(orjson.dumps(ordered[count])) + 1) <= MAX_PAYLOAD:
        size, count = size + length, count + 1
    return orjson.dumps({"ts": ts, "standing": ordered[:count], "more": len(ordered) - count})


def by_urgency(entries: Iterable[Fields]) -> list[Fields]:
    """Give what stands, the most urgent first and of these the oldest."""
    return sorted(entries, key=lambda each: (_URGENCY.get(str(each.get("priority")), 9), each.get("since", 0)))


def told(instrument: str, body: bytes) -> tuple[Place, dict[str, object]] | None:
    """Give the alarm that a record tells of, and what stands of it in the set; None where it is no such record."""
    try:
        said = orjson.loads(body)
        place = instrument, str(said["point"]), str(said["alarm"])
        entry = {name: value for name, value in said.items() if name not in _OF_THE_SERIES}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return place, {"instrument": instrument, **entry}
