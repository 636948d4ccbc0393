"""`parkgate demo` as people run it: a process with everything in it, from simulated instruments to the account."""

import argparse
import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import sys
import textwrap
from pathlib import Path

import pytest
from support.broker import Mosquitto, free_port

from parkgate.simulator.commands import demo
from parkgate.simulator.platform import Platform

pytestmark = pytest.mark.xdist_group("agents")

PATIENCE = 180.0
VERB = (
    "import argparse, sys\nfrom parkgate.simulator.commands import demo\n"
    "parser = argparse.ArgumentParser()\ndemo.add_arguments(parser)\nsys.exit(demo.run(parser.parse_args()))\n"
)
INSTRUMENTS = 14


async def start(*words, stdout=asyncio.subprocess.PIPE, code=VERB):
    environment = {**os.environ, "PARKGATE_LANG": "en", "COLUMNS": "120", "LINES": "40"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", code, *words,
        stdout=stdout, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip


async def finished(process):
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def folder_is_left(file):
    return Path(file).parent.exists()


def with_agent(script):
    """The verb, with a script in place of the agent; its first argument is the site file."""
    command = (sys.executable, "-c", textwrap.dedent(script))
    return (
        "import asyncio, sys\nfrom parkgate.simulator.commands.demo import Wish, demo\n"
        f"sys.exit(asyncio.run(demo(Wish(agent={command!r}, as_json='--json' in sys.argv))))\n"
    )


async def test_everything_that_is_stored_is_delivered_and_received_and_the_account_says_so():
    code, out, err = await finished(await start("--for", "8s"))
    assert (code, err) == (0, ""), out
    table, account = out.split("Stopping")
    first = table.splitlines()
    assert first[0] == "Starting the simulated park …"
    assert any(line.startswith("Starting an MQTT broker: mqtt://127.0.0.1:") for line in first)
    assert "Ctrl-C stops it and prints the account." in first
    assert table.count("modbus ") == 10
    assert table.count("opcua ") == 4
    rows = {line.split()[0]: line.split()[1:] for line in account.splitlines()[3:]}
    assert len(rows) == INSTRUMENTS + 2
    assert {lost for *_, lost in rows.values()} == {"0"}
    stored, delivered, waiting, received, _ = map(int, rows["total"])
    assert stored == delivered == received > INSTRUMENTS
    assert waiting == 0


async def test_json_prints_nothing_but_the_account_and_leaves_nothing_behind():
    code, out, err = await finished(await start("--for", "6s", "--json"))
    assert code == 0, err
    (line,) = out.splitlines()
    account = json.loads(line)
    assert account["whole"] is True
    assert account["total"]["lost"] == 0
    assert account["total"]["stored"] == account["total"]["received"]
    assert len(account["entries"]) == INSTRUMENTS + 1
    (site,) = re.findall(r"parkgate run (\S+)", err)
    assert not folder_is_left(site)


async def test_ctrl_c_on_a_terminal_stops_a_live_table_and_prints_the_account():
    ours, theirs = pty.openpty()
    process = await start(stdout=theirs)
    os.close(theirs)
    seen = b""
    async with asyncio.timeout(PATIENCE):
        while seen.count(b"weather-2") < 3:
            seen += await asyncio.to_thread(os.read, ours, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while chunk := await asyncio.to_thread(os.read, ours, 65536):
                seen += chunk
        code = await process.wait()
    os.close(ours)
    assert (code, await process.stderr.read()) == (0, b"")
    assert b"\x1b[1A" in seen  # the cursor went up: the table was drawn over itself
    assert b"account" in seen.partition(b"Stopping")[2]
    assert b"\x1b[?25h" in seen  # the cursor is visible again


async def test_a_broker_of_ones_own_is_used_and_only_what_this_gateway_sent_is_counted():
    async with Mosquitto() as broker:
        code, out, err = await finished(await start("--for", "6s", "--json", "--uplink", broker.url))
        async with Platform(broker.url) as late:
            assert not await late.until(lambda books: bool(books.copies), 0.5)
            assert not late._kept  # and nothing of it is left in the broker
    assert code == 0, err
    assert json.loads(out)["total"]["lost"] == 0
    assert "Starting an MQTT broker" not in err


async def test_two_at_a_time_on_one_broker_do_not_disturb_each_other():
    async with Mosquitto() as broker:
        both = [await start("--for", "6s", "--json", "--uplink", broker.url) for _ in range(2)]
        for code, out, err in [await finished(each) for each in both]:
            total = json.loads(out)["total"]
            assert (total["lost"], total["different"], total["received"]) == (0, 0, total["delivered"]), out + err
            assert code == (1 if total["waiting"] else 0)  # a slow computer may end before all is sent


async def test_a_broker_that_refuses_everything_leaves_all_of_it_waiting_and_the_reason_is_said(tmp_path):
    (tmp_path / "acl").write_text("topic read #\n")
    async with Mosquitto([f"acl_file {tmp_path / 'acl'}"]) as broker:
        code, out, err = await finished(await start("--for", "8s", "--uplink", broker.url))
    assert (code, err) == (1, ""), out
    *_, total = (line.split()[1:] for line in out.splitlines() if line.startswith("total"))
    stored, delivered, waiting, received, lost = map(int, total)
    assert (delivered, received, lost) == (0, 0, 0)
    assert stored == waiting > 0
    assert "still wait in the gateway" in out
    assert "0x87" in out.partition("The gateway said last:")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_before_anything_was_shown_still_ends_with_an_account(number):
    process = await start("--json")
    async with asyncio.timeout(PATIENCE):
        while b"Starting the gateway" not in await process.stderr.readline():
            pass
        process.send_signal(number)
    code, out, err = await finished(process)
    assert code in {0, 1}, err
    assert json.loads(out)["whole"] if code == 0 else "without its account" in err, err


async def test_a_gateway_that_dies_at_its_start_is_said_with_what_it_said():
    script = "import sys; sys.exit('demo.toml:7: [the gateway says] why')"
    code, out, err = await finished(await start(code=with_agent(script)))
    assert (code, err) == (1, "")
    assert "The gateway ended without its account." in out
    assert "demo.toml:7: [the gateway says] why" in out
    assert "Stopping" not in out


async def test_records_that_the_gateway_stored_and_the_platform_never_got_are_lost_and_exit_1():
    script = """
        import json
        uplinks = {"park": {"delivered": 3, "waiting": 0}}
        print(json.dumps({"account": {"stored": 3, "uplinks": uplinks, "instruments": {"gas-1": {"stored": 3}}}}))
    """
    code, out, err = await finished(await start("--json", code=with_agent(script)))
    assert code == 1, err
    assert json.loads(out)["total"]["lost"] == 3


async def test_the_site_file_that_the_gateway_is_given_names_what_is_really_there():
    script = """
        import json, socket, sys, tomllib, urllib.parse
        site = tomllib.load(open(sys.argv[1], "rb"))
        for part in (*site["line"], *site["uplink"]):
            parts = urllib.parse.urlsplit(part["url"])
            socket.create_connection((parts.hostname, parts.port), 5).close()
            print(part["name"], file=sys.stderr)
        sys.exit("all of them answer")
    """
    _, out, _ = await finished(await start(code=with_agent(script)))
    assert out.splitlines()[-6:] == ["cems", "gas", "water", "tanks", "park", "all of them answer"]


def run(*words):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return demo.run(parser.parse_args(words))


def test_a_broker_that_is_not_there_is_said_with_its_address(capsys):
    port = free_port()
    assert run("--uplink", f"mqtt://127.0.0.1:{port}") == 1
    assert f"mqtt://127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["foo", "mqtt://", "mqtt://127.0.0.1:99999", "http://h", "mqtt://me:s3cret@:1"])
def test_a_url_that_is_none_is_a_usage_error_before_anything_starts(url, capsys):
    with pytest.raises(SystemExit) as usage:
        run("--uplink", url)
    assert usage.value.code == 2
    said = capsys.readouterr().err
    assert "mqtt://host" in said
    assert "s3cret" not in said


def test_a_duration_without_its_unit_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as usage:
        run("--for", "5")
    assert usage.value.code == 2
    assert '"5"' in capsys.readouterr().err


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_killed_without_a_chance_it_leaves_no_process_behind():
    process = await start("--json")
    async with asyncio.timeout(PATIENCE):
        while b"Ctrl-C" not in await process.stderr.readline():
            pass
        children = children_of(process.pid)
        process.kill()
        await process.communicate()
        assert len(children) == 2
        while any(is_alive(pid) for pid in children):
            await asyncio.sleep(0.05)


def is_alive(pid):
    """Tell whether a process runs; one that only its new parent has not yet asked for is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def test_when_it_is_over_no_process_and_no_port_of_it_is_left():
    process = await start("--json", code=with_agent("import time; time.sleep(60)"))
    ports, children = [], []
    async with asyncio.timeout(PATIENCE):
        while b"Ctrl-C" not in (line := await process.stderr.readline()):
            ports += [int(word.rpartition(b":")[2].partition(b"/")[0]) for word in line.split() if b"://" in word]
        children = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
        await process.stderr.read()
    assert (code, len(ports), len(children)) == (1, 5, 2)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
