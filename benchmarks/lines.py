"""Modbus lines at their limits: a serial port asked as fast as its baud rate allows, and dead lines beside living ones.

`make bench BENCH=serial` and `BENCH=dead`. The whole agent runs, with a broker; the instruments keep the books.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from processes import broker, cpu_seconds, first_delivered, process
from rich.table import Table
from serial_port import BITS, QUESTION

HERE = Path(__file__).parent
SECONDS = 15.0
SETTLED = 12
"""Answers of each unit before the figures are taken: what it is, then turns; the agent tidied its memory once."""
STATE = '[[state]]\nat = "holding 0"\nequals = 1\nflag = "fault"\n'


def _site(folder: Path, port: int, profile: str, lines: str) -> Path:
    (folder / "bench.toml").write_text(f'protocol = "modbus"\n{profile}')
    site = folder / "site.toml"
    site.write_text(f'[gateway]\nsite = "bench"\nid = "gw"\ndata = "{folder / "data"}"\n'
                    f'[[uplink]]\nname = "park"\nurl = "mqtt://127.0.0.1:{port}"\n{lines}')  # fmt: skip
    return site


def _agent(site: Path):
    return process(sys.executable, "-m", "parkgate.gateway.commands.main", "run", str(site))


def _more_than_fit(baud: int, registers: int) -> int:
    """Give how many units with a turn a second are a little too many: a question of registers and one of a state."""
    characters = 2 * QUESTION + (5 + 2 * registers) + 7
    silence = 1.75e-3 if baud > 19_200 else 3.5 * BITS / baud
    return int(1.05 / (characters * BITS / baud + 4 * silence)) + 1


class Serial:
    """What of a serial line's time is wire, and what a saturated port costs."""

    @staticmethod
    def figures() -> list[dict]:
        cases = [(9_600, 20, 97), (9_600, 125, 97), (115_200, 20, 93), (115_200, 125, 93)]
        return [Serial._case(*case) for case in cases]

    @staticmethod
    def _case(baud: int, registers: int, goal: int) -> dict:
        points = "".join(f'p{place} = {{ at = "input {place}", type = "uint16" }}\n' for place in range(registers))
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            wire = stack.enter_context(process(sys.executable, str(HERE / "serial_port.py"), str(baud)))
            port = stack.enter_context(broker(folder))
            line = f'[[line]]\nname = "l"\nurl = "modbus-rtu://{wire.stdout.readline().strip()}"\nbaudrate = {baud}\n'
            units = _more_than_fit(baud, registers)
            line += "".join(
                f'[[instrument]]\nname = "i{unit}"\nline = "l"\nunit = {unit}\nprofile = "bench.toml"\nevery = "1s"\n'
                for unit in range(1, 1 + units)
            )
            began = time.monotonic()
            agent = stack.enter_context(_agent(_site(folder, port, f"[points]\n{points}{STATE}", line)))
            first_delivered(folder, began)

            def told() -> tuple[float, float]:
                wire.stdin.write("\n")
                wire.stdin.flush()
                answers, seconds = wire.stdout.readline().split()
                return float(answers), float(seconds)

            while told()[0] < SETTLED * units:  # the line was opened, and its instruments were asked what they are
                time.sleep(0.1)

            (answers, used), cpu, began = told(), cpu_seconds(agent.pid), time.monotonic()
            time.sleep(SECONDS)
            (more, now), spent, took = told(), cpu_seconds(agent.pid) - cpu, time.monotonic() - began
        return {
            "baud": baud, "registers": registers, "units": units, "requests_per_s": round((more - answers) / took, 1),
            "wire_percent": round(100 * (now - used) / took, 1), "goal": goal,
            "cpu_percent": round(100 * spent / took, 2),
        }  # fmt: skip

    @staticmethod
    def table(rows: list[dict]) -> Table:
        found = Table(title="A saturated serial line: units asked once a second for so many registers and for a state")
        for column in ("baud", "registers", "units", "requests/s", "% of wire time", "goal", "CPU %"):
            found.add_column(column, justify="right")
        for row in rows:
            found.add_row(*map(str, row.values()))
        return found


class Dead:
    """How late 180 living instruments are asked beside 20 that refuse or say nothing."""

    LIVING, REFUSING, SILENT, EVERY_MS = 180, 10, 10, 1_000

    @staticmethod
    def figures() -> list[dict]:
        return [{"dead": dead, **Dead._case(dead=dead)} for dead in (False, True)]

    @staticmethod
    def _case(*, dead: bool) -> dict:
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            farm = stack.enter_context(
                process(sys.executable, str(HERE / "instruments.py"), str(Dead.LIVING), "40", str(Dead.SILENT))
            )
            ports = json.loads(farm.stdout.readline())
            living, silent = ports[: Dead.LIVING], ports[Dead.LIVING :]
            port = stack.enter_context(broker(folder))
            urls = [f"127.0.0.1:{each}" for each in living]
            if dead:
                urls += [f"127.0.0.1:{each}" for each in silent] + [
                    f"127.0.1.{n}:9" for n in range(1, 1 + Dead.REFUSING)
                ]
            lines = "".join(
                f'[[line]]\nname = "l{place}"\nurl = "modbus-tcp://{url}"\n[[instrument]]\nname = "i{place}"\n'
                f'line = "l{place}"\nprofile = "bench.toml"\nevery = "{Dead.EVERY_MS}ms"\n'
                for place, url in enumerate(urls)
            )
            points = "".join(f'p{place} = {{ at = "input {2 * place}", type = "float32" }}\n' for place in range(20))
            began = time.monotonic()
            stack.enter_context(_agent(_site(folder, port, f"[points]\n{points}", lines)))
            first_delivered(folder, began)
            time.sleep(5)
            start = time.time()
            time.sleep(SECONDS)
            farm.stdin.close()
            asked = [moment for moment in json.loads(farm.stdout.readline()) if moment > start]
        late = sorted((1_000 * moment) % Dead.EVERY_MS for moment in asked)
        late = [
            each - Dead.EVERY_MS if each > Dead.EVERY_MS - 60 else each for each in late
        ]  # a turn may be 50 ms early
        late.sort()
        return {"reads": len(late), "expected": round(Dead.LIVING * SECONDS * 1_000 / Dead.EVERY_MS),
                "p50_ms": round(late[len(late) // 2], 1), "p99_ms": round(late[int(0.99 * len(late))], 1),
                "p99_percent": round(100 * late[int(0.99 * len(late))] / Dead.EVERY_MS, 2)}  # fmt: skip

    @staticmethod
    def table(rows: list[dict]) -> Table:
        found = Table(title="180 instruments at 1 s; how late they are asked without and with 20 dead ones beside them")
        for column in ("dead", "reads", "of", "p50 ms", "p99 ms", "p99 % of the period (goal 5)"):
            found.add_column(column, justify="right")
        for row in rows:
            found.add_row(*map(str, row.values()))
        return found
