"""What arrived, held against the truth: each kind of fault is found, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.simulator.judgement import longest
from parkgate.simulator.received import Received, Snapshot
from parkgate.simulator.reconcile import Rules, judge
from parkgate.simulator.truth import Shown

RULES = Rules(slack=400, recovery=2_000)
NONE = frozenset()


def shown(seconds, value=1.0, flags=None, troubles=()):
    return Shown(seconds * 1000, {"p": value}, flags or {}, tuple(troubles))


def came(seconds, value=1.0, flag="", *, seq=None, arrived=None, live=True):
    ts = int(seconds * 1000)
    return Snapshot(
        "e", seq or int(seconds) + 1, ts, arrived or ts, live, {} if value is None else {"p": value}, {"p": flag}
    )


def judged(truth, snapshots, rules=RULES, every=1_000):
    return judge("i", every, truth, snapshots, rules=rules)


def days(count, **changed):
    """A truth of a value that grows by one a second, and what an honest gateway makes of it."""
    return [shown(n, float(n)) for n in range(count)], [came(n + 0.2, float(n)) for n in range(count)]


def test_an_honest_gateway_is_right():
    found = judged(*days(20))
    assert found.right
    assert (found.due, found.came, found.missing, found.wrong, found.misflagged) == (20, 20, 0, 0, 0)


def test_a_period_without_a_snapshot_is_missing():
    truth, snapshots = days(20)
    found = judged(truth, snapshots[:7] + snapshots[10:])
    assert (found.missing, found.right) == (3, False)
    assert "3 periods" in found.findings[0].what


def test_an_instrument_that_falls_silent_for_good_is_missing_to_the_end():
    truth, snapshots = days(20)
    assert judged(truth, snapshots[:10]).missing == 9
    assert judged(truth, snapshots[:10], Rules(slack=400, until=10_500)).missing == 0
    assert judged(truth, snapshots[:10], Rules(slack=400, until=12_300)).missing == 2


def test_an_instrument_of_which_nothing_came_is_missing():
    truth, _ = days(20)
    assert judged(truth, []).missing == 19


@pytest.mark.parametrize("value", [7.5, -1.0, "seven"])
def test_a_value_that_was_never_shown_is_wrong(value):
    truth, snapshots = days(20)
    snapshots[7] = came(7.2, value)
    assert judged(truth, snapshots).wrong == 1


def test_an_old_value_is_wrong_and_one_of_a_moment_ago_is_right():
    truth, snapshots = days(20)
    snapshots[7] = came(7.2, 6.0)
    assert judged(truth, snapshots).right
    snapshots[7] = came(7.2, 3.0)
    assert judged(truth, snapshots).wrong == 1


def test_a_frozen_instrument_may_be_called_stale_or_not_and_one_that_moves_may_not():
    truth = [shown(n, 7.0, troubles=("frozen",)) for n in range(10)]
    assert judged(truth, [came(n, 7.0, "stale" if n > 5 else "") for n in range(10)]).right
    assert judged(truth, [came(n, 7.0, "fault") for n in range(10)]).misflagged == 10
    moving = [shown(n, 7.0) for n in range(10)]
    assert judged(moving, [came(n, 7.0, "stale") for n in range(10)]).misflagged == 10


def test_rounding_to_the_promised_digits_is_right():
    truth = [shown(n, 12.3449) for n in range(5)]
    snapshots = [came(n, 12.34) for n in range(5)]
    assert judged(truth, snapshots, Rules(digits={"p": 2})).right
    assert judged(truth, snapshots, Rules(digits={"p": 3})).wrong == 5


def test_what_the_gateway_computes_by_itself_is_not_held_against_the_truth():
    truth = [shown(n, 12.3) for n in range(5)]
    snapshots = [came(n, 99.0, "fault" if n else "") for n in range(5)]
    assert not judged(truth, snapshots).right
    assert judged(truth, snapshots, Rules(derived=frozenset({"p"}))).right


def test_span_gas_among_the_usable_values_is_misflagged():
    truth = [shown(n, 250.0, {"p": frozenset({"calibration"})}) for n in range(5)]
    assert judged(truth, [came(n, 250.0) for n in range(5)]).misflagged == 5
    found = judged(truth, [came(n, 250.0, "calibration") for n in range(5)])
    assert found.right
    assert found.flagged == {"calibration": 5}


def test_a_flag_without_a_reason_is_misflagged():
    truth, snapshots = days(5)
    snapshots[3] = came(3.2, None, "no-communication")
    found = judged(truth, snapshots)
    assert (found.misflagged, found.wrong) == (1, 0)


def test_under_a_trouble_of_the_wire_there_is_no_value_and_saying_so_is_right():
    truth = [shown(n, 1.0, troubles=["silent"] if 5 <= n < 15 else []) for n in range(20)]
    honest = [came(n + 0.2, *((None, "no-communication") if 5 <= n < 15 else (1.0,))) for n in range(20)]
    found = judged(truth, honest)
    assert found.right
    assert found.by_trouble["silent"]["no-communication"] >= 9
    made_up = [came(n + 0.2) for n in range(20)]
    assert judged(truth, made_up).misflagged >= 8


def test_what_an_instrument_remembers_of_a_silence_comes_later_and_only_a_wrong_value_is_wrong():
    remembering = Rules(slack=400, recovery=2_000, remembers=True)
    truth = [shown(n, float(n), troubles=["silent"] if 5 <= n < 15 else []) for n in range(20)]
    _, remembered = days(20)
    assert judged(truth, remembered, remembering).right
    remembered[9] = came(9.2, 4.0)
    assert judged(truth, remembered, remembering).wrong == 1
    flagged = [shown(n, float(n), {"p": frozenset({"fault"})}, ["silent"]) for n in range(20)]
    assert judged(flagged, remembered, remembering).misflagged == 20, "what its states say must be said all the same"


def test_a_period_that_a_trouble_took_is_unreadable_and_not_missing():
    truth = [shown(n, float(n), troubles=["late"] if 5 <= n < 12 else []) for n in range(20)]
    _, snapshots = days(20)
    del snapshots[6:9]
    found = judged(truth, [each for each in snapshots if not 5 <= each.ts / 1000 < 12])
    assert (found.missing, found.unreadable) == (0, 7)


def test_behind_a_silence_a_gateway_may_need_a_while():
    truth = [shown(n, 1.0, troubles=["silent"] if n < 10 else []) for n in range(20)]
    snapshots = [came(n + 0.2, None, "no-communication") for n in range(12)] + [came(n + 0.2) for n in range(12, 20)]
    assert judged(truth, snapshots).right
    assert not judged(truth, snapshots, Rules(slack=400, recovery=500)).right


def test_what_a_shifted_map_gives_nobody_can_tell():
    truth = [shown(n, 1.0, troubles=["shifted"]) for n in range(5)]
    assert judged(truth, [came(n, 77.0) for n in range(5)]).right


def test_a_clock_that_is_wrong_by_an_hour_is_looked_up_where_it_was():
    hour = 3_600_000
    truth = [Shown(n * 1000, {"p": float(n)}, {}, ("wrong-clock",) if 5 <= n < 10 else (), hour if 5 <= n < 10 else 0)
             for n in range(20)]  # fmt: skip
    snapshots = [came(n + 0.2 + 3600 * (5 <= n < 10), float(n), seq=n + 1) for n in range(20)]
    found = judged(truth, snapshots)
    assert (found.came, found.missing, found.wrong, found.misflagged) == (20, 0, 0, 0)


def test_late_ones_and_resends_are_counted_and_no_fault():
    truth, snapshots = days(5)
    snapshots[2] = came(2.2, 2.0, arrived=60_000)
    snapshots[3] = came(3.2, 3.0, arrived=60_000, live=False)
    found = judge("i", 1_000, truth, snapshots, again=4, rules=RULES)
    assert (found.late, found.again, found.right) == (1, 4, True)


def message(seq, ts=5, **more):
    return {"source": "s/g/i", "epoch": "e", "seq": seq, "ts": ts, "values": {"p": 1}, **more}


def test_payloads_are_read_as_they_are():
    received = Received()
    invalid = {"q": {"flag": "calibration", "value": 9.5}, "r": {"flag": "no-communication"}}
    received.take("park/v1/s/g/data/i", json.dumps(message(1, invalid=invalid)).encode(), 10)
    received.take("park/v1/s/g/backfill/i", json.dumps([message(2), message(1, invalid=invalid)]).encode(), 20)
    received.take("park/v1/s/g/meta/i", b'{"points":{"p":{"digits":2},"q":{"formula":"ratio"}}}', 20)
    first, second = received.of("i")
    assert (first.values, first.flags) == ({"p": 1, "q": 9.5}, {"p": "", "q": "calibration", "r": "no-communication"})
    assert (first.live, second.live, second.arrived) == (True, False, 20)
    assert received.again["i"] == 1
    assert received.digits["i"] == {"p": 2}
    assert received.derived["i"] == {"q"}


def test_an_instrument_that_reports_changes_may_be_quiet_for_a_minute():
    told = {"quiet": {"points": {}, "report": "change"}, "read": {"points": {}}}
    received = Received()
    for name, meta in told.items():
        received.take(f"park/v1/s/g/meta/{name}", json.dumps(meta).encode(), 0)
        for seq, ts in ((1, 0), (2, 55_000)):
            received.take(f"park/v1/s/g/data/{name}", json.dumps(message(seq, ts=ts)).encode(), ts)
    truth = [shown(n) for n in range(60)]
    found = {name: judge(name, longest(1_000, received, name), truth, received.of(name), rules=RULES) for name in told}
    assert found["quiet"].missing == 0
    assert found["read"].missing > 50


@given(st.sampled_from(["data", "backfill", "meta", "event"]), st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["epoch", "seq", "ts", "values", "invalid", "points", "p"]), inner, max_size=6),
).map(lambda each: json.dumps(each).encode()))  # fmt: skip
def test_nothing_that_comes_is_fatal(kind, payload):
    received = Received()
    received.take(f"park/v1/s/g/{kind}/i", payload, 1)
    judge("i", 1_000, [shown(0)], received.of("i"))
