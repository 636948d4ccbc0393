"""`parkgate simulate` as a process: it says where everything listens, serves, and stops when told."""

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager

import pytest

from parkgate.simulator.commands import simulate

PROGRAM = """
import argparse, sys
from parkgate.simulator.commands import simulate
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
