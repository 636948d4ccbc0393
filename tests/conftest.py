"""Rules for every test: none leaves a task behind, and where CI=true none is skipped.

It also makes `support` importable: pytest puts the folder of a conftest.py on the path.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os

import pytest
from hypothesis import HealthCheck, settings
from support import opcua_nodes

# Timings never decide a test. Where a change is judged the examples are the same each time, elsewhere new ones.
settings.register_profile(
    "parkgate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("parkgate")

SKIPPED: dict[str, str] = {}
"""Test or file -> why it was skipped, in this run."""


def _note(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        SKIPPED[report.nodeid] = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def _skips_count():
    return bool(SKIPPED) and os.environ.get("CI") == "true"


def pytest_runtest_logreport(report):
    _note(report)


def pytest_collectreport(report):
    _note(report)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Let what a test said reach the process that collects the reports, half of a character too."""
    return _sendable((yield))


def _sendable(said):
    match said:
        case str():
            return said.encode(errors="backslashreplace").decode()
        case dict():
            return {key: _sendable(each) for key, each in said.items()}
        case list() | tuple():
            return type(said)(map(_sendable, said))
    return said


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if _skips_count() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if _skips_count():
        terminalreporter.section("skipped, which CI=true does not allow", red=True)
        for name, reason in SKIPPED.items():
            terminalreporter.write_line(f"{name}: {reason}")


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # thousands of tests and all that they import stay: nobody looks through them again for garbage


def pytest_runtest_setup(item):
    opcua_nodes.share()
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture(autouse=True)
def _tasks_are_watched(request):
    """Set up first and so torn down last: what a test's fixtures started, they have ended by then."""
    function = getattr(request.function, "hypothesis", None)
    if inspect.iscoroutinefunction(function.inner_test if function else request.function):
        request.getfixturevalue("_no_task_left_behind")


@pytest.fixture
async def _no_task_left_behind():
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # what was cancelled last needs some turns of the loop to end
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    left = {task for task in left if not _of_an_instrument(task)}
    assert not left, f"tasks left behind: {left}"


def _of_an_instrument(task):
    """Tell a task of asyncua's server, which leaves the timers of its sessions to the end of the loop."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "/asyncua/server/" in code.co_filename
