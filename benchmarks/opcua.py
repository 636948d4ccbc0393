"""OPC UA subscriptions through the whole agent: every node changes each second. `make bench BENCH=opcua`."""

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from processes import ask, broker, cpu_seconds, first_delivered, process, resident_mb
from rich.table import Table

HERE = Path(__file__).parent
SECONDS, SETTLED_S, PULSE_S = 15.0, 15.0, 10.0
POINTS = 500
CASES = ((20, 35.0), (2, 4.0))
"""Instruments of `POINTS` nodes each, and the goal in percent of a core."""


def _site(folder: Path, broker_port: int, port: int, instruments: int) -> Path:
    rows = [f'p{place} = {{ at = "ns=1;i={{node}}{place:03d}", type = "double", range = [0, 1e9] }}'
            for place in range(POINTS)]  # fmt: skip
    (folder / "bench.toml").write_text('protocol = "opcua"\n[points]\n' + "\n".join(rows) + "\n")
    text = [f'[gateway]\nsite = "bench"\nid = "gw"\ndata = "{folder / "data"}"\n',
            f'[[uplink]]\nname = "park"\nurl = "mqtt://127.0.0.1:{broker_port}"\nwindow = 20\n',
            f'[[line]]\nname = "l"\nurl = "opc.tcp://127.0.0.1:{port}/bench"\n',
            'security = "none"\ntimeout = "10s"\n']  # fmt: skip
    text += [f'[[instrument]]\nname = "i{place}"\nline = "l"\nprofile = "bench.toml"\nnode = "{place + 1}"\n'
             'every = "1s"\n' for place in range(instruments)]  # fmt: skip
    site = folder / "site.toml"
    site.write_text("\n".join(text))
    return site


def _case(instruments: int, goal: float) -> dict:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(process(sys.executable, str(HERE / "opcua_server.py")))
        mqtt = stack.enter_context(broker(folder))
        site = _site(folder, mqtt, int(server.stdout.readline()), instruments)
        began = time.monotonic()
        agent = stack.enter_context(process(sys.executable, str(HERE / "opcua_agent.py"), str(site)))
        first_delivered(folder, began)
        time.sleep(SETTLED_S)

        def told() -> tuple[int, int]:
            server.stdin.write("\n")
            server.stdin.flush()
            return int(server.stdout.readline()), ask(folder)["uplinks"]["park"]["delivered"]

        (ticks, delivered), cpu, began = told(), cpu_seconds(agent.pid), time.monotonic()
        time.sleep(SECONDS)
        (more, now), spent, took = told(), cpu_seconds(agent.pid) - cpu, time.monotonic() - began
        rss = resident_mb(agent.pid)
        agent.send_signal(signal.SIGUSR1)
        time.sleep(PULSE_S)
        agent.send_signal(signal.SIGTERM)
        slice_ms = float(agent.stdout.readline())
        return {"nodes": instruments * POINTS, "changes_per_s": round((now - delivered) * POINTS / took),
                "periods": more - ticks, "periods_delivered": round((now - delivered) / instruments, 2),
                "cpu_percent": round(100 * spent / took, 2), "goal": goal, "rss_mb": round(rss, 1),
                "slice_ms": slice_ms}  # fmt: skip


def figures() -> list[dict]:
    return [_case(*case) for case in CASES]


def table(rows: list[dict]) -> Table:
    found = Table(title="OPC UA subscriptions: every node changes each second; the slice is CPU time, at most")
    shown = ("nodes", "changes_per_s", "periods", "periods_delivered", "cpu_percent", "goal", "rss_mb", "slice_ms")
    for column in ("nodes", "changes/s", "periods", "delivered", "CPU %", "goal", "MB", "longest slice ms"):
        found.add_column(column, justify="right")
    for row in rows:
        found.add_row(*(str(row[key]) for key in shown))
    return found
