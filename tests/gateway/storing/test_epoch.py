"""The names of epochs."""

import random
import re

from parkgate.gateway.storing.epoch import machine, next_epoch


def test_epochs_sort_and_look_as_the_contract_says(tmp_path):
    names = [next_epoch(tmp_path / "epoch", "", random.Random(seed)) for seed in range(12)]
    assert names == sorted(names)
    assert all(re.fullmatch(r"[0-9]{4}-[0-9a-z]{6}", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, 13))


def test_a_counter_that_cannot_be_read_begins_again_and_the_random_part_still_differs(tmp_path):
    counter = tmp_path / "epoch"
    first = next_epoch(counter, "", random.Random(1))
    counter.write_text("nonsense")
    again = next_epoch(counter, "", random.Random(2))
    assert again[:4] == "0001"
    assert again != first


def test_a_machines_digest_is_always_the_same_and_does_not_show_its_id():
    assert machine() == machine()
    assert re.fullmatch(r"[0-9a-f]{16}|", machine())


def test_a_lost_counter_goes_on_behind_the_epoch_that_the_outbox_knows(tmp_path):
    assert next_epoch(tmp_path / "epoch", "0041-k3f9a1", random.Random(1))[:4] == "0042"
