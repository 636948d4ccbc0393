"""What alarms, statistics and derived points cost beside validity alone. `make bench BENCH=readings`.

Both sites have 50 instruments of 62 points at 1 s, ranges and a state. On top, everything has statistics, a high alarm
on every fourth point and six derived points of each instrument. A minute passes within the window, so that its
statistics are closed, stored and sent in it. The processing of a snapshot is timed in this process, too.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from processes import ask, broker, cpu_seconds, first_delivered, process, resident_mb
from rich.table import Table

from parkgate.config.load import load_site
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.alarms import Watch
from parkgate.gateway.processing.averager import Averager
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.periods import MINUTE, periods
from parkgate.gateway.processing.statistics import Plan
from parkgate.gateway.processing.validity import Judge

HERE = Path(__file__).parent
INSTRUMENTS, POINTS, SETTLED_S = 50, 62, 5.0
MINUTES = 100
STATE = '[[state]]\nat = "holding 200"\nequals = 77\nflag = "fault"\n'


def _site(folder: Path, broker_port: int, ports: list[int], *, everything: bool) -> Path:
    alarm = ', alarms = [ { name = "high", above = 290, deadband = 5, delay = "10s" } ]' if everything else ""
    rows = [f'p{place:02d} = {{ at = "input {2 * place}", type = "float32", unit = "{"%" if place == 1 else "mg/m3"}", '
            f'range = [0, 300], digits = 2{alarm if place % 4 == 0 else ""} }}' for place in range(POINTS)]  # fmt: skip
    derived = [f'd{place} = {{ formula = "wet_to_dry", of = {{ c = "p{place:02d}", moisture = "p01" }}, digits = 2 }}'
               for place in range(2, 8)]  # fmt: skip
    profile = 'protocol = "modbus"\n[points]\n' + "\n".join(rows) + "\n"
    profile += "[derived]\n" + "\n".join(derived) + "\n" if everything else ""
    (folder / "bench.toml").write_text(profile + STATE)
    text = [f'[gateway]\nsite = "bench"\nid = "gw"\ndata = "{folder / "data"}"\n',
            f'[[uplink]]\nname = "park"\nurl = "mqtt://127.0.0.1:{broker_port}"\nwindow = 20\n']  # fmt: skip
    text += [f'[[line]]\nname = "l{place}"\nurl = "modbus-tcp://127.0.0.1:{port}"\n'
             f'[[instrument]]\nname = "i{place}"\nline = "l{place}"\nprofile = "bench.toml"\nevery = "1s"\n'
             + ("" if everything else "statistics = false\n") for place, port in enumerate(ports)]  # fmt: skip
    site = folder / "site.toml"
    site.write_text("\n".join(text))
    return site


def _agent(*, everything: bool) -> dict:
    """Give what a minute of the whole agent costs."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        farm = stack.enter_context(process(sys.executable, str(HERE / "instruments.py"), str(INSTRUMENTS), "400"))
        ports = json.loads(farm.stdout.readline())
        site = _site(folder, stack.enter_context(broker(folder)), ports, everything=everything)
        began = time.monotonic()
        agent = stack.enter_context(process(sys.executable, "-m", "parkgate.gateway.commands.main", "run", str(site)))
        first_delivered(folder, began)
        time.sleep(SETTLED_S)

        def read() -> int:
            return sum(each["stored"] for each in ask(folder)["instruments"].values())

        snapshots, cpu, began = read(), cpu_seconds(agent.pid), time.monotonic()
        time.sleep(MINUTE / 1000)
        spent, took = cpu_seconds(agent.pid) - cpu, time.monotonic() - began
        points = (read() - snapshots) * POINTS
        return {"points_per_s": round(points / took), "cpu_percent": round(100 * spent / took, 2),
                "us_per_point": round(1e6 * spent / points, 3), "per_core": round(points / spent),
                "rss_mb": round(resident_mb(agent.pid), 1)}  # fmt: skip


def _processing(*, everything: bool) -> float:
    """Give the microseconds a point that judging costs, and everything else if wanted, closing its minutes included."""
    with tempfile.TemporaryDirectory() as name:
        site = load_site(_site(Path(name), 1883, [502], everything=everything))
    (about,) = site.instruments
    judge, derive, watch = Judge.of(about, time.monotonic), derivers(site.instruments)[about.name], Watch(about, {})
    plan = Plan.of(about, site.statistics, periods(site.statistics, site.gateway.timezone))
    averager = Averager(plan, 0) if plan else None
    turns = [tuple(10.5 if place == 1 else (place * 7 + turn * 13) % 280 + 0.25 for place in range(POINTS))
             for turn in range(60)]  # fmt: skip
    began = time.process_time()
    for minute in range(MINUTES):
        for turn, values in enumerate(turns):
            at = minute * MINUTE + turn * 1_000
            snapshot = derive(judge(Snapshot(about.name, at, values, states=(0,) * len(about.states))))
            if watch:
                watch.take(snapshot, at / 1000)
            if averager:
                averager.take(snapshot, at)
        if averager:
            averager.close(averager.end(minute * MINUTE))
    return round(1e6 * (time.process_time() - began) / (MINUTES * 60 * POINTS), 3)


def figures() -> list[dict]:
    """Measure both, one behind the other."""
    rows = [{"site": title, **_agent(everything=everything), "processing_us": _processing(everything=everything)}
            for title, everything in (("validity alone", False), ("everything", True))]  # fmt: skip
    rows[1]["percent"] = round(100 * rows[1]["per_core"] / rows[0]["per_core"], 1)
    return rows


def table(rows: list[dict]) -> Table:
    found = Table(title="Alarms, statistics and derived points beside validity alone: 50 instruments, 62 points, 1 s")
    for column in (
        "site",
        "points/s",
        "CPU %",
        "µs/point",
        "points/s per core",
        "MB",
        "processing µs/point",
        "% (goal 75)",
    ):
        found.add_column(column, justify="left" if column == "site" else "right")
    for row in rows:
        found.add_row(*map(str, row.values()), *([] if len(row) > 7 else [""]))
    return found
