"""`make bench`: what the agent costs, beside a floor of the same libraries in the same run.

Instruments, broker and agent are processes of their own; CPU is user + system of the agent from /proc, in percent of
one core. Every figure with a floor is also a ratio. `requests`, `serial`, `dead`, `opcua` and `readings` are tables of
their own, in questions.py, lines.py, opcua.py and readings.py. Prints the tables and writes benchmarks/results.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lines
import opcua
import questions
import readings
from processes import ask, broker, cpu_seconds, first_delivered, process, resident_mb, written
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

HERE = Path(__file__).parent
REQUESTS = "requests"
TABLES = {REQUESTS: questions, "serial": lines.Serial, "dead": lines.Dead, "opcua": opcua, "readings": readings}


@contextmanager
def farm(count: int, points: int) -> Iterator[list[int]]:
    with process(sys.executable, str(HERE / "instruments.py"), str(count), str(2 * points)) as child:
        yield json.loads(child.stdout.readline())


def write_site(folder: Path, broker_port: int, ports: list[int], points: int, every_ms: int) -> Path:
    rows = [f'p{place:03d} = {{ at = "input {2 * place}", type = "float32", range = [0, 300], digits = 2 }}'
            for place in range(points)]  # fmt: skip
    (folder / "bench.toml").write_text('protocol = "modbus"\ntitle = "Bench"\n[points]\n' + "\n".join(rows) + "\n")
    text = [f'[gateway]\nsite = "bench"\nid = "gw"\ndata = "{folder / "data"}"\n',
            f'[[uplink]]\nname = "park"\nurl = "mqtt://127.0.0.1:{broker_port}"\nwindow = 20\n']  # fmt: skip
    for place, port in enumerate(ports):
        text.append(f'[[line]]\nname = "l{place}"\nurl = "modbus-tcp://127.0.0.1:{port}"\n')
        text.append(f'[[instrument]]\nname = "i{place}"\nline = "l{place}"\nprofile = "bench.toml"\n'
                    f'every = "{every_ms}ms"\n')  # fmt: skip
    site = folder / "site.toml"
    site.write_text("\n".join(text))
    return site


def measure_agent(load: dict, seconds: float) -> dict:
    with tempfile.TemporaryDirectory() as name, farm(load["instruments"], load["points"]) as ports:
        folder = Path(name)
        with broker(folder) as port:
            site = write_site(folder, port, ports, load["points"], load["every"])
            began = time.monotonic()
            with process(sys.executable, "-m", "parkgate.gateway.commands.main", "run", str(site),
                         stderr=subprocess.DEVNULL) as agent:  # fmt: skip
                first = first_delivered(folder, began)
                time.sleep(load.get("warm", 5))
                figures = window(agent.pid, seconds, lambda: ask(folder))
                figures["first_s"] = first
                return finish(figures, load)


def window(pid: int, seconds: float, account) -> dict:
    before, cpu, disk, began = account(), cpu_seconds(pid), written(pid), time.monotonic()
    peak = resident_mb(pid)
    while time.monotonic() - began < seconds:
        time.sleep(1)
        peak = max(peak, resident_mb(pid))
    spent, took, wrote, after = cpu_seconds(pid) - cpu, time.monotonic() - began, written(pid) - disk, account()
    return {"before": before, "after": after, "cpu": spent, "seconds": took, "disk": wrote, "rss_mb": peak}


def finish(figures: dict, load: dict) -> dict:
    before, after = figures.pop("before"), figures.pop("after")
    delivered = (after["uplinks"]["park"]["delivered"] - before["uplinks"]["park"]["delivered"]) * load["points"]
    return {
        "cpu_percent": round(100 * figures["cpu"] / figures["seconds"], 2),
        "points_per_s": round(delivered / figures["seconds"]),
        "us_per_point": round(1e6 * figures["cpu"] / max(1, delivered), 3),
        "per_core": round(delivered / max(1e-9, figures["cpu"])),
        "disk_bytes_per_point": round(figures["disk"] / max(1, delivered), 2),
        "rss_mb": round(figures["rss_mb"], 1),
        "waiting": after["uplinks"]["park"]["waiting"],
        **({"first_s": round(figures["first_s"], 2)} if "first_s" in figures else {}),
    }


def measure_floor(load: dict, seconds: float) -> dict:
    with tempfile.TemporaryDirectory() as name, farm(load["instruments"], load["points"]) as ports:
        folder = Path(name)
        with broker(folder) as port:
            command = (sys.executable, str(HERE / "floor.py"), str(port), str(folder / "floor.sqlite"),
                       str(load["points"]), str(load["every"]), *map(str, ports))  # fmt: skip
            with process(*command, stderr=subprocess.DEVNULL) as floor:
                time.sleep(3 + load.get("warm", 5))
                began, cpu, disk = time.monotonic(), cpu_seconds(floor.pid), written(floor.pid)
                time.sleep(seconds)
                spent, wrote = cpu_seconds(floor.pid) - cpu, written(floor.pid) - disk
                took = time.monotonic() - began
                rss = resident_mb(floor.pid)
                floor.stdin.close()
                floor.stdout.readline()
            points = load["instruments"] * load["points"] * took / (load["every"] / 1000)
            return {"cpu_percent": round(100 * spent / took, 2), "us_per_point": round(1e6 * spent / points, 3),
                    "disk_bytes_per_point": round(wrote / points, 2), "rss_mb": round(rss, 1)}  # fmt: skip


LOADS = {
    "100k": {"title": "100,000 points at 1 s, 100 instruments", "instruments": 100, "points": 1000, "every": 1000},
    "B": {"title": "B: 10,000 points at 1 s, 100 instruments", "instruments": 100, "points": 100, "every": 1000},
    "A": {"title": "A: 1,000 points at 1 s, 50 instruments", "instruments": 50, "points": 20, "every": 1000},
    "idle": {"title": "one idle instrument, 20 points at 1 s", "instruments": 1, "points": 20, "every": 1000},
    "saturation": {"title": "saturation: 20 instruments x 62 points, as fast as it goes",
                   "instruments": 20, "points": 62, "every": 5, "alone": True},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loads", nargs="*", choices=[*LOADS, *TABLES, []], help="which; all without it")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="agent and floor in turn; medians are shown")
    arguments = parser.parse_args()
    results = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(), "loads": {}}
    chosen = arguments.loads or [*LOADS, *TABLES]
    for name in [each for each in chosen if each in TABLES]:
        results[name] = TABLES[name].figures()
        Console(width=100).print(TABLES[name].table(results[name]))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for name in [each for each in chosen if each not in TABLES]:
            load = LOADS[name]
            task = bar.add_task(load["title"], total=None)
            rounds = [measure(load, arguments.seconds) for _ in range(arguments.rounds)]
            results["loads"][name] = {"title": load["title"], **summed_up(rounds), "rounds": rounds}
            bar.update(task, total=1, completed=1)
    if results["loads"]:
        show(results)
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def measure(load: dict, seconds: float) -> dict:
    agent = measure_agent(load, seconds)
    return {"agent": agent} if load.get("alone") else {"agent": agent, "floor": measure_floor(load, seconds)}


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def summed_up(rounds: list[dict]) -> dict:
    agent = {key: median([each["agent"][key] for each in rounds]) for key in rounds[0]["agent"]}
    if "floor" not in rounds[0]:
        return {"agent": agent}
    floor = {key: median([each["floor"][key] for each in rounds]) for key in rounds[0]["floor"]}
    pairs = [(each["agent"], each["floor"]) for each in rounds]
    ratios = {key: round(median([agent[key] / max(1e-9, floor[key]) for agent, floor in pairs]), 2)
              for key in ("cpu_percent", "disk_bytes_per_point")}  # fmt: skip
    return {"agent": agent, "floor": floor, "ratio": ratios}


def show(results: dict) -> None:
    table = Table(title=f"{results['cores']} cores, {results['machine']}, Python {results['python']}")
    columns = (
        "load", "points/s", "CPU %", "floor %", "ratio", "µs/point", "points/s per core", "disk B/point", "floor B",
        "ratio", "MB", "first s", "waiting",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column == "load" else "right")
    for load in results["loads"].values():
        agent, floor, ratio = load["agent"], load.get("floor", {}), load.get("ratio", {})
        cells = (
            agent["points_per_s"],
            agent["cpu_percent"],
            floor.get("cpu_percent", ""),
            ratio.get("cpu_percent", ""),
            agent["us_per_point"],
            agent["per_core"],
            agent["disk_bytes_per_point"],
            floor.get("disk_bytes_per_point", ""),
            ratio.get("disk_bytes_per_point", ""),
            agent["rss_mb"],
            agent["first_s"],
            agent["waiting"],
        )
        table.add_row(load["title"], *map(str, cells))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
