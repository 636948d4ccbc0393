"""The chain of the trail: what was written verifies, and one altered byte anywhere is found and its entry named."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import validator
from support.trail_bench import EPOCHS, altered, heads, trail

from parkgate.gateway.messages import encode
from parkgate.gateway.messages.trail import MARK, TRAILED, Chain, digest, linked, read, verify, verify_stored

FIRST, SECOND = EPOCHS
WHOLE = trail(7, 5)
ABOUT = "xuwei/gw-01", FIRST, 5, "configured", "stack-1"


def named(troubles):
    """Give the entries that were found, each with what is wrong with it."""
    return {((each.epoch, n), each.what) for each in troubles for n in range(each.n, each.last + 1)}


def places(troubles):
    return {place for place, _ in named(troubles)}


def place_of(body):
    said = json.loads(body)
    return said["epoch"], said["detail"]["trail"]["n"]


@given(st.lists(st.integers(0, 6), min_size=0, max_size=2), st.randoms())
def test_what_was_written_verifies_in_any_order_and_with_repeats(counts, chance):
    bodies = trail(*counts)
    shuffled = bodies + bodies[:2]
    chance.shuffle(shuffled)
    assert verify(shuffled) == []
    assert verify(shuffled, heads(bodies)) == []


def test_an_entry_names_the_one_before_and_the_first_of_an_epoch_the_last_of_the_epoch_before():
    bodies = trail(2, 2)
    said = [json.loads(body)["detail"]["trail"] for body in bodies]
    assert said == [
        {"n": 1, "previous": ""},
        {"n": 2, "previous": digest(bodies[0])},
        {"n": 1, "previous": digest(bodies[1]), "after": {"epoch": FIRST, "n": 2}},
        {"n": 2, "previous": digest(bodies[2])},
    ]
    for body in bodies:
        validator("event").validate(json.loads(body))


def test_an_entry_says_what_the_plain_event_would():
    detail = {"a": 1, "b": [1.5, None]}
    entry = json.loads(linked(Chain(), *ABOUT, detail)(3, 2))
    assert entry["detail"].pop("trail")["n"] == 1
    assert entry == json.loads(encode.event(*ABOUT, detail)(3, 2))


def test_what_the_outbox_rejects_is_no_entry():
    chain = Chain()
    rejected = linked(chain, *ABOUT, {})
    body = linked(chain, *ABOUT, {})(1, 1)
    assert rejected is not None
    assert (chain.n, chain.head) == (1, digest(body))
    assert verify([body, linked(chain, *ABOUT, {})(2, 1)]) == []


@settings(max_examples=600)
@given(st.integers(0, len(WHOLE) - 1), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_one_altered_byte_in_any_entry_is_found_and_named(which, where, mask):
    body = WHOLE[which]
    changed = altered(body, int(where * len(body)), mask)
    bodies = [*WHOLE[:which], changed, *WHOLE[which + 1 :]]
    found = named(verify(bodies, heads(WHOLE)))
    assert place_of(body) in {place for place, what in found if what != "doubtful"}


def test_every_byte_of_an_entry_counts():
    body = WHOLE[3]
    for where in range(len(body)):
        found = verify([*WHOLE[:3], altered(body, where, 1), *WHOLE[4:]], heads(WHOLE))
        assert place_of(body) in places(found), where


def test_only_the_altered_entry_is_named_where_its_words_were_changed():
    for which, body in enumerate(WHOLE):
        changed = body.replace(b"Li Wei", b"Li Wen")
        bodies = [*WHOLE[:which], changed, *WHOLE[which + 1 :]]
        assert named(verify(bodies, heads(WHOLE))) == {(place_of(body), "altered")}


def test_an_entry_whose_word_for_the_one_before_was_changed_is_the_altered_one():
    body = WHOLE[3]
    changed = body.replace(digest(WHOLE[2]).encode(), digest(b"another").encode())
    found = verify([*WHOLE[:3], changed, *WHOLE[4:]])
    assert named(found) == {((FIRST, 4), "altered"), ((FIRST, 3), "doubtful")}


def test_the_last_entry_of_an_epoch_is_vouched_for_by_the_first_of_the_next():
    changed = WHOLE[6].replace(b"Li Wei", b"Li Wen")
    assert named(verify([*WHOLE[:6], changed, *WHOLE[7:]])) == {((FIRST, 7), "altered")}


def test_what_was_altered_in_the_newest_entry_a_head_tells():
    changed = WHOLE[-1].replace(b"Li Wei", b"Li Wen")
    bodies = [*WHOLE[:-1], changed]
    assert verify(bodies) == []
    assert named(verify(bodies, heads(WHOLE))) == {((SECOND, 5), "altered")}


@pytest.mark.parametrize(
    ("gone", "found"),
    [
        ((0,), {(FIRST, 1)}),
        ((2, 3), {(FIRST, 3), (FIRST, 4)}),
        ((6,), {(FIRST, 7)}),
        ((7,), {(SECOND, 1)}),
        (range(7), {(FIRST, n) for n in range(1, 8)}),
        ((11,), {(SECOND, 5)}),
    ],
)
def test_what_is_missing_is_named(gone, found):
    bodies = [body for which, body in enumerate(WHOLE) if which not in gone]
    assert named(verify(bodies, heads(WHOLE))) == {(place, "missing") for place in found}


def test_an_entry_that_was_put_in_is_found_beside_the_right_one():
    other = WHOLE[3].replace(b"Li Wei", b"Li Wen")
    (trouble,) = verify([*WHOLE, other])
    assert (trouble.what, trouble.n, trouble.entry.body) == ("twice", 4, WHOLE[3])


def test_an_older_outbox_that_was_put_back_goes_on_from_what_it_had():
    chain = Chain(0, digest(WHOLE[4]), (FIRST, 5))
    further = linked(chain, "xuwei/gw-01", SECOND, 9, "version", "", {})(1, 1)
    assert verify([*WHOLE[:7], further]) == []


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=5),
       lambda inner: st.dictionaries(st.sampled_from(["detail", "trail", "n", "epoch", "after"]), inner)).map(
           lambda said: json.dumps(said, separators=(",", ":")).encode()))  # fmt: skip
def test_whatever_is_no_entry_is_unreadable_and_breaks_nothing(body):
    assert read(body) is None
    assert [each.what for each in verify([body])] == ["unreadable"]


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=40) | st.just(MARK.decode()), max_size=4))
def test_what_an_ordinary_event_quotes_never_makes_it_an_entry(detail):
    quoted = {"reason": detail, "quote": MARK.decode()} if "trail" not in detail else {"quote": MARK.decode()}
    body = encode.event(*ABOUT, quoted)(1, 1)
    assert MARK not in body
    assert read(body) is None


def test_the_events_that_are_entries_are_those_that_change_what_a_value_means():
    assert {"configured", "window-opened", "acknowledged", "clock-stepped"} < TRAILED
    assert "silent" not in TRAILED


def rows(bodies, broken=()):
    return [(*place_of(WHOLE[which]), body, which not in broken) for which, body in enumerate(bodies)]


def test_a_row_that_is_not_what_was_stored_is_named_though_its_bytes_say_nothing():
    bodies = [*WHOLE[:4], b"\xff", *WHOLE[5:-1], WHOLE[-1].replace(b"Li", b"Le")]
    found = verify_stored(rows(bodies, broken=(4, 11)))
    assert [(each.epoch, each.n, each.what) for each in found] == [(FIRST, 5, "altered"), (SECOND, 5, "altered")]
    assert (found[0].entry, found[1].entry.event) == (None, "version")
    assert verify_stored(rows(WHOLE)) == []


def test_what_is_missing_beside_a_broken_row_is_named_too():
    found = verify_stored([row for row in rows(WHOLE, broken=(2,)) if row[:2] != (FIRST, 4)])
    assert named(found) >= {((FIRST, 3), "altered"), ((FIRST, 4), "missing")}


def test_a_head_fits_the_schema_of_status():
    said = {"state": "online", "source": "s", "epoch": FIRST, "connection": 1, "since": 1, "version": "1"}
    validator("status").validate({**said, "trail": {"n": 5, "digest": digest(b"x")}})
    with pytest.raises(jsonschema.ValidationError):
        validator("status").validate({**said, "trail": {"n": 0, "digest": "x"}})


def documented():
    """Give the function that docs/platform.md shows."""
    text = (Path(__file__).parents[3] / "docs/platform.md").read_text(encoding="utf-8")
    names = {}
    (code,) = [
        each for each in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if "trail" in each
    ]
    exec(code, names)
    return names["altered"]


@given(st.integers(0, len(WHOLE) - 1))
def test_the_function_of_the_platforms_page_finds_what_was_altered_or_is_missing(which):
    altered_entries, body = documented(), WHOLE[which]
    assert altered_entries(WHOLE, heads(WHOLE)) == []
    assert altered_entries(WHOLE) == []
    changed = [*WHOLE[:which], body.replace(b"Li Wei", b"Li Wen"), *WHOLE[which + 1 :]]
    assert altered_entries(changed, heads(WHOLE)) == [place_of(body)]
    assert altered_entries([*WHOLE[:which], *WHOLE[which + 1 :]], heads(WHOLE)) == [place_of(body)]
