"""What a driver learns of an instrument is described and judged by before the first snapshot of it is stored."""

from support.line_bench import START, Bench, fault

from parkgate.drivers.faults import Silent
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting import collector
from parkgate.gateway.processing.validity import Judge


def learning(line, *spans):
    """Let the driver know another range behind each answer, the last one from then on."""
    known = {}

    def now(instrument):
        made = known.setdefault(instrument.name, [instrument])
        if len(made) == 1:
            for span in spans:
                point = instrument.points[0].model_copy(update={"unit": "mg/m3", "range": span})
                made.append(instrument.model_copy(update={"points": (point,)}))
        return made[min(len(made) - 1, line.wire.answered[instrument.name])]

    line.wire.known = now


def bench(outbox, seconds, answer=lambda name, now: 12.5, names=("a",)):
    line = Bench(outbox, seconds, counting := Counting(answer), names)
    line.wire.answered = counting.answered
    return line


class Counting:
    """Answers as `answer` does, and counts for each instrument."""

    def __init__(self, answer):
        self.answer = answer
        self.answered = {}

    def __call__(self, name, now):
        said = self.answer(name, now)
        self.answered.setdefault(name, 0)
        self.answered[name] += not isinstance(said, Exception)
        return said


async def test_what_is_learnt_behind_the_first_answer_is_described_and_judges_it(outbox):
    line = bench(outbox, 3.2)
    learning(line, (0, 10))
    stored = await line.run()
    assert [body["rev"] for _, body in stored] == ["r1"] * len(stored)
    assert all(body["invalid"] == {"so2": {"flag": "out-of-range", "value": 12.5}} for _, body in stored)
    (described,) = line.described
    assert (described.points[0].unit, described.points[0].range) == ("mg/m3", (0, 10))
    assert line.collector.state.stations["a"].instrument is described


async def test_what_changes_later_counts_from_then_on(outbox):
    line = bench(outbox, 4.2)
    learning(line, (0, 10), (0, 10), (0, 100))
    bodies = [body for _, body in await line.run()]
    assert [body["rev"] for body in bodies[:4]] == ["r1", "r2", "r3", "r3"]
    assert ["invalid" in body for body in bodies[:4]] == [True, True, False, False]


async def test_where_nothing_is_learnt_nothing_is_described(outbox):
    line = bench(outbox, 3.2)
    assert {body["rev"] for _, body in await line.run()} == {"r"}
    assert line.described == []


async def test_what_is_learnt_outlasts_a_silence(outbox):
    line = bench(outbox, 5.2, lambda name, now: fault(Silent) if 1 < now < 3 else 12.5)
    learning(line, (0, 100))
    assert {body["rev"] for _, body in await line.run()} == {"r1"}
    assert len(line.described) == 1


async def test_a_simulated_instrument_stays_simulated_with_what_is_learnt_of_it(outbox):
    line = bench(outbox, 4.2)
    line.wire.identities = lambda name: Identity("Parkgate", "simulator")
    learning(line, (0, 100), (0, 200))
    assert {body["rev"] for _, body in await line.run()} == {"simulated"}
    assert line.described[-1].points[0].range == (0, 200)


async def test_what_cannot_be_described_yet_is_stored_as_unread_and_tried_again(outbox):
    line = bench(outbox, 4.2)
    learning(line, (0, 100))
    describe, failures = line.describe, [OSError("no room")]

    async def failing(instrument, *, simulated):
        if failures:
            raise failures.pop()
        return await describe(instrument, simulated=simulated)

    line.collector._describe = failing
    bodies = [body for _, body in await line.run()]
    assert [body["values"] for body in bodies[:3]] == [{}, {"so2": 12.5}, {"so2": 12.5}]
    assert [body["rev"] for body in bodies[:3]] == ["r", "r1", "r1"]


async def test_a_value_that_stands_still_is_not_forgotten_over_it(outbox):
    line = bench(outbox, 6.2)
    station = line.collector.state.stations["a"]
    point = station.instrument.points[0].model_copy(update={"unchanged": 2_000})
    station.instrument = station.instrument.model_copy(update={"points": (point,)})
    station.judge = Judge.of(station.instrument, line.clock.monotonic)
    learning(line, *[(0, 100 + step) for step in range(9)])
    recalled = station.judge.recalled
    flags = [body.get("invalid", {}).get("so2", {}).get("flag") for _, body in await line.run()]
    assert flags[:2] == [None, None]
    assert flags[-1] == "stale"
    assert station.judge.recalled is recalled, "what was recalled from its history so far counts on as well"


async def test_a_unit_that_differs_is_told_once(outbox, caplog):
    line = bench(outbox, 4.2)
    line.wire.units = (("so2", "ppm"),)
    assert {body["rev"] for _, body in await line.run()} == {"r"}
    told = dict(zip(line.told, line.details, strict=True))
    assert line.told.count(("unit-differs", "a")) == 1
    assert told["unit-differs", "a"] == {"points": {"so2": "ppm"}}
    said = [record.getMessage() for record in caplog.records if "the profile's unit is told" in record.getMessage()]
    assert said == ["a: so2 is in ppm on the server; the profile's unit is told"]


async def test_what_was_read_is_stored_once_its_instrument_can_be_described(outbox):
    def answer(name, now):
        return [Snapshot("a", START + round(1_000 * now) + more, (float(more),)) for more in (0, 1)]

    line = bench(outbox, 4.2, answer)
    learning(line, (0, 10))
    describe, full = line.describe, [OSError("no space left"), OSError("no space left")]

    async def describes(instrument, *, simulated):
        if full:
            raise full.pop()
        return await describe(instrument, simulated=simulated)

    line.collector._describe = describes
    stored = [body for _, body in await line.run()]
    assert sorted(body["ts"] - START for body in stored if body["values"]) == [
        turn * 1_000 + more for turn in range(5) for more in (0, 1)
    ]
    assert [body["rev"] for body in stored if body["values"]] == ["r1"] * 10, "never as it was described before"
    assert [name for name, _ in line.told] == ["line-up", "silent", "answering"]


async def test_what_cannot_be_held_any_longer_is_declared(outbox, monkeypatch):
    monkeypatch.setattr(collector, "MOST_UNSTORED", 3)
    line = bench(outbox, 4.2, lambda name, now: [Snapshot("a", START + round(1_000 * now), (1.0,), dropped=round(now))])
    learning(line, (0, 10))

    async def never(instrument, *, simulated):
        raise OSError("no space left")

    line.collector._describe = never
    assert not [body for _, body in await line.run() if body["values"]]
    declared = [detail["count"] for detail in line.details if detail]
    assert declared == [1, 2], "each counts, and what it would have declared itself"
    assert line.collector.state.stations["a"].dropped == 3
    assert len(line.collector.state.stations["a"].unstored) == 3
