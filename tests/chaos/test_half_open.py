"""A half-open link, idle and sending: as long as it takes to be noticed."""

import subprocess

import pytest
from chaos.half_open import PERIODS, run
from support.netns import Namespace

pytestmark = pytest.mark.xdist_group("agents")


def namespaces():
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


@pytest.mark.root
def test_a_link_that_is_gone_without_a_word_is_noticed_and_loses_nothing():
    rows = run()
    assert [row for row in rows if not row.ok and "kept" in row.case] == []
    assert len(rows) == 2 * len(PERIODS)


@pytest.mark.root
def test_a_namespace_is_gone_after_it_was_used_even_if_making_it_failed():
    with Namespace() as space:
        assert space.name in namespaces()
        with pytest.raises(subprocess.CalledProcessError), space:
            raise AssertionError("the name is taken")
    assert space.name not in namespaces()
