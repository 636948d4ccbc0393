"""The unit, the user and the folders as systemd's own tools see them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "parkgate@.service"
PROGRAM = "/opt/parkgate/bin/parkgate"


def tool(name):
    """Give the path of one of systemd's tools, or skip loudly: nothing else tells whether systemd takes a file."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing: apt-get install systemd")
    return path


def call(*arguments, **environment):
    return subprocess.run(
        [*map(str, arguments)], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def rendered(tmp_path):
    """The unit as the install step writes it, with a program that is there."""
    program = shutil.which("true")
    unit = tmp_path / "parkgate@gw-01.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("@PARKGATE@", program), encoding="utf-8")
    return unit


def settings(unit=UNIT):
    """Give the unit's settings; the last of a name counts."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_systemd_takes_the_unit_without_a_word(rendered):
    told = call(tool("systemd-analyze"), "verify", rendered)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


@pytest.mark.parametrize("slip", ["WatchdogSecs=30", "Restart=allways", "ExecStart=/nowhere/parkgate run x"])
def test_a_slip_in_the_unit_would_be_noticed(rendered, slip):
    rendered.write_text(rendered.read_text(encoding="utf-8").replace("[Install]", f"[Service]\n{slip}\n[Install]"))
    assert call(tool("systemd-analyze"), "verify", rendered).stderr


def test_the_sandbox_leaves_an_exposure_of_at_most_1_5(rendered):
    told = call(tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", rendered)
    assert told.returncode == 0, told.stdout


def test_the_agent_has_the_time_to_drain_before_it_is_killed():
    from parkgate.gateway.agent import DRAIN  # noqa: PLC0415 - the other tests here do without the agent

    assert int(settings()["TimeoutStopSec"]) >= DRAIN + 3


def test_it_is_started_again_for_ever():
    unit = settings()
    assert unit["Restart"] == "always"
    assert unit["StartLimitIntervalSec"] == "0"
    assert int(unit["RestartSec"]) >= 2


def test_it_runs_the_site_file_of_its_name():
    assert settings()["ExecStart"] == "@PARKGATE@ run /etc/parkgate/%i.toml"


@pytest.fixture
def installed(tmp_path):
    """What install.sh puts below a folder."""
    told = call("/bin/sh", FOLDER / "install.sh", PROGRAM, DESTDIR=str(tmp_path))
    assert (told.returncode, told.stderr) == (0, "")
    return tmp_path


def test_the_install_step_renders_the_path_of_the_program(installed):
    unit = installed / "etc/systemd/system/parkgate@.service"
    assert settings(unit)["ExecStart"] == f"{PROGRAM} run /etc/parkgate/%i.toml"
    assert "@PARKGATE@" not in unit.read_text(encoding="utf-8")


def test_the_install_step_can_run_again(installed):
    before = {path: path.read_bytes() for path in installed.rglob("*") if path.is_file()}
    assert call("/bin/sh", FOLDER / "install.sh", PROGRAM, DESTDIR=str(installed)).returncode == 0
    assert {path: path.read_bytes() for path in installed.rglob("*") if path.is_file()} == before


def test_the_install_step_refuses_a_relative_program(tmp_path):
    told = call("/bin/sh", FOLDER / "install.sh", "bin/parkgate", DESTDIR=str(tmp_path))
    assert told.returncode == 2
    assert "bin/parkgate" in told.stderr
    assert not list(tmp_path.iterdir())


def test_the_install_step_refuses_a_program_that_is_not_there():
    told = call("/bin/sh", FOLDER / "install.sh", "/nowhere/parkgate", DESTDIR="")
    assert told.returncode == 1
    assert "/nowhere/parkgate" in told.stderr


@pytest.fixture
def machine(installed):
    """A machine's root folder with the user and the folders that systemd makes at its start."""
    for name, options in (("sysusers", ()), ("tmpfiles", ("--create",))):
        file = installed / f"usr/lib/{name}.d/parkgate.conf"
        told = call(tool(f"systemd-{name}"), f"--root={installed}", *options, file)
        assert told.returncode == 0, told.stderr
    return installed


@pytest.mark.root
def test_the_agent_has_a_user_of_its_own_that_cannot_log_in(machine):
    (line,) = (machine / "etc/passwd").read_text(encoding="utf-8").splitlines()
    name, *_, shell = line.split(":")
    assert (name, shell) == ("parkgate", "/usr/sbin/nologin")


@pytest.mark.root
@pytest.mark.parametrize(
    ("folder", "mode", "owner"),
    [
        ("etc/parkgate", 0o750, "root"),
        ("etc/parkgate/instruments", 0o750, "root"),
        ("etc/parkgate/credentials", 0o700, "root"),
        ("var/lib/parkgate", 0o750, "parkgate"),
    ],
)
def test_a_folder_is_made_with_its_rights(machine, folder, mode, owner):
    users = {line.split(":")[0]: int(line.split(":")[2]) for line in (machine / "etc/passwd").read_text().splitlines()}
    found = (machine / folder).stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode, users.get(owner, 0))


def test_the_unit_and_the_folders_name_the_same_user_and_data():
    unit = settings()
    user = (FOLDER / "sysusers.d/parkgate.conf").read_text(encoding="utf-8")
    assert unit["User"] == unit["Group"] == "parkgate"
    assert f'u {unit["User"]} - "Parkgate edge collector" /var/lib/{unit["StateDirectory"]}' in user
