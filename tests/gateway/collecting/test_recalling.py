"""What an instrument's history gives, on its way to the outbox; and what is told of it and kept of it."""

import json
import logging

from support.line_bench import START, Bench, fault

from parkgate.drivers.driver import Recalled
from parkgate.drivers.faults import Silent
from parkgate.drivers.snapshot import Snapshot


class Memory:
    """A history that says what the test lets it say."""

    def __init__(self):
        self.resumed = []
        self.marks = {}
        self.news = {}

    def resume(self, marks):
        self.resumed.append(dict(marks))

    def mark(self, instrument):
        return self.marks.get(instrument.name, b"")

    def told(self, instrument):
        return self.news.pop(instrument.name, ())


class Remembering(Bench):
    """A bench whose wire has a history: `late` gives what comes before the reading of a turn."""

    def __init__(self, outbox, seconds, late=lambda name, now: (), answer=lambda name, now: 1.0, **more):
        super().__init__(outbox, seconds, answer, **more)
        self.news_of_gaps = []
        wire, read = self.wire, self.wire.read
        wire.history = self.memory = Memory()

        async def reading(instrument, between=None):
            (live,) = await read(instrument, between)
            before = [Snapshot(instrument.name, at, (value,), late=True) for at, value in
                      late(instrument.name, self.clock.elapsed)]  # fmt: skip
            return *before, live

        wire.read = reading
        collector = self.collector
        collector._recaller = type(collector._recaller)(wire, outbox, self.told_of)

    def told_of(self, name, subject, **detail):
        self.news_of_gaps.append((name, subject, detail))

    async def rows(self):
        return await self.outbox.read(0, 10**6, 10**6)


def after(second):
    return lambda name, now: [(START - 500, 7.0), (START - 400, 800.0)] if second <= now < second + 1 else ()


async def test_late_snapshots_are_judged_and_stored_before_the_reading_and_are_not_the_latest(outbox):
    bench = Remembering(outbox, 2.5, after(1), names=("a",))
    kept = []
    outbox.followers.append(kept.extend)
    bodies = [body for _, body in await bench.run()]
    late = [body for body in bodies if body.get("history")]
    assert [(body["seq"], body["ts"], body["values"]) for body in late] == [
        (2, START - 500, {"so2": 7.0}),
        (3, START - 400, {}),
    ]
    assert late[1]["invalid"] == {"so2": {"flag": "out-of-range", "value": 800.0}}
    assert [record.late for record in kept] == [False, True, True, False, False]
    latest = bench.collector.state.stations["a"].latest
    assert (latest.late, latest.values) == (False, (1.0,))


async def test_a_time_of_the_source_is_never_called_unsynced(outbox):
    bench = Remembering(outbox, 1.5, after(1), names=("a",))
    bench.wrong |= {START - 500, START, START + 1_000}
    told = {body["ts"] - START: body.get("clock") for _, body in await bench.run()}
    assert told.pop(-500) is told.pop(-400) is None
    assert set(told.values()) == {"unsynced"}


async def test_what_became_of_gaps_is_told_behind_what_fills_them(outbox, caplog):
    caplog.set_level(logging.INFO)
    bench = Remembering(outbox, 1.5, after(0), names=("a",))
    bench.memory.news["a"] = [Recalled(START, START + 5_000, 2), Recalled(START, START + 9_000, reason="empty")]
    await bench.run()
    assert bench.news_of_gaps == [
        ("history-filled", "a", {"from": START, "to": START + 5_000, "count": 2}),
        ("history-missing", "a", {"from": START, "to": START + 9_000, "reason": "empty"}),
    ]
    assert "instrument a: 5 s were missing and are filled from its history, 2 snapshots" in caplog.text
    assert "instrument a: 9 s are missing and its history does not fill them: empty" in caplog.text


async def test_the_mark_stands_with_the_last_record_of_its_turn_once(outbox):
    bench = Remembering(outbox, 2.5, after(1), names=("a", "b"))
    bench.memory.marks["a"] = b"far"
    kept = []
    outbox.followers.append(kept.extend)
    await bench.run()
    assert [record.mark for record in kept if record.series.instrument == "a"] == [b"far", b"", b"", b"", b""]
    assert {record.mark for record in kept if record.series.instrument == "b"} == {b""}


async def test_a_turn_without_an_answer_moves_no_mark(outbox):
    bench = Remembering(outbox, 2.5, answer=lambda name, now: fault(Silent) if now > 0.5 else 1.0, names=("a",))
    bench.memory.marks["a"] = b"far"
    kept = []
    outbox.followers.append(kept.extend)
    await bench.run()
    assert [record.mark for record in kept] == [b"far", b"", b""]


async def test_a_line_goes_on_from_what_the_outbox_has_of_its_instruments(outbox):
    first = Remembering(outbox, 0.5, names=("a", "b"))
    first.memory.marks = {"a": b"far", "b": b"further"}
    await first.run()
    assert first.memory.resumed == [{}]
    second = Remembering(outbox, 0.5, names=("a", "c"))
    await second.run()
    assert second.memory.resumed == [{"a": b"far"}]


async def test_a_driver_without_a_history_is_asked_for_none(outbox):
    bench = Bench(outbox, 1.5, lambda name, now: 1.0, names=("a",))
    assert len(await bench.run()) == 2
    assert json.dumps(bench.told) == json.dumps([("line-up", "cems")])


async def test_a_mark_whose_record_was_not_taken_stands_with_the_next(outbox, monkeypatch):
    bench = Remembering(outbox, 2.5, names=("a",))
    bench.memory.marks["a"] = b"far"
    store, refused, kept = outbox.store, [1], []
    monkeypatch.setattr(
        outbox, "store", lambda *given, **more: 0 if refused and refused.pop() else store(*given, **more)
    )
    outbox.followers.append(kept.extend)
    await bench.run()
    assert [record.mark for record in kept] == [b"far", b""]
