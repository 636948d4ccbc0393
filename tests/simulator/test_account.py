"""The account at the end: what a gateway says it stored and delivered against what the platform received."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from parkgate.simulator.account import account_table, settle, why
from parkgate.simulator.books import Books

SOURCE = "xuwei/gw-01"


def words(stored=9, delivered=9, waiting=0, **more):
    uplinks = {"park": {"delivered": delivered, "waiting": waiting, "expired": 0, "quarantined": 0}}
    instruments = {"stack-1": {"stored": 5}, "gas-1": {"stored": 3}}
    return {
        "collected": stored,
        "stored": stored,
        "rejected": 0,
        "uplinks": uplinks,
        "instruments": instruments,
        **more,
    }


def books(stack=5, gas=3, events=1, gateway=SOURCE):
    kept = Books()
    for kind, source, count in (("data", "/stack-1", stack), ("data", "/gas-1", gas), ("event", "", events)):
        for seq in range(1, count + 1):
            record = {"source": f"{gateway}{source}", "epoch": "0001-aaaaaa", "seq": seq, "low": seq, "ts": 1}
            kept.take(f"park/v1/{gateway}/{kind}{source}", json.dumps(record).encode(), retained=False)
    return kept


def printed(account):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(account_table(account))
    return [line.split() for line in console.file.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")


def test_everything_stored_delivered_and_received_is_whole():
    account = settle(SOURCE, words(), books().account())
    assert (account.whole, account.lost, account.waiting) == (True, 0, 0)
    assert printed(account) == [
        ["account"],
        ["instrument", "stored", "delivered", "waiting", "received", "lost"],
        ["stack-1", "5", "5", "0"],
        ["gas-1", "3", "3", "0"],
        ["events", "1", "1", "0"],
        ["total", "9", "9", "0", "9", "0"],
    ]


def test_what_was_stored_and_never_came_is_lost_and_not_whole():
    account = settle(SOURCE, words(), books(stack=3).account())
    assert (account.whole, account.lost) == (False, 2)
    assert printed(account)[2] == ["stack-1", "5", "3", "2"]
    assert printed(account)[-1] == ["total", "9", "9", "0", "7", "2"]


def test_a_lost_event_of_the_gateway_is_lost_too():
    assert settle(SOURCE, words(), books(events=0).account()).lost == 1


def test_one_instrument_having_more_does_not_make_up_for_anothers_loss():
    assert settle(SOURCE, words(), books(stack=4, gas=4).account()).lost == 1


def test_what_still_waits_is_not_whole_though_nothing_is_lost():
    account = settle(SOURCE, words(delivered=8, waiting=1), books().account())
    assert (account.whole, account.lost) == (False, 0)


def test_what_waits_is_not_lost_and_stands_in_a_column_of_its_own():
    told = words(
        delivered=4, waiting=5,
        instruments={"stack-1": {"stored": 5, "delivered": 3}, "gas-1": {"stored": 3, "delivered": 1}},
    )  # fmt: skip
    account = settle(SOURCE, told, books(stack=3, gas=1, events=0).account())
    assert (account.whole, account.lost, account.waiting) == (False, 0, 5)
    assert printed(account)[2:] == [
        ["stack-1", "5", "3", "2", "3", "0"],
        ["gas-1", "3", "1", "2", "1", "0"],
        ["events", "1", "0", "1", "0", "0"],
        ["total", "9", "4", "5", "4", "0"],
    ]


def test_what_waits_is_taken_off_the_loss_where_it_is_told_only_in_total():
    account = settle(SOURCE, words(delivered=6, waiting=3), books(stack=1).account())
    assert account.lost == 1


@pytest.mark.parametrize(
    ("told", "kept", "reason"),
    [
        (words(), books(), ""),
        (words(delivered=0, waiting=9), books(0, 0, 0), "9 records still wait.*another gateway"),
        (words(), books(stack=3), "2 records that the broker confirmed did not reach"),
        (words(delivered=8), books(), "The gateway gave up some records"),
    ],
)
def test_it_says_in_one_sentence_why_it_may_not_be_whole(told, kept, reason):
    assert re.match(reason, sentence := why(settle(SOURCE, told, kept.account())))
    assert bool(sentence) == bool(reason)


def test_what_was_received_but_never_acknowledged_is_not_whole():
    assert not settle(SOURCE, words(delivered=8), books().account()).whole


def test_what_was_declared_as_expired_is_not_lost():
    kept = books(stack=5)
    kept._series.pop(("data", f"{SOURCE}/stack-1", "0001-aaaaaa"))
    for seq in (1, 5):
        record = {"source": f"{SOURCE}/stack-1", "epoch": "0001-aaaaaa", "seq": seq, "low": seq}
        kept.take(f"park/v1/{SOURCE}/data/stack-1", json.dumps(record).encode(), retained=False)
    expired = {"source": SOURCE, "epoch": "0001-aaaaaa", "seq": 2, "event": "expired", "subject": "stack-1"}
    expired["detail"] = {"from": 2, "to": 4}
    kept.take(f"park/v1/{SOURCE}/event", json.dumps(expired).encode(), retained=False)
    account = settle(SOURCE, words(stored=10, delivered=10), kept.account())
    assert (account.lost, account.total.declared) == (0, 3)


def test_one_identity_with_two_contents_is_not_whole():
    kept = books()
    record = {"source": f"{SOURCE}/stack-1", "epoch": "0001-aaaaaa", "seq": 5, "low": 5, "ts": 2}
    kept.take(f"park/v1/{SOURCE}/data/stack-1", json.dumps(record).encode(), retained=False)
    account = settle(SOURCE, words(), kept.account())
    assert (account.whole, account.lost, account.total.different) == (False, 0, 1)
    assert why(account).startswith("1 records came twice with different content")


def test_what_another_gateway_sent_does_not_count():
    account = settle(SOURCE, words(), books(gateway="xuwei/gw-011").account())
    assert (account.total.received, account.lost) == (0, 9)


def test_delivered_is_shown_per_instrument_where_the_gateway_tells_it():
    told = words(instruments={"stack-1": {"stored": 5, "delivered": 5}, "gas-1": {"stored": 3, "delivered": 3}})
    assert [line[1:3] for line in printed(settle(SOURCE, told, books().account()))[2:5]] == [
        ["5", "5"], ["3", "3"], ["1", "1"],
    ]  # fmt: skip


def test_for_machines_it_says_the_same():
    told = settle(SOURCE, words(), books(stack=3).account()).as_json()
    assert told["whole"] is False
    assert told["total"] == {
        "stored": 9, "delivered": 9, "received": 7, "declared": 0, "different": 0, "lost": 2, "waiting": 0,
    }  # fmt: skip
    assert told["entries"]["stack-1"] == {"stored": 5, "received": 3, "declared": 0, "different": 0, "lost": 2}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["stored", "delivered", "waiting", "uplinks", "instruments"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["stored", "uplinks", "instruments"]), JSON))
def test_no_last_words_whatsoever_raise(said):
    account = settle(SOURCE, said, books().account())
    assert account.total.received == 9
