"""`make chaos`: everything that pulls plugs, at length, in one table; `make chaos CHAOS="days damage"` for some of it.

What it takes: about three hours on two cores, most of them the mutants and the soak. Root is needed for network
namespaces and cgroups; a run that cannot be made says so and counts as failed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from chaos.row import Row
from rich.console import Console
from rich.table import Table

LONG: dict[str, dict[str, int]] = {
    "power_cuts": {"images": 200_000},
    "damage": {"count": 1_000, "seed": 1},
    "days": {},
    "small_disk": {},
    "real_disk": {},
    "crash_loop": {"cycles": 300},
    "backlog": {"rows": 1_000_000},
    "fates": {},
    "clocks": {},
    "half_open": {},
    "opcua_restarts": {"restarts": 50, "seed": 1},
    "modbus_faults": {"count": 10_000, "lines": 50},
    "slow_flash": {"seconds": 120},
    "soak": {"minutes": 30},
    "mutants": {"sample": 300},
}
"""Every run, in the order of running, and how long a long one is: the arguments of its module's `run`."""


def tried(name: str) -> Sequence[Row]:
    """Make one long run."""
    run: Callable[..., Any] = import_module(f"chaos.{name}").run
    try:
        found = run(**LONG[name])
        rows: Sequence[Row] = asyncio.run(found) if asyncio.iscoroutine(found) else found
    except Exception as error:  # noqa: BLE001  # one run that breaks is a row of the table; the others are made
        return [Row("", f"{type(error).__name__}: {error}", "a run to its end", ok=False)]
    return rows


def main(names: Sequence[str]) -> int:
    """Make the runs that are named, or all; tell whether each reached its goal."""
    if unknown := set(names) - set(LONG):
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(LONG)}\n")
        return 2
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "case", "figure", "goal", ""):
        table.add_column(column, overflow="fold")
    passed = True
    for name in names or LONG:
        began = time.monotonic()
        rows = tried(name)
        console.print(f"{name}: {time.monotonic() - began:.0f} s")
        for row in rows:
            passed = passed and row.ok
            mark = "[green]ok[/]" if row.ok else "[red]failed[/]"
            table.add_row(name, row.case, row.figure, row.goal, mark)
    console.print(table)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
