"""No snapshot of a real decoder is larger than the largest; the estimated disk is what a real file takes."""

import random
import struct

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.modbus_maps import instruments, snapshot
from support.opcua_park import instrument as tank
from support.opcua_park import point as node

from parkgate.config.profile import Point
from parkgate.config.site import Gateway, Instrument, Line, Site
from parkgate.drivers.opcua.codec import Decoder, Reading
from parkgate.drivers.opcua.plan import plan
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.cabinet_checks import bytes_a_day
from parkgate.gateway.commands.sizes import (
    LONGEST_DOUBLE,
    LONGEST_SINGLE,
    largest_snapshot,
    usual_snapshots,
    usual_statistics,
)
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.processing.periods import periods
from parkgate.gateway.processing.statistics import Plan
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.storing.database import Database
from parkgate.gateway.storing.outbox import Outbox

SOURCE = "xuwei/gw-01"


def size(about, taken):
    encoder = SnapshotEncoder(f"{SOURCE}/{about.name}", "0007-k3f9a1", "9c1d02aa", about)
    return len(encoder(Judge.of(about)(taken), 2**53, 2**53))


def numbers_only(about):
    """As config allows it: only integers of 64 bits may be written as strings."""
    return about.model_copy(update={"points": tuple(
        each if each.type in {"int64", "uint64"} else each.model_copy(update={"as_": "number"}) for each in about.points
    )})  # fmt: skip


@given(instruments(), st.randoms(use_true_random=False), st.sampled_from([0, 0xFFFF, 0x8000, None]))
def test_no_snapshot_of_a_modbus_instrument_is_larger(about, rng, word):
    about = numbers_only(about)

    def image(table, _place):
        top = 1 if table in {"coil", "discrete"} else 0xFFFF
        return rng.randint(0, top) if word is None else min(word, top)

    assert size(about, snapshot(about, image)) <= largest_snapshot(SOURCE, about)


values = (
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=300) | st.just("\x01" * 255)
)  # fmt: skip
readings = st.builds(
    Reading, values, st.sampled_from([0, 0x40000000, 0x80000000, 0x40A40000]), st.none() | st.integers(0, 2**55)
)
KINDS = ("bool", "int16", "uint32", "int64", "uint64", "float32", "double", "string", "string:4")


@given(st.data())
def test_no_snapshot_of_an_opcua_instrument_is_larger(data):
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    about = tank(*(
        node(f"p{place}", kind, scale=data.draw(st.sampled_from([1.0, 0.1])) if "int" in kind else 1.0,
             as_="string" if kind == "uint64" else "number")
        for place, kind in enumerate(kinds)
    ))  # fmt: skip
    asked = plan(about)
    given_readings = [data.draw(readings) for _ in asked.nodes]
    taken = Decoder(about, asked).decode(given_readings, 1_763_890_000_123)
    assert size(about, taken) <= largest_snapshot(SOURCE, about)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_double_has_a_longer_text(number):
    assert len(orjson.dumps(number)) <= len(orjson.dumps(LONGEST_DOUBLE))


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_no_float32_has_a_longer_text_at_nine_digits(number):
    shortened = float(f"{number:.9g}")
    assume(struct.unpack("f", struct.pack("f", number))[0] == number)
    assert len(orjson.dumps(shortened)) <= len(orjson.dumps(LONGEST_SINGLE))


def instrument(count, **more):
    points = tuple(
        Point(name=f"p{place}", at=f"input {2 * place}", type="float32", range=(0, 300), digits=2)
        for place in range(count)
    )
    about = {"name": "stack-1", "line": "cems", "every": 1_000, "profile": "p", "protocol": "modbus", "points": points}
    return Instrument(**(about | more))


def test_a_string_point_is_counted_at_its_worst_and_a_disabled_one_not_at_all():
    plain = largest_snapshot(SOURCE, instrument(1))
    text = Point(name="text", at="input 90", type="string:10")
    with_text = largest_snapshot(SOURCE, instrument(1, points=(*instrument(1).points, text)))
    assert with_text - plain == len(',"text":{"flag":"bad-configuration","value":""}') + 20 * 6


async def grown_by(folder, kind, bodies):
    """Give the bytes that a real outbox grows by."""
    box = Outbox.open(folder, SystemClock(), 1.0, random.Random(1))
    series = box.series(kind, "stack-1")
    empty = await box.ask(Database.size)
    for place, body in enumerate(bodies):
        box.store(series, place, lambda _seq, _low, body=body: body)
    await box.commit()
    grown = await box.ask(Database.size) - empty
    await box.close()
    return grown


def site_of(folder, about):
    return Site(
        path=folder / "site.toml",
        gateway=Gateway(site="xuwei", id="gw-01", data=folder),
        uplinks=(),
        lines=(Line(name="cems", url="modbus-tcp://127.0.0.1"),),
        instruments=(about,),
    )


@pytest.mark.parametrize("count", [1, 9, 60])
async def test_the_disk_a_day_takes_is_what_a_real_outbox_grows_by(tmp_path, count):
    about = instrument(count).model_copy(update={"statistics": False})
    grown = await grown_by(tmp_path, "data", usual_snapshots(SOURCE, about, 3_000))
    assert bytes_a_day(site_of(tmp_path, about)) / 86_400 == pytest.approx(grown / 3_000, rel=0.15)


@pytest.mark.parametrize("count", [1, 9, 60])
async def test_the_disk_that_the_statistics_of_a_day_take_is_what_a_real_outbox_grows_by(tmp_path, count):
    about = instrument(count)
    site, without = site_of(tmp_path, about), site_of(tmp_path, about.model_copy(update={"statistics": False}))
    plan = Plan.of(about, site.statistics, periods(site.statistics, site.gateway.timezone))
    bodies = [body for _ in range(1_440) for body in usual_statistics(SOURCE, about, plan, "1min")]
    bodies += [body for _ in range(144 + 24 + 1) for body in usual_statistics(SOURCE, about, plan, "10min")]
    grown = await grown_by(tmp_path, "stats/1min", bodies)
    assert bytes_a_day(site) - bytes_a_day(without) == pytest.approx(grown, rel=0.15)
