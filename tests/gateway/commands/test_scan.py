"""`parkgate scan`: three units on a serial line, a gateway on TCP, and the line of a running agent."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque

import pytest
from rich.console import Console
from support.cabinet import Running, site_file, unit, verb
from support.modbus_wire import Wire, close

from parkgate.config.site import Line
from parkgate.drivers.modbus.scanning import Found, Setting
from parkgate.gateway.commands.scan_table import Round, Scanning, progress
from parkgate.simulator.image import Image
from parkgate.simulator.modbus import ModbusPlant, Responder
from parkgate.simulator.rtu import Rtu
from parkgate.simulator.serial import Pty

ANY = "modbus-tcp://127.0.0.1:0"
QUICK = ("--timeout", "60ms")


def three():
    return {2: unit(), 5: unit(), 7: Image([("input", 0, 2)])}


async def document(*words):
    code, out, err = await verb("scan", *words, "--json")
    assert err == ""
    return code, json.loads(out)


async def test_three_units_on_a_serial_line_are_found(tmp_path):
    async with Pty(Responder(three(), Rtu()), 9_600) as line:
        code, out, err = await verb("scan", f"modbus-rtu://{line.path}", "--units", "1-8", *QUICK)
    assert (code, err) == (0, "")
    rows = [row.split() for row in out.splitlines()]
    assert rows[0] == ["unit", "id", "baud", "rate", "parity", "answer", "says", "it", "is"]
    assert [row[:5] for row in rows[1:3]] == [[unit_, "9600", "none", "registers", "Parkgate"] for unit_ in ("2", "5")]
    assert rows[3][:6] == ["7", "9600", "none", "refused", "(exception", "2)"]
    assert out.endswith("8 questions, 3 answered: unit 2, 5, 7\n")


async def test_it_speaks_chinese(tmp_path, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    async with Pty(Responder(three(), Rtu()), 9_600) as line:
        code, out, _ = await verb("scan", f"modbus-rtu://{line.path}", "--units", "4-7", *QUICK)
    assert code == 0
    assert out.splitlines()[0].split() == ["从站地址", "波特率", "校验", "应答", "自称"]
    assert out.endswith("共问 4 次，2 个应答：从站 5, 7\n")


async def test_other_baud_rates_are_tried_until_somebody_answers():
    async with Pty(Responder({2: unit()}, Rtu()), 9_600) as line:
        url = f"modbus-rtu://{line.path}"
        nobody, told = await document(url, "--units", "3", "--parity", "none", "--timeout", "20ms")
        found, answered = await document(url, "--units", "2", "--parity", "none", *QUICK)
        _, everything = await document(url, "--units", "2", "--parity", "none", "--all", *QUICK)
    assert (nobody, found) == (1, 0)
    rates = [9_600, 19_200, 4_800, 38_400, 57_600, 115_200, 2_400, 1_200]
    assert [(each["baudrate"], each["parity"]) for each in told["rounds"]] == [(rate, "none") for rate in rates]
    assert [(each["baudrate"], each["found"][0]["unit"]) for each in answered["rounds"]] == [(9_600, 2)]
    assert [each["baudrate"] for each in everything["rounds"]] == rates


async def test_a_setting_that_the_port_does_not_take_is_told_and_the_others_are_tried():
    async with Pty(Responder({2: unit()}, Rtu()), 9_600) as line:  # which has no parity
        url = f"modbus-rtu://{line.path}"
        code, told = await document(url, "--units", "2", "--baudrate", "9600", "--all", *QUICK)
        _, out, _ = await verb("scan", url, "--units", "2", "--baudrate", "9600", "--all", *QUICK)
        alone, _, err = await verb("scan", url, "--parity", "odd", "--baudrate", "9600")
    assert code == 0
    assert [(each["parity"], each["asked"], "refused" in each) for each in told["rounds"]] == [
        ("none", 1, False),
        ("even", 0, True),
    ]
    assert f"9600 baud, parity even: the serial port {line.path} cannot be opened" in out
    assert alone == 1
    assert "cannot be opened" in err


async def test_on_a_slow_line_what_a_unit_is_gets_the_time_that_its_characters_take():
    async with Pty(Responder({2: unit()}, Rtu()), 1_200) as line:
        url = f"modbus-rtu://{line.path}"
        _, told = await document(url, "--units", "2", "--baudrate", "1200", "--parity", "none", "--timeout", "100ms")
    assert told["rounds"][0]["found"][0]["product"] == "simulator"


async def test_the_setting_of_a_sites_line_is_tried_first(tmp_path):
    async with Pty(Responder({2: unit()}, Rtu()), 9_600) as line:
        site = site_file(tmp_path, line=f"modbus-rtu://{line.path}")
        text = site.read_text(encoding="utf-8")
        site.write_text(text.replace('timeout = "200ms"', "baudrate = 57600"), encoding="utf-8")
        _, told = await document(site, "--units", "2", *QUICK)
    assert [(each["baudrate"], each["parity"]) for each in told["rounds"]] == [(57_600, "none")]


async def test_ctrl_c_ends_it_with_what_was_found_so_far(tmp_path):
    asked = asyncio.Event()

    class Noting(Responder):
        def __call__(self, request):
            if request.unit == 3:
                asked.set()
            return super().__call__(request)

    async with ModbusPlant("modbus-rtu-over-tcp://127.0.0.1:0", {}, Noting({1: unit()}, Rtu())) as plant:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parkgate.gateway.commands.main", "scan", plant.url, "--timeout", "1s",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    assert out.decode().endswith("2 questions, 1 answered: unit 1\n")


async def test_behind_a_tcp_gateway_those_it_cannot_reach_are_nobody(tmp_path):
    async with ModbusPlant(ANY, three()) as plant:
        code, told = await document(plant.url, "--units", "1-8")
    assert code == 0
    (only,) = told["rounds"]
    assert [(each["unit"], each.get("exception")) for each in only["found"]] == [(2, None), (5, None), (7, 2)]
    assert (only["asked"], only["unreadable"], "baudrate" in only) == (8, [], False)
    assert only["found"][0]["product"] == "simulator"


async def test_behind_a_gateway_that_is_silent_the_line_is_not_given_up(tmp_path):
    plant = ModbusPlant("modbus-rtu-over-tcp://127.0.0.1:0", {}, Responder({9: unit()}, Rtu()))
    async with plant:
        code, told = await document(plant.url, "--units", "1-9", *QUICK)
    assert code == 0
    assert [each["unit"] for each in told["rounds"][0]["found"]] == [9]


async def test_a_device_that_hangs_up_at_a_strange_unit_is_asked_on_a_new_connection():
    async with Wire(registers={("holding", 0): 7}, script=deque([close])) as wire:
        code, told = await document(f"modbus-tcp://127.0.0.1:{wire.port}", "--units", "1-2")
    assert code == 0
    assert [each["unit"] for each in told["rounds"][0]["found"]] == [2]
    assert wire.connections == 2


async def test_a_device_that_does_not_look_at_the_unit_id_is_told(tmp_path):
    async with ModbusPlant(ANY, {each: unit() for each in range(1, 13)}) as plant:
        _, out, _ = await verb("scan", plant.url, "--units", "1-12")
    assert "12 answered: unit 1-12" in out
    assert "Every unit id answers: this device does not look at it" in out


async def test_a_trace_shows_every_frame(tmp_path):
    async with ModbusPlant(ANY, three()) as plant:
        _, out, _ = await verb("scan", plant.url, "--units", "7", "--trace")
        _, told = await document(plant.url, "--units", "7", "--trace")
    frames = [line for line in out.splitlines() if line[:1] in {"→", "←"}]
    assert frames[0].endswith("unit 7, read holding registers 0")
    assert "ILLEGAL DATA ADDRESS" in frames[1]
    assert frames[2].endswith("unit 7, read device identification")
    assert "device identification: Parkgate / simulator" in frames[3]
    assert [each["sent"] for each in told["trace"]] == [True, False] * 2


async def test_nobody_is_a_problem_with_what_to_look_at(tmp_path):
    async with ModbusPlant(ANY, three()) as plant:
        code, out, _ = await verb("scan", plant.url, "--units", "30-31")
    assert code == 1
    assert "2 questions, 0 answered: unit -" in out
    assert "Nobody answers: check power, wiring" in out


async def test_the_line_of_a_running_agent_is_scanned_through_it_and_polling_goes_on(tmp_path):
    async with ModbusPlant(ANY, three()) as plant:
        site = site_file(tmp_path, line=plant.url, units=(2,))
        async with Running(site) as agent:
            before = await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
            code, told = await document(site, "cems", "--units", "1-8", "--trace")
            assert len(plant._connections) == 1
            after = await agent.until(lambda told: told["instruments"][0]["reads"] > before["instruments"][0]["reads"])
    assert code == 0
    assert [each["unit"] for each in told["rounds"][0]["found"]] == [2, 5, 7]
    assert told["rounds"][0]["found"][0]["vendor"] == "Parkgate"
    assert len(told["trace"]) == 2 * 8 + 2 * 3
    assert after["instruments"][0]["failed"] == 0


async def test_silent_units_do_not_cost_a_running_agent_its_line(tmp_path):
    plant = ModbusPlant("modbus-rtu-over-tcp://127.0.0.1:0", {}, Responder({9: unit()}, Rtu()))
    async with plant:
        site = site_file(tmp_path, line=plant.url, units=(9,))
        async with Running(site) as agent:
            await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
            code, told = await document(site, "--units", "1-9")
            after = await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
    assert code == 0
    assert [each["unit"] for each in told["rounds"][0]["found"]] == [9]
    assert after["instruments"][0]["failed"] == 0


async def test_a_line_that_nobody_lets_in_is_told_with_the_way_through_the_agent(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, out, err = await verb("scan", f"modbus-tcp://127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert f"no connection to 127.0.0.1:{port}" in err
    assert "If the agent has it: parkgate scan SITE LINE" in err


async def test_a_serial_port_that_another_program_holds_is_told_with_the_way_through_the_agent(tmp_path):
    serial = pytest.importorskip("serial")
    async with Pty(Responder(three(), Rtu()), 9_600) as line:
        holder = serial.Serial(line.path, exclusive=True)
        try:
            code, out, err = await verb("scan", f"modbus-rtu://{line.path}", "--units", "2")
        finally:
            holder.close()
    assert (code, out) == (1, "")
    assert f"another program has the serial port {line.path} open" in err
    assert "parkgate scan SITE LINE" in err


async def test_a_line_must_be_said_where_there_are_several(tmp_path):
    site = site_file(tmp_path)
    with site.open("a", encoding="utf-8") as file:
        file.write('[[line]]\nname = "second"\nurl = "modbus-tcp://127.0.0.1:2"\n')
    assert (await verb("scan", site))[0] == 2
    code, out, err = await verb("scan", site, "third")
    assert (code, out) == (2, "")
    assert "cems, second" in err


@pytest.mark.parametrize(
    "words",
    [("http://127.0.0.1",), ("modbus-tcp://h", "--units", "0-256"), ("modbus-tcp://h", "--units", "x"),
     ("modbus-tcp://h", "--units", "9-1"), ("modbus-tcp://h", "--baudrate", "fast"),
     ("modbus-tcp://h", "--baudrate", "1"), ("modbus-tcp://h", "--timeout", "3"), ("modbus-rtu-over-tcp://h",)],
)  # fmt: skip
async def test_what_cannot_be_asked_is_a_usage_error(words):
    code, out, err = await verb("scan", *words)
    assert (code, out) == (2, "")
    assert err


def test_a_bar_tells_how_far_it_is_and_whom_it_found():
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        console = Console(file=file, force_terminal=True, width=120)
        state = Scanning(Line(name="scan", url="modbus-rtu:///dev/ttyS1"), (1, 2, 3), [Round(Setting(9_600, "none"))])
        with progress(state, console, 3) as step:
            for number in (1, 2, 3):
                state.rounds[0].take(Found(number, there=number != 2))
                step(number)
    with os.fdopen(read) as file:
        shown = file.read()
    assert "9600 baud, parity none: unit 3, found: 1, 3" in shown


def test_a_bar_is_for_a_terminal_alone(capsys):
    state = Scanning(Line(name="scan", url="modbus-tcp://h"), (1,), [Round(None)])
    with progress(state, Console(), 1) as step:
        step(1)
    assert capsys.readouterr().out == ""
