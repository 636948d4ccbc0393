"""The ledger finds what a gateway lost, changed or sent too early: else a long run would prove nothing."""

import asyncio
import json
import random

import pytest
from support.ledger import Ledger, duplicates

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.outbox import Outbox
from parkgate.simulator.books import Books


def payload(epoch, seq):
    return b'{"source":"farm/gw/i0","epoch":"%b","seq":%d,"low":1,"ts":0}' % (epoch.encode(), seq)


async def stored(data, count):
    """Store so many records of one instrument, and give the epoch."""
    box = Outbox.open(data, SystemClock(), 1.0, random.Random(1))
    for _ in range(count):
        box.store(box.series("data", "i0"), 0, lambda seq, low: payload(box.epoch, seq))
    await box.commit()
    await box.close()
    return box.epoch


@pytest.fixture
def epoch(tmp_path):
    return asyncio.run(stored(tmp_path, 3))


@pytest.fixture
def ledger(tmp_path, epoch):
    book = Ledger("farm/gw")
    book.note(tmp_path)
    return book


def received(*payloads):
    books = Books()
    for each in payloads:
        books.take("park/v1/farm/gw/data/i0", each, retained=False)
    return books


def test_a_folder_without_an_outbox_holds_nothing(tmp_path):
    book = Ledger("farm/gw")
    book.note(tmp_path)
    assert book.digests == {}


def test_everything_committed_and_received_is_well(ledger, epoch):
    books = received(*(payload(epoch, seq) for seq in (1, 2, 3, 2)))
    assert (ledger.lost(books), ledger.different(books), ledger.never_stored(books)) == ([], [], 0)
    assert duplicates(books) == 1


def test_what_did_not_come_is_lost_even_the_last(ledger, epoch):
    books = received(payload(epoch, 2))
    assert [seq for *_, seq in ledger.lost(books)] == [1, 3]


def test_what_an_event_declares_is_not_lost(ledger, epoch):
    books = received(payload(epoch, 1), payload(epoch, 3))
    event = {"source": "farm/gw", "epoch": epoch, "seq": 1, "low": 1, "event": "expired", "subject": "i0"}
    event["detail"] = {"from": 2, "to": 2}
    books.take("park/v1/farm/gw/event", json.dumps(event).encode(), retained=False)
    assert ledger.lost(books) == []


def test_what_came_with_other_bytes_is_different(ledger, epoch):
    books = received(payload(epoch, 1), payload(epoch, 2).replace(b'"ts":0', b'"ts":1'), payload(epoch, 3))
    assert [seq for *_, seq in ledger.different(books)] == [2]


def test_what_came_and_was_never_committed_came_too_early(ledger, epoch):
    assert ledger.never_stored(received(payload(epoch, 4))) == 1


def test_only_what_is_new_is_entered_again_and_a_rewritten_identity_is_noticed(ledger, tmp_path, epoch):
    asyncio.run(stored(tmp_path, 2))
    ledger.note(tmp_path)
    assert len(ledger.digests) == 5
    ledger.digests["data", "farm/gw/i0", epoch, 1] = b"other"
    ledger._seen = 0
    ledger.note(tmp_path)
    assert ledger.rewritten == [("data", "farm/gw/i0", epoch, 1)]
