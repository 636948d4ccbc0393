"""What the gateway itself must give: a clock, a folder and a disk."""

import random
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.cabinet import site_file

from parkgate.config.load import load_site
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands import cabinet_checks
from parkgate.gateway.commands.finding import Finding, Result, passed
from parkgate.gateway.storing.outbox import Outbox


def foreign(path):
    """Make a database of somebody else."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipe (name TEXT)")
    connection.close()


WHEN = 1_763_890_000_000


@pytest.mark.parametrize(
    ("now", "in_step", "result"),
    [
        (WHEN, True, Result.OK),
        (WHEN, False, Result.WARNING),
        (WHEN, None, Result.WARNING),
        (0, True, Result.PROBLEM),
        (1_700_000_000_000, True, Result.PROBLEM),
        (4_102_444_800_000, True, Result.PROBLEM),
    ],
)
def test_a_clock_must_be_plausible_and_should_be_synchronised(now, in_step, result):
    finding = cabinet_checks.clock(now, in_step)
    assert finding.result is result
    assert (finding.advice == "") == (result is Result.OK)


def test_a_data_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    assert cabinet_checks.data_folder(tmp_path).result is Result.OK
    absent = cabinet_checks.data_folder(tmp_path / "a" / "b")
    assert (absent.result, absent.found) == (Result.OK, "is not there yet; the agent can make it")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_place_of_the_data_folder_is_a_problem(tmp_path, name):
    (tmp_path / "file").write_text("")
    finding = cabinet_checks.data_folder(tmp_path / name)
    assert (finding.result, finding.where) == (Result.PROBLEM, str(tmp_path / name))
    assert f"{tmp_path / 'file'} cannot be written" in finding.found


@pytest.mark.parametrize(
    ("size", "result"), [("2GiB", Result.OK), ("300MiB", Result.WARNING), ("50MiB", Result.PROBLEM)]
)
def test_the_disk_must_bridge_an_outage(tmp_path, size, result):
    site = load_site(site_file(tmp_path, top=f'[outbox]\nmax_size = "{size}"\n'))
    finding = cabinet_checks.disk(site)
    daily = cabinet_checks.bytes_a_day(site)
    assert finding.result is result
    days = round(site.outbox.max_size / daily, 1)
    most = site.outbox.max_size // 2**20
    assert f"max_size of [outbox], {most} MiB, lasts for an outage of {days} days (" in finding.found


def test_a_disk_smaller_than_max_size_is_what_limits(tmp_path, monkeypatch):
    site = load_site(site_file(tmp_path))
    monkeypatch.setattr(cabinet_checks.os, "statvfs", lambda _: SimpleNamespace(f_bavail=1_000, f_frsize=2**20))
    finding = cabinet_checks.disk(site)
    days = round(1_000 * 2**20 / cabinet_checks.bytes_a_day(site), 1)
    assert f"the disk, 1000 MiB free, lasts for an outage of {days} days; max_size allows 2048 MiB" in finding.found


def test_where_there_is_no_outbox_yet_nothing_is_said_of_it(tmp_path):
    assert cabinet_checks.outbox(tmp_path / "data") == []


async def test_an_outbox_is_read_and_left_as_it_is(tmp_path):
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    box.store(box.series("data", "a"), 1, lambda *_: b"{}")
    await box.commit()
    await box.close()
    before = (tmp_path / "outbox.sqlite").read_bytes()
    (finding,) = cabinet_checks.outbox(tmp_path)
    assert (finding.result, finding.found) == (Result.OK, "can be read: 1 records stored")
    assert (tmp_path / "outbox.sqlite").read_bytes() == before


@pytest.mark.parametrize("make", [lambda path: path.write_text("x" * 5000), foreign, Path.mkdir])
def test_what_is_no_outbox_is_a_problem_and_is_left_as_it_is(tmp_path, make):
    make(tmp_path / "outbox.sqlite")
    before = [(path.name, path.stat().st_size) for path in tmp_path.iterdir()]
    (finding,) = cabinet_checks.outbox(tmp_path)
    assert (finding.what, finding.result) == ("outbox", Result.PROBLEM)
    assert "move it aside and keep it" in finding.advice
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == before


def test_only_a_problem_fails():
    fine, warning, problem = (Finding("clock", "", each, "x") for each in Result)
    assert passed([fine, warning])
    assert not passed([fine, problem, warning])
