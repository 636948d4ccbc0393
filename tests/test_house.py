"""The house keeps its rules: pure files stay pure, rooms import only what they may, sizes stay below their ceilings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("config", "drivers", "gateway", "simulator")
SOURCES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))

PURE = (
    "config/alarm.py",
    "config/alarm_checks.py",
    "config/conversions.py",
    "config/derived.py",
    "config/derived_checks.py",
    "config/flag.py",
    "config/line_checks.py",
    "config/locate.py",
    "config/login_checks.py",
    "config/model.py",
    "config/point_checks.py",
    "config/profile.py",
    "config/quantity.py",
    "config/site.py",
    "config/site_checks.py",
    "config/unit_checks.py",
    "config/urls.py",
    "config/window.py",
    "drivers/*/address.py",
    "drivers/*/assistant.py",
    "drivers/*/changes.py",
    "drivers/*/codec.py",
    "drivers/*/endpoint.py",
    "drivers/*/filling.py",
    "drivers/*/frames.py",
    "drivers/*/gaps.py",
    "drivers/*/identification.py",
    "drivers/*/meaning.py",
    "drivers/*/misfits.py",
    "drivers/*/notifications.py",
    "drivers/*/plan.py",
    "drivers/*/rests.py",
    "drivers/*/route.py",
    "drivers/*/semantics.py",
    "drivers/*/trust.py",
    "drivers/*/wire_time.py",
    "drivers/*/scanning.py",
    "drivers/opcua/drafting.py",
    "drivers/opcua/legible.py",
    "drivers/opcua/looking.py",
    "drivers/opcua/naming.py",
    "drivers/opcua/present.py",
    "drivers/opcua/probing.py",
    "drivers/opcua/space.py",
    "drivers/opcua/units.py",
    "drivers/application.py",
    "drivers/faults.py",
    "drivers/identity.py",
    "drivers/numbers.py",
    "drivers/snapshot.py",
    "gateway/backoff.py",
    "gateway/collecting/origins.py",
    "gateway/collecting/schedule.py",
    "gateway/forwarding/dialect.py",
    "gateway/forwarding/lanes.py",
    "gateway/forwarding/ramp.py",
    "gateway/forwarding/refused.py",
    "gateway/forwarding/standing.py",
    "gateway/forwarding/verdicts.py",
    "gateway/forwarding/window.py",
    "gateway/commands/browse_choice.py",
    "gateway/commands/browse_profile.py",
    "gateway/commands/browse_tree.py",
    "gateway/commands/probe_nodes_table.py",
    "gateway/messages/*.py",
    "gateway/processing/*.py",
    "gateway/timekeeping.py",
    "gateway/storing/holes.py",
    "gateway/storing/pace.py",
    "gateway/storing/pages.py",
    "gateway/heartbeat.py",
    "gateway/storing/progress.py",
    "gateway/storing/refusals.py",
    "gateway/storing/retention.py",
    "gateway/storing/seal.py",
    "gateway/storing/wal.py",
    "simulator/books.py",
    "simulator/device.py",
    "simulator/episode.py",
    "simulator/episode_checks.py",
    "simulator/identification.py",
    "simulator/image.py",
    "simulator/moved_site.py",
    "simulator/ranges.py",
    "simulator/received.py",
    "simulator/reconcile.py",
    "simulator/rtu.py",
    "simulator/shapes.py",
    "simulator/trouble.py",
    "simulator/wire.py",
    "simulator/world.py",
)
"""Decide, then do: these decide. Time, chance and I/O are handed to them."""

IMPURE_MODULES = frozenset({
    "asyncio", "asyncua", "concurrent", "http", "iotcore", "logging", "multiprocessing", "os", "paho",
    "pymodbus", "secrets", "select", "selectors", "signal", "socket", "sqlite3", "sqlite_utils", "ssl",
    "subprocess", "tempfile", "threading", "time", "urllib.request", "uvloop",
})  # fmt: skip
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval"})
IMPURE_ATTRIBUTES = frozenset({"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"})

BOUNDARIES = {
    "gateway/supervisor.py": "a supervised loop: the other loops go on",
    "gateway/collecting/collector.py": "one instrument's turn: flagged and told; the others on its line go on",
    "gateway/forwarding/dialing.py": "a thread: raised where the caller waits",
    "gateway/forwarding/publisher.py": "the caller's callback: handed to whoever waits for the connection's end",
    "gateway/forwarding/wire.py": "the library's step: whatever it was, the connection is over",
}
"""The only places that may catch everything, once each, and what becomes of it."""


def tree(source):
    return ast.parse((ROOT / source).read_text(encoding="utf-8"))


def nodes(source, *kinds):
    return [node for node in ast.walk(tree(source)) if isinstance(node, kinds)]


def imported(source):
    """Give the modules that a file imports, at its top or within a function."""
    found = {alias.name for node in nodes(source, ast.Import) for alias in node.names}
    return found | {node.module for node in nodes(source, ast.ImportFrom) if node.module}


def impurities(source):
    modules = imported(source)
    yield from (name for name in modules if name in IMPURE_MODULES or name.partition(".")[0] in IMPURE_MODULES)
    for call in nodes(source, ast.Call):
        function = call.func
        if isinstance(function, ast.Name) and function.id in IMPURE_CALLS:
            yield f"{function.id}()"
        if isinstance(function, ast.Attribute):
            owner = function.value.id if isinstance(function.value, ast.Name) else ""
            if function.attr in IMPURE_ATTRIBUTES or owner == "random":
                yield f"{owner}.{function.attr}()"


def pure_sources():
    return sorted({path for pattern in PURE for path in ROOT.glob(pattern)})


@pytest.mark.parametrize("pattern", PURE)
def test_a_pure_file_is_there(pattern):
    assert list(ROOT.glob(pattern))


@pytest.mark.parametrize("path", pure_sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_file_has_no_clock_no_chance_and_no_io(path):
    assert sorted(impurities(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from asyncio import sleep",
        "def f():\n    import sqlite3",
        "from paho.mqtt import client",
        "open('x')",
        "import datetime\ndatetime.datetime.now()",
        "import random\nrandom.random()",
    ],
)
def test_an_impure_line_would_be_noticed(tmp_path, line):
    file = tmp_path / "plan.py"
    file.write_text(line, encoding="utf-8")
    assert list(impurities(file))


def functions(source):
    return nodes(source, ast.FunctionDef, ast.AsyncFunctionDef)


def length(node):
    return node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_file_stays_below_its_ceilings(source):
    assert len((ROOT / source).read_text(encoding="utf-8").splitlines()) <= 400
    assert [each.name for each in functions(source) if length(each) > 60] == []
    crowded = [
        each.name
        for each in nodes(source, ast.ClassDef)
        if sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in each.body) > 20
    ]
    assert crowded == []


def test_nine_functions_in_ten_have_at_most_25_lines():
    lengths = [length(each) for source in SOURCES for each in functions(source)]
    assert sum(each <= 25 for each in lengths) >= 0.9 * len(lengths)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_file_says_what_it_is(source):
    assert ast.get_docstring(tree(source))


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_file_is_named_after_its_content(source):
    assert source.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "core"}


def catches(source):
    """Give the handlers of a file that catch everything: bare, Exception or BaseException."""
    for handler in nodes(source, ast.ExceptHandler):
        names = {each.id for each in ast.walk(handler.type) if isinstance(each, ast.Name)} if handler.type else {""}
        if names & {"", "Exception", "BaseException"}:
            yield handler, names


def test_everything_is_caught_only_at_the_boundaries_and_there_once():
    found = [str(source) for source in SOURCES for _, names in catches(source) if "BaseException" not in names]
    assert sorted(found) == sorted(BOUNDARIES)


def test_what_ends_a_program_or_a_task_is_raised_again():
    last = [(str(source), handler.body[-1]) for source in SOURCES for handler, names in catches(source)
            if "BaseException" in names]  # fmt: skip
    assert [source for source, line in last if not isinstance(line, ast.Raise)] == []


def written():
    """Give every text file that people write: not what tools make."""
    made = {".git", ".venv", "build", "work", "requirements.lock", "requirements-dev.lock", "results.json"}
    kinds = {".py", ".toml", ".md", ".sh", ".service", ".conf", ".csv", ""}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in made or "cache" in part or part.endswith(".egg-info") for part in parts)
        if path.is_file() and path.suffix in kinds and not hidden and parts[0] != ".hypothesis":
            yield path


def test_no_work_is_left_marked_for_later():
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
    marked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in written()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if marks.search(line)
    ]
    assert marked == []


def test_there_are_at_least_as_many_lines_of_tests_as_of_code():
    tests = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    assert tests >= sum(len((ROOT / source).read_text(encoding="utf-8").splitlines()) for source in SOURCES)


def test_the_rooms_import_only_what_they_may():
    linter = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert " 0 broken" in told.stdout
