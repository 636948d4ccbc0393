"""The names of epochs."""

import random
import re

from parkgate.gateway.storing.epoch import machine, next_epoch, note_epoch, read_epoch, same_file


def test_epochs_sort_and_look_as_the_contract_says():
    names = [""]
    for seed in range(12):
        names.append(next_epoch(names, random.Random(seed)))
    del names[0]
    assert names == sorted(names)
    assert all(re.fullmatch(r"[0-9]{4}-[0-9a-z]{6}", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, 13))


def test_a_counter_that_cannot_be_read_begins_again_and_the_random_part_still_differs(tmp_path):
    counter = tmp_path / "epoch"
    first = next_epoch([read_epoch(counter)], random.Random(1))
    counter.write_text("nonsense")
    again = next_epoch([read_epoch(counter)], random.Random(2))
    assert again[:4] == "0001"
    assert again != first


def test_the_counter_knows_the_file_that_it_was_written_for_from_a_copy(tmp_path):
    counter, outbox, copy = tmp_path / "epoch", tmp_path / "outbox", tmp_path / "copy"
    outbox.write_bytes(b"x")
    copy.write_bytes(b"x")
    note_epoch(counter, "0007-k3f9a1", outbox)
    assert read_epoch(counter) == "0007-k3f9a1"
    assert same_file(counter, outbox) is True
    assert same_file(counter, copy) is False


def test_a_counter_of_an_older_version_names_its_epoch_and_no_file(tmp_path):
    (tmp_path / "epoch").write_text("0007-k3f9a1\n")
    assert read_epoch(tmp_path / "epoch") == "0007-k3f9a1"
    assert same_file(tmp_path / "epoch", tmp_path) is None


def test_a_machines_digest_is_always_the_same_and_does_not_show_its_id():
    assert machine() == machine()
    assert re.fullmatch(r"[0-9a-f]{16}|", machine())


def test_a_new_epoch_goes_on_behind_the_highest_that_is_known():
    assert next_epoch(["", "0041-k3f9a1", "0007-zzzzzz"], random.Random(1))[:4] == "0042"
