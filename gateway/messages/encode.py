"""Records to bytes, once: what is encoded here is stored, sent and sent again without a change.

JSON by orjson; NaN and infinity never reach here (a value that is none carries a flag), so every number is a number.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from parkgate.config.alarm import Alarm
from parkgate.config.derived import Derived
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.config.units import known_unit
from parkgate.drivers.snapshot import Snapshot

MAX_PAYLOAD = 60_000
"""Bytes: every broker of the contract takes a payload of this size."""

MOST_AVERAGED = 200
"""Points of one record of statistics: each has 280 bytes at most, with its name."""

Encode = Callable[[int, int], bytes]
"""Give the bytes of a record, told its `seq` and its `low`."""


class SnapshotEncoder:
    """Turns the snapshots of one instrument into bytes, under one source, epoch and `rev`."""

    __slots__ = ("_epoch", "_names", "_rev", "_source")

    def __init__(self, source: str, epoch: str, rev: str, instrument: Instrument) -> None:
        self._source = source
        self._epoch = epoch
        self._rev = rev
        self._names = tuple(point.name for point in instrument.quantities)

    def __call__(self, snapshot: Snapshot, seq: int, low: int, *, unsynced: bool = False) -> bytes:
        """Give the payload of a judged snapshot: usable values in `values`, flagged in `invalid`, absent in neither.

        `unsynced` if its time was taken from a clock that cannot be believed.
        """
        names = self._names
        record: dict[str, object] = {
            "source": self._source,
            "epoch": self._epoch,
            "seq": seq,
            "low": low,
            "ts": snapshot.at,
            "rev": self._rev,
        }
        values = dict(zip(names, snapshot.values, strict=True))
        for index in snapshot.absent:
            del values[names[index]]
        record["values"] = values
        if snapshot.flags:
            record["invalid"] = {names[index]: _flagged(values.pop(names[index]), flag)
                                 for index, flag in sorted(snapshot.flags.items())}  # fmt: skip
        if snapshot.uncertain:
            record["uncertain"] = [names[index] for index in sorted(snapshot.uncertain)]
        if snapshot.offsets:
            record["offsets"] = {names[index]: offset for index, offset in sorted(snapshot.offsets.items())}
        if unsynced:
            record["clock"] = "unsynced"
        if snapshot.late:
            record["history"] = True
        return orjson.dumps(record)


def _flagged(value: object, flag: str) -> dict[str, object]:
    return {"flag": flag} if value is None else {"flag": flag, "value": value}


def configuration(source: str, instrument: Instrument, *, simulated: bool = False) -> str:
    """Give the whole configuration of an instrument as the text that its `rev` is made of: `source`, then JSON."""
    return source + instrument.model_dump_json() + "simulated" * simulated


def rev_of(text: str) -> str:
    """Give the first 8 hex digits of the SHA-256 over a configuration."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def meta(source: str, instrument: Instrument, *, simulated: bool = False) -> tuple[str, bytes]:
    """Give an instrument's `rev` and the payload that describes it.

    `rev` is the first 8 hex digits of the SHA-256 over the whole configuration of the instrument, its registers too: it
    names the configuration that a snapshot was made under. `simulated` if the instrument said that it is: then that is
    part of it.
    """
    about = {
        "source": source,
        "title": instrument.title,
        "labels": dict(instrument.labels),
        "profile": instrument.profile,
        "manual": instrument.manual,
        "protocol": instrument.protocol,
        "every": instrument.every,
        "report": "change" if instrument.acquisition == "subscription" else "",
        "safety": instrument.safety,
        "simulated": simulated,
    }
    described = {name: value for name, value in about.items() if value or name == "source"}
    points = {point.name: _about(point, instrument) for point in instrument.quantities}
    rev = rev_of(configuration(source, instrument, simulated=simulated))
    payload = orjson.dumps({"source": source, "rev": rev, **described, "points": points})
    if len(payload) > MAX_PAYLOAD:  # the codes of the units can be looked up, so they go first
        for about in points.values():
            for code in ("ucum", "unece"):
                about.pop(code, None)
        payload = orjson.dumps({"source": source, "rev": rev, **described, "points": points})
    return rev, payload


def _about(point: Point | Derived, instrument: Instrument) -> dict[str, object]:
    """Give what a consumer must know of a point; what was configured about its register stays here."""
    unit = known_unit(point.unit)
    about: dict[str, object] = {"title": point.title, "unit": point.unit, "type": point.type, "factor": point.factor}
    about |= {"ucum": unit.ucum, "unece": unit.unece} if unit else {}
    about["range"] = [_short(bound) for bound in point.range] if point.range else None
    about["digits"] = point.digits
    about["alarms"] = [_about_alarm(alarm) for alarm in point.alarms] or None
    about["sum"], about["weight"] = point.sum, point.weight
    if isinstance(point, Derived):
        about |= {
            "formula": point.formula,
            "of": {each.quantity: f"{each.instrument}.{each.point}".lstrip(".") for each in point.inputs},
            "with": {name: _short(number) for name, number in point.constants.items()},
        }
    else:
        about["as"] = "string" if point.as_ == "string" else None
        about["gas"] = point.gas
        about["mean"] = "direction" if point.mean == "direction" else None
        conversion = instrument.conversions.get(point.name)
        about["converted"] = conversion.model_dump(exclude_none=True, exclude_defaults=True) if conversion else None
    return {name: value for name, value in about.items() if value not in (None, "", {})}


def _about_alarm(alarm: Alarm) -> dict[str, object]:
    """Give what a consumer must know of an alarm of a point; its delays are in ms."""
    about = alarm.model_dump(exclude_defaults=True)
    numbers = {name: _short(value) for name, value in about.items() if isinstance(value, float)}
    return {**about, **numbers, "priority": alarm.priority}


def _short(number: float) -> float | int:
    return int(number) if number == int(number) else number


def event(source: str, epoch: str, ts: int, name: str, subject: str, detail: Mapping[str, object]) -> Encode:
    """Give the encoder of an event: what happened (`name`), to whom (`subject`), and its details.

    A detail may be anything: it often quotes what an instrument or a library said. What JSON has no word for is text.
    """
    happened = sayable({"event": name, "subject": subject, "detail": detail})

    def encode(seq: int, low: int) -> bytes:
        return orjson.dumps({"source": source, "epoch": epoch, "seq": seq, "low": low, "ts": ts, **happened})

    return encode


def statistics(
    source: str, epoch: str, rev: str, period: str, ts: int, revision: int, points: Mapping[str, Mapping[str, object]]
) -> Iterator[Encode]:
    """Give the encoders of an interval's statistics: of as many records as its points need, mostly one.

    `ts` is when the interval began (ms UTC). What a point has nothing to say of is None, and left out.
    """
    told = {name: {key: value for key, value in figures.items() if value not in (None, "")}
            for name, figures in points.items()}  # fmt: skip
    names = list(told)
    for first in range(0, len(names), MOST_AVERAGED):
        some = {name: told[name] for name in names[first : first + MOST_AVERAGED]}
        about = {"ts": ts, "rev": rev, "period": period, "revision": revision, "points": some}

        def encode(seq: int, low: int, about: Mapping[str, object] = about) -> bytes:
            return orjson.dumps({"source": source, "epoch": epoch, "seq": seq, "low": low, **about})

        yield encode


def sayable(record: Mapping[Any, object]) -> dict[str, object]:
    """Give a record whose details may be anything as JSON can say it."""
    return {_text(key): _said(value) for key, value in record.items()}


def _said(value: object) -> object:
    """Give a value as JSON can say it."""
    match value:
        case None | bool():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else hex(value)  # orjson's range; hex() has no limit of digits
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return sayable(value)
        case list() | tuple():
            return [_said(each) for each in value]
        case _:
            return _text(value)


def _text(value: object) -> str:
    """Give a value as text without the lone surrogates that `surrogateescape` leaves where bytes are no UTF-8."""
    return str(value).encode("utf-8", "replace").decode()


def pack(bodies: Sequence[bytes]) -> bytes:
    """Give the payload of several records: a JSON array, one record a line, each byte as it was stored."""
    return b"[" + b",\n".join(bodies) + b"]"


def status(fields: Mapping[str, object]) -> bytes:
    """Give the payload of the gateway's state."""
    return orjson.dumps(fields)
