"""The processes of a benchmark, and what the kernel says that they cost."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@contextmanager
def process(*command: str, **options) -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    with process(MOSQUITTO, "-c", str(config), stderr=subprocess.DEVNULL):
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def written(pid: int) -> int:
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


def ask(folder: Path) -> dict:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(str(folder / "data" / "control.sock"))
        agent.sendall(b'{"verb":"account"}\n')
        with agent.makefile() as lines:
            return json.loads(lines.readline())


def first_delivered(folder: Path, began: float) -> float:
    while time.monotonic() - began < 30:
        try:
            if ask(folder)["uplinks"]["park"]["delivered"] > 0:
                return time.monotonic() - began
        except (OSError, KeyError, ValueError):
            pass
        time.sleep(0.02)
    raise SystemExit("the agent delivered nothing in 30 s")
