"""`parkgate simulate` as a process: it says where everything listens, serves, and stops when told."""

import argparse
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from parkgate.simulator.commands import simulate
from parkgate.simulator.truth import Truth

pytestmark = pytest.mark.xdist_group("agents")

PROGRAM = """
import argparse, sys
from parkgate.simulator.commands import simulate
from parkgate.simulator.truth import Truth
parser = argparse.ArgumentParser("simulate")
simulate.add_arguments(parser)
sys.exit(simulate.run(parser.parse_args()))
"""

SITE = """
[gateway]
site = "s"
id = "g"
data = "/tmp/s"
[[uplink]]
name = "park"
url = "mqtt://localhost"
[[line]]
name = "cems"
url = "modbus-tcp://127.0.0.1:{port}"
[[instrument]]
name = "stack-1"
title = "1# [烟囱]"
line = "cems"
unit = 5
profile = "cems-generic"
every = "1s"
"""


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PARKGATE_LANG": "en", **environment},
    )


@contextmanager
def running(*arguments):
    """Run it until the block ends; it is killed only if the block fails."""
    with start(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(*arguments):
    """Run it to its end: its exit code, what it printed, and what it complained of."""
    with start(*arguments) as process:
        printed, complaint = process.communicate(timeout=60)
        return process.returncode, printed, complaint


@pytest.fixture
def write(tmp_path):
    def writing(port=15999, text=""):
        (tmp_path / "plant.toml").write_text(SITE.format(port=port), encoding="utf-8")
        file = tmp_path / "scenario.toml"
        file.write_text(f'title = "Small"\nsite = "plant.toml"\n{text}', encoding="utf-8")
        return file

    return writing


def ask(host, port, unit, function, first, count):
    with socket.create_connection((host, port)) as client:
        client.sendall(struct.pack(">HHHBBHH", 1, 0, 6, unit, function, first, count))
        return client.recv(300)[9:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_says_where_it_listens_serves_there_and_stops_on_a_signal(write, number):
    with running(write(text='[stack-1.so2]\nshape = "steady"\nvalue = 42.5\n'), "--any-port", "--json") as process:
        (told,) = json.loads(process.stdout.readline())["instruments"]
        assert (told["instrument"], told["protocol"], told["unit"]) == ("stack-1", "modbus", 5)
        assert struct.unpack(">f", ask(told["host"], told["port"], 5, 4, 0, 2)) == (42.5,)

        process.send_signal(number)

        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""


def test_under_nohup_a_closed_terminal_does_not_end_it(write):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(write(), "--any-port", "--json") as process:
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_demo_prints_its_table_with_an_example_for_each_protocol():
    code, printed, complaint = ended("demo", "--any-port", "--for", "100ms")

    assert (code, complaint) == (0, "")
    rows = {line.split()[0]: line.rstrip() for line in printed.splitlines() if "127.0.0.1" in line}
    assert {"stack-1", "gas-4", "water-1", "flow-2", "weather-2", "tank-3", "weather-1"} <= set(rows)
    assert "Modbus TCP" in rows["stack-1"]
    assert "1# 烟囱 CEMS" in rows["stack-1"]
    assert "OPC UA" in rows["tank-1"]
    assert rows["tank-1"].endswith("s=T1.Level")
    port = rows["stack-1"].split()[-2]
    assert f"mbpoll -m tcp -a 1 -t 3:float -B -0 -r 0 -1 -p {port} 127.0.0.1" in printed
    assert "uals --url opc.tcp://127.0.0.1:" in printed


def test_the_demo_s_json_names_every_instrument_with_its_unit_or_node():
    code, printed, _ = ended("demo", "--any-port", "--for", "100ms", "--json")

    told = {each["instrument"]: each for each in json.loads(printed)["instruments"]}
    assert code == 0
    assert len(told) == 14
    assert told["gas-3"]["unit"] == 3
    assert told["tank-2"]["node"] == "nsu=urn:parkgate:park;s=T2.Level"
    assert told["tank-2"]["url"].startswith("opc.tcp://127.0.0.1:")
    assert len({each["port"] for each in told.values()}) == 4


def test_brackets_in_a_title_are_shown_as_they_are(write):
    _, printed, _ = ended(write(), "--any-port", "--for", "1ms")

    assert "1# [烟囱]" in printed


def test_a_port_in_use_is_one_message_and_exit_1(write):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, printed, complaint = ended(write(port=port))

    assert (code, printed) == (1, "")
    assert f"port {port} is already in use" in complaint
    assert 'line "cems"' in complaint
    assert "--any-port" in complaint
    assert "Traceback" not in complaint


def test_a_scenario_with_mistakes_is_exit_1_with_every_one(write):
    code, _, complaint = ended(write(text='step = "soon"\n[stack-1.so3]\nshape = "steady"\nvalue = 1\n'))

    assert code == 1
    assert "scenario.toml:3: step" in complaint
    assert 'did you mean "so2"?' in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("duration", ["soon", "10", "-1s", "0s"])
def test_a_duration_that_is_none_is_a_usage_error(duration, capsys):
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)

    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["demo", f"--for={duration}"])

    assert caught.value.code == 2
    assert "is not a duration" in capsys.readouterr().err


def test_a_duration_is_taken_in_the_units_people_write():
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)

    assert parser.parse_args(["demo", "--for", "10min"]).duration == 600.0


def test_a_day_in_an_instant_is_the_same_file_byte_for_byte(write, tmp_path):
    text = '[stack-1.so2]\nshape = "noise"\nmean = 20\nspread = 5\n'
    for name in ("a", "b"):
        code, printed, complaint = ended(write(text=text), "--virtual", "--for", "10m", "--truth", tmp_path / name)
        assert (code, complaint) == (0, "")
        assert "600" in printed
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_virtual_without_an_end_or_a_file_is_a_usage_error(write):
    code, _, complaint = ended(write(), "--virtual", "--for", "1s")
    assert code == 2
    assert "--truth" in complaint


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "1e9"])
def test_a_speed_that_is_none_is_a_usage_error(speed, capsys):
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["demo", f"--speed={speed}"])
    assert caught.value.code == 2
    assert "--speed" in capsys.readouterr().err


def test_while_it_serves_the_truth_is_kept(write, tmp_path):
    code, _, complaint = ended(write(), "--any-port", "--for", "500ms", "--truth", tmp_path / "t", "--speed", "20")
    assert (code, complaint) == (0, "")
    with Truth(tmp_path / "t") as truth:
        shown = list(truth.shown("stack-1"))
    assert len(shown) > 1
    assert set(shown[0].values) >= {"so2", "nox", "o2"}


def test_a_line_on_a_terminal_says_its_path_and_how_to_ask_it(write):
    code, printed, _ = ended(write(text='[serve.cems]\nas = "pty"\nbaudrate = 19200\n'), "--for", "100ms")
    assert code == 0
    assert "Modbus RTU" in printed
    assert "mbpoll -m rtu -b 19200 -P none -a 5" in printed
    assert "/dev/" in printed


TROUBLE = """
[[trouble]]
at = "1h"
for = "1h"
instrument = "stack-1"
kind = "silent"
[[trouble]]
at = "1h"
for = "1h"
uplink = "park"
kind = "link-cut"
"""


def test_the_link_of_an_uplink_with_troubles_is_told(write):
    code, printed, _ = ended(write(text=TROUBLE), "--any-port", "--for", "100ms")
    assert code == 0
    assert "mqtt://127.0.0.1:" in printed
    _, printed, _ = ended(write(text=TROUBLE), "--any-port", "--for", "100ms", "--json")
    assert json.loads(printed)["uplinks"][0]["url"].startswith("mqtt://127.0.0.1:")


def test_on_a_terminal_the_park_is_shown_and_keys_switch_its_troubles(write):
    file = write(text=TROUBLE)
    main, terminal = pty.openpty()
    environment = {**os.environ, "PARKGATE_LANG": "en", "COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(file), "--any-port", "--watch", "--for", "60s"]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, env=environment) as process:
        os.close(terminal)
        try:
            seen = read_until(main, "link-cut")
            assert "stack-1" in seen
            assert "silent" in seen
            os.write(main, b"1")
            assert "! silent" in read_until(main, "! silent")
            os.write(main, b"q")
            assert process.wait(timeout=30) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()
            os.close(main)


def read_until(main, text):
    """Read a terminal until it shows a text, or for half a minute."""
    seen, deadline = "", time.monotonic() + 30
    while text not in seen and time.monotonic() < deadline:
        ready, _, _ = select.select([main], [], [], 1)
        if ready:
            seen += os.read(main, 65_536).decode(errors="ignore")
    return seen
