"""Behind its first answer an instrument is asked what it is, once, and what is stored depends on it."""

import pytest
from support.line_bench import Bench, fault

from parkgate.drivers.faults import Silent, Unreachable
from parkgate.drivers.identity import Identity

SIMULATED, REAL = Identity("Parkgate", "simulator"), Identity("SIG", "ULTI")


def bench(outbox, seconds, identities, answer=lambda name, now: 12.5, **more):
    made = Bench(outbox, seconds, answer, **more)
    made.wire.identities = identities
    return made


def of(stored, name):
    return [body for instrument, body in stored if instrument == name]


@pytest.mark.parametrize("said", [None, REAL])
async def test_an_instrument_is_asked_once_and_a_refusal_is_an_answer(outbox, said):
    line = bench(outbox, 5.2, lambda name: said)
    stored = await line.run()
    assert sorted(line.wire.identified) == ["a", "b"]
    assert {body["rev"] for _, body in stored} == {"r"}
    assert dict(line.origins.simulated) == {"a": False, "b": False}
    assert line.changes == 0


async def test_who_does_not_answer_is_not_asked_before_it_does(outbox):
    line = bench(outbox, 5.2, lambda name: None, lambda name, now: fault(Silent) if now < 3 else 1.0, names=("a",))
    line.wire.identify = asked_at(line, line.wire.identify)
    await line.run()
    assert len(line.asked) == 1
    assert line.asked[0] >= 3


def asked_at(line, identify):
    line.asked = []

    async def noting(instrument):
        line.asked.append(line.clock.elapsed)
        return await identify(instrument)

    return noting


async def test_a_simulated_one_is_described_before_its_first_snapshot_and_the_status_said_again(outbox):
    line = bench(outbox, 5.2, lambda name: SIMULATED)
    stored = await line.run()
    assert {body["rev"] for _, body in stored} == {"simulated"}
    assert all(body["values"] == {"so2": 12.5} for _, body in stored), "alone they are what they are"
    assert line.changes == 2
    assert line.told == [("line-up", "cems")]


async def test_beside_a_real_one_all_it_says_is_flagged_and_told_once(outbox):
    line = bench(outbox, 5.2, lambda name: SIMULATED if name == "b" else None)
    line.origins.note("elsewhere", REAL)
    stored = await line.run()
    assert of(stored, "b")
    for body in of(stored, "b"):
        assert (body["values"], body["invalid"]) == ({}, {"so2": {"flag": "bad-configuration", "value": 12.5}})
    assert all(body["values"] == {"so2": 12.5} for body in of(stored, "a")), "the real ones go on untouched"
    assert line.told.count(("simulated-refused", "b")) == 1


async def test_one_that_was_met_before_a_real_one_is_flagged_from_then_on(outbox):
    line = bench(
        outbox, 8.2, lambda name: SIMULATED if name == "a" else None,
        lambda name, now: fault(Silent) if name == "b" and now < 4 else 1.0,
    )  # fmt: skip
    stored = of(await line.run(), "a")
    flagged = ["invalid" in body for body in stored]
    assert flagged == sorted(flagged)
    assert {True, False} == set(flagged)
    assert line.told.count(("simulated-refused", "a")) == 1


async def test_where_the_site_file_wants_both_nothing_is_flagged(outbox):
    line = bench(outbox, 5.2, lambda name: SIMULATED if name == "a" else None)
    line.origins.mixed = True
    assert all("invalid" not in body for _, body in await line.run())


async def test_a_question_that_ends_the_connection_costs_no_reading_and_is_put_once_more(outbox):
    line = bench(outbox, 5.2, lambda name: fault(Unreachable), names=("a",))
    stored = await line.run()
    assert line.wire.identified == ["a", "a"]
    assert all(body["values"] == {"so2": 12.5} for body in of(stored, "a"))
    assert len(line.wire.opened) == 3
    assert line.told == [("line-up", "cems")]
    assert line.origins.simulated["a"] is False


async def test_a_cut_at_the_question_does_not_make_a_simulated_one_real(outbox):
    said = [fault(Unreachable), SIMULATED]
    line = bench(outbox, 5.2, lambda name: said.pop(0), names=("a",))
    stored = await line.run()
    assert [body["rev"] for body in of(stored, "a")][:3] == ["r", "simulated", "simulated"]


async def test_a_simulated_one_that_cannot_be_described_does_not_pass_for_real(outbox):
    line = bench(outbox, 4.2, lambda name: SIMULATED, names=("a",))
    describe, failures = line.describe, [OSError("no room"), OSError("no room")]

    async def failing(instrument, *, simulated):
        if failures:
            raise failures.pop()
        return await describe(instrument, simulated=simulated)

    line.collector._describe = failing
    stored = of(await line.run(), "a")
    assert [body["values"] for body in stored[:3]] == [{}, {}, {"so2": 12.5}]
    assert {body["rev"] for body in stored[2:]} == {"simulated"}
    assert line.wire.identified == ["a"]


async def test_a_fault_of_ours_at_the_question_costs_two_turns_at_most(outbox, caplog):
    line = bench(outbox, 5.2, lambda name: ZeroDivisionError("a fault of ours"), names=("a",))
    stored = of(await line.run(), "a")
    assert [body["values"] for body in stored][:4] == [{}, {}, {"so2": 12.5}, {"so2": 12.5}]
    assert line.wire.identified == ["a", "a"]
