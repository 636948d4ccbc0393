"""Instruments and snapshots as hypothesis can think of them, and what a consumer's JSON Schema says of a payload."""

import jsonschema
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.messages.schema import json_schema

names = st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True)
texts = st.text(max_size=40)
values = (
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53) | st.text(max_size=20)
)  # fmt: skip
TYPES = ["bool", "int16", "uint32", "int64", "float32", "float64", "string:8"]


def validator(message):
    """A validator of a message's JSON Schema, which is itself checked to be one."""
    schema = json_schema(message)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@st.composite
def instruments(draw):
    points = tuple(
        Point(
            name=name,
            at="input 0",
            type=draw(st.sampled_from(TYPES)),
            title=draw(texts),
            unit=draw(texts),
            factor=draw(st.none() | st.just("a21026")),
            range=draw(st.none() | st.tuples(st.floats(-1e9, 0), st.floats(1, 1e9))),
            digits=draw(st.none() | st.integers(0, 12)),
            as_=draw(st.sampled_from(["number", "string"])),
        )
        for name in draw(st.lists(names, min_size=1, max_size=8, unique=True))
    )
    return Instrument(
        name=draw(st.sampled_from(["stack-1", "X_1"])),
        title=draw(texts),
        labels=draw(st.dictionaries(st.text(max_size=9), texts, max_size=3)),
        line="cems",
        every=draw(st.integers(5, 3_600_000)),
        profile="p",
        manual=draw(texts),
        protocol=draw(st.sampled_from(["modbus", "opcua"])),
        points=points,
    )


@st.composite
def snapshots(draw, instrument):
    """Any judged snapshot: where there is no value there is a flag."""
    count = len(instrument.points)
    places = range(count)
    given = tuple(draw(st.none() | values) for _ in places)
    flagged = {place for place in places if given[place] is None} | draw(st.sets(st.sampled_from(places)))
    return Snapshot(
        instrument=instrument.name,
        at=draw(st.integers(0, 2**48)),
        values=given,
        flags={place: draw(st.sampled_from(list(Flag))) for place in draw(st.permutations(sorted(flagged)))},
        uncertain=frozenset(draw(st.sets(st.sampled_from(places)))),
        offsets=draw(st.dictionaries(st.sampled_from(places), st.integers(-(2**47), 2**47))),
    )


cases = instruments().flatmap(lambda each: st.tuples(st.just(each), snapshots(each)))
