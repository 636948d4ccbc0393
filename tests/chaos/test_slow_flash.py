"""A short while on a slow gateway: what is asserted is that everything arrives; `make chaos` measures."""

import os
import shutil
import subprocess
import sys

import pytest
from chaos.slow_flash import lateness, run, slowed
from support.cgroup import Cgroup

pytestmark = pytest.mark.xdist_group("agents")

SYNC = """
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
began = time.monotonic()
(os.fsync if sys.argv[2] == "fsync" else os.fdatasync)(file)
print(time.monotonic() - began)
"""


@pytest.mark.root
def test_on_a_quarter_of_a_core_with_slow_flash_everything_is_delivered():
    delivered, *others = run(seconds=3)
    assert delivered.ok, delivered
    assert len(others) == 3


@pytest.mark.root
@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
@pytest.mark.parametrize("compiler", [True, False], ids=["by cc where it is there", "by strace"])
def test_a_sync_takes_100_ms_more(tmp_path, monkeypatch, compiler, call):
    if not compiler:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    prefix, environment = slowed(tmp_path)
    command = (*prefix, sys.executable, "-c", SYNC, str(tmp_path / "file"), call)
    told = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    assert float(told.stdout) >= 0.1


@pytest.mark.root
def test_a_process_that_wants_more_memory_than_its_group_has_is_killed():
    with Cgroup(0.5, 64 * 1024 * 1024) as group:
        greedy = (*group.command, sys.executable, "-c", "x = b'x' * 200_000_000")
        assert subprocess.run(greedy, check=False).returncode == -9
        modest = (*group.command, sys.executable, "-c", "x = b'x' * 2_000_000")
        assert subprocess.run(modest, check=False).returncode == 0


def test_lateness_is_counted_from_an_instruments_earliest_place_in_the_period():
    steady, late = [10.25, 11.25, 12.25], [10.99, 12.0, 13.09]
    assert lateness([steady]) == pytest.approx([0, 0, 0])
    assert lateness([late]) == pytest.approx([0, 1, 10])
