"""Does the suite notice? The code that must not lose a record is changed, one place at a time, and its tests are run.

`PYTHONPATH=tests python -m chaos.mutants 300` makes 300 mutants by cosmic-ray's operators, a seeded sample, and the
named ones of `tests/cases/mutants/named.toml`, each in a copy of the tree. One is killed when a test fails or hangs.

What cannot matter is no mutant. Two trees that are the same less the following are the same program:

- annotations, which `from __future__ import annotations` makes texts that nobody reads here, and `typing.Protocol`s;
- what is written to the log;
- the bare `*` of a signature, which cosmic-ray takes for an operator;
- the options of `@dataclass`: frozen and slots guard against mistakes, no run depends on them;
- decimal numbers that a module names, as `NOTE_EVERY = 5.0`: how many seconds or bytes is chosen, one more serves as
  well, and a test of it would only say the number again. Hexadecimal ones are codes of a protocol and are mutants.

Nor are `==` for `is` and the like mutants: what they tell apart, equal numbers and texts that are two objects, is the
interpreter's choice.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from chaos.row import Row
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).parents[2]
NAMED = ROOT / "tests/cases/mutants/named.toml"
ROOMS = ("config", "drivers", "gateway", "simulator")
GOAL = 95
"""Percent of the generated mutants that must be killed."""
START = 8.0
"""Seconds that pytest may take to begin, on a loaded machine."""
HANG = 45
"""Seconds after which one test is taken to hang; the longest takes five, and ten beside another."""
_NOT_COPIED = shutil.ignore_patterns(".*", "build", "work", "*.egg-info", "__pycache__")
_SAME = re.compile(r"ComparisonOperator_(Eq_Is|NotEq_IsNot|Is_Eq|IsNot_NotEq)$")
_HUNG = re.compile(r'/(tests/\S+\.py)", line')
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)

_STORING, _FORWARDING = "tests/gateway/storing/test_{}.py", "tests/gateway/forwarding/test_{}.py"
_STORED = tuple(_STORING.format(name) for name in ("outbox", "reader", "keeper", "space", "migrations"))
_SENT = tuple(_FORWARDING.format(name) for name in ("lanes", "ramp", "refused", "verdicts", "forwarder"))
_LOOPS = tuple(_FORWARDING.format(name) for name in ("uplink", "waits", "forwarder"))
_DAMAGED = (_STORING.format("damage"),)
_SPOKEN = tuple(_FORWARDING.format(name) for name in ("publisher", "dialect", "forwarder", "publisher_mosquitto"))
_DAYS = (
    "tests/simulation/test_found.py",
    "tests/simulation/test_clock_steps.py::test_a_wrong_clock_loses_and_misorders_nothing[3600000]",
    "tests/simulation/test_days.py::test_a_day_of_faults_breaks_nothing_that_must_hold[1004]",
)
TESTS: dict[str, tuple[str, ...]] = {
    "gateway/storing/outbox.py": (*_STORED, _FORWARDING.format("forwarder"), *_DAYS),
    "gateway/storing/database.py": (*_STORED, _FORWARDING.format("forwarder"), *_DAYS, *_DAMAGED),
    "gateway/storing/reader.py": (_STORING.format("reader"), _FORWARDING.format("forwarder"), *_STORED, *_DAYS),
    "gateway/storing/pace.py": (_STORING.format("pace"), *_STORED),
    "gateway/storing/progress.py": (_STORING.format("progress"), *_STORED, _FORWARDING.format("forwarder"), *_DAYS),
    "gateway/storing/space.py": (_STORING.format("space"), *_STORED, *_DAYS),
    "gateway/forwarding/forwarder.py": (*_LOOPS, *_DAYS, "tests/gateway/test_agent.py"),
    "gateway/forwarding/session.py": (*_LOOPS, *_DAYS, "tests/gateway/test_agent.py"),
    "gateway/forwarding/lanes.py": (*_SENT, *_DAYS),
    "gateway/forwarding/publisher.py": _SPOKEN,
    "gateway/forwarding/ramp.py": (_FORWARDING.format("ramp"), *_SENT, *_DAYS),
    "gateway/forwarding/refused.py": (_FORWARDING.format("refused"), *_SENT, *_DAYS),
    "gateway/forwarding/verdicts.py": (_FORWARDING.format("verdicts"), *_SENT, *_DAYS),
    "gateway/forwarding/window.py": (_FORWARDING.format("window"), _FORWARDING.format("forwarder"), *_DAYS),
    "gateway/forwarding/listening.py": (_FORWARDING.format("listening"), _FORWARDING.format("forwarder"), *_DAYS),
    "gateway/forwarding/quarantine.py": (_FORWARDING.format("forwarder"), *_DAYS),
    "gateway/forwarding/trade.py": (_FORWARDING.format("trade"), *_SENT, "tests/gateway/test_status.py", *_DAYS),
}
"""Each file that is mutated, and its tests: the nearest and the fastest first."""
LEFT_OUT = ("tests/gateway/storing/test_damage.py::test_sixty_damaged_outboxes",)
"""Tests that take too long for what they find here."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file, and the tests that have to notice."""

    name: str
    file: str
    line: int
    source: str
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """Give what tells it apart from any other, over runs."""
        return hashlib.sha256(f"{self.name}\n{self.file}\n{self.source}".encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """Give where it is."""
        return f"{self.file}:{self.line}"

    def diff(self) -> str:
        """Give what is changed."""
        before = _original(self.file).splitlines()
        return "\n".join(difflib.unified_diff(before, self.source.splitlines(), self.file, self.name, lineterm="", n=2))


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: the test that killed it, or nothing, and how long it took."""

    key: str
    by: str
    seconds: int


class _Plain(ast.NodeTransformer):
    """Takes away what does not change what a program does."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Make the decimal numbers that it names alike."""
        for each in node.body:
            if isinstance(each, ast.Assign) and all(map(_is_named, each.targets)) and _is_numbers(each.value):
                each.value = ast.Constant(0)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | None:
        """Drop protocols, and the options of dataclasses."""
        if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
            return None
        for each in node.decorator_list:
            if isinstance(each, ast.Call):
                each.keywords = []
        return self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """Put all arguments behind the bare `*`."""
        node.kwonlyargs = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.kw_defaults = [*node.defaults, *(each for each in node.kw_defaults if each is not None)]
        node.posonlyargs, node.args, node.defaults = [], [], []
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop its annotation."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop what it says it gives."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Drop what it says it gives."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Drop its annotation."""
        node.annotation = ast.Constant(0)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Drop what goes to the log."""
        return ast.Pass() if ast.unparse(node).startswith("_log.") else self.generic_visit(node)


def _is_named(target: ast.expr) -> bool:
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    return all(isinstance(name, ast.Name) and name.id.isupper() for name in names)


def _is_numbers(value: ast.expr) -> bool:
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    values = [part.operand if isinstance(part, ast.UnaryOp) else part for part in parts]
    return all(isinstance(part, ast.Constant) and type(part.value) in (int, float) for part in values)


def plain(source: str) -> str:
    """Give what a program does, for comparing: two that give the same are the same."""
    # A code of a protocol is no number that could as well be another one.
    return ast.dump(_Plain().visit(ast.parse(re.sub(r"\b(0x[0-9A-Fa-f_]+)", r"int(\1)", source))))


def _original(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _places(files: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
    """Give every place in files: file, operator, the how-manieth of the operator in the file, line."""
    operators = [
        name for name in sorted(operator_names()) if not get_operator(name).arguments() and not _SAME.search(name)
    ]
    for file in files:
        nodes = list(ast_nodes(get_ast(_original(file))))
        for name in operators:
            operator = get_operator(name)()
            lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
            yield from ((file, name, occurrence, line) for occurrence, line in enumerate(lines))


def generated(sample: int, seed: int, files: Sequence[str] = tuple(TESTS)) -> list[Mutant]:
    """Give a seeded sample of all mutants of files that cosmic-ray can make and that can matter."""
    places = list(_places(files))
    random.Random(seed).shuffle(places)
    seen = {file: {plain(_original(file))} for file in files}
    found: list[Mutant] = []
    for file, name, occurrence, line in places:
        if len(found) == sample:
            break
        source = mutate_code(_original(file), get_operator(name)(), occurrence)
        try:
            does = plain(source)
        except SyntaxError:
            continue
        if does not in seen[file]:
            seen[file].add(does)
            found.append(Mutant(name.removeprefix("core/"), file, line, source, TESTS[file]))
    return found


def named() -> list[Mutant]:
    """Give the mutants that have a name: mistakes that somebody could make, each of which loses something."""
    found = []
    for each in tomllib.loads(NAMED.read_text(encoding="utf-8"))["mutant"]:
        before = _original(each["file"])
        if before.count(each["old"]) != 1:
            raise ValueError(f"{each['name']}: {each['old']!r} is not once in {each['file']}")
        line = before[: before.index(each["old"])].count("\n") + 1
        source = before.replace(each["old"], each["new"])
        found.append(Mutant(each["name"], each["file"], line, source, tuple(each["tests"])))
    return found


class Copy:
    """A copy of the tree whose `parkgate` is its own, to run tests in."""

    def __init__(self, folder: Path, of: Path = ROOT) -> None:
        self.tree = folder / "tree"
        self._temporary = folder / "t"
        shutil.copytree(of, self.tree, symlinks=True, ignore=_NOT_COPIED if of == ROOT else None)
        rooms = folder / "path" / "parkgate"
        rooms.mkdir(parents=True)
        for room in ROOMS:
            (rooms / room).symlink_to(self.tree / room)
        self._environment = {name: value for name, value in os.environ.items() if name != "CI"}
        self._environment["PYTHONPATH"] = str(rooms.parent)

    def imports_itself(self) -> bool:
        """Tell whether what is imported is the copy."""
        code = "import parkgate.gateway.storing.outbox as m; print(m.__file__)"
        asked = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.tree,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(asked.stdout.strip()).resolve() == (self.tree / "gateway/storing/outbox.py").resolve()

    def tested(self, tests: Sequence[str], seconds: float, *more: str) -> str:
        """Run tests in their order until one fails or hangs; give that one, nothing if all passed."""
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", f"--basetemp={self._temporary}"]
        options += ["-o", f"faulthandler_timeout={HANG}", "-o", "faulthandler_exit_on_timeout=true"]
        options += [word for test in LEFT_OUT for word in ("--deselect", test)]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *more, *dict.fromkeys(tests)],
            cwd=self.tree, env=self._environment, start_new_session=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"over {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # brokers that a hanging test left behind too
            process.communicate()
            self._unmount()
        if process.returncode == 0:
            return ""
        failed = _FAILED.search(said)
        if failed is None and "Timeout (" in said:
            hung = _HUNG.findall(said.partition("Timeout (")[2])
            return f"a test over {HANG} s: {hung[-1] if hung else 'unknown'}"
        return failed[1] if failed else f"exit {process.returncode}: {' '.join(said.split()[-12:])}"

    def _unmount(self) -> None:
        """Take off the disks that a hanging test left behind."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        for mount in mounts:
            if mount.startswith(f"{self._temporary}/"):
                subprocess.run(["umount", "--lazy", mount], check=False)

    def seconds(self, tests: Sequence[str]) -> dict[str, float]:
        """Run tests without a mutant; give the seconds that each file took.

        Raises:
            RuntimeError: one fails, so that none of them could tell a mutant.

        """
        report = self._temporary.with_name("report.xml")
        if failed := self.tested(tests, 1_200, f"--junitxml={report}"):
            raise RuntimeError(f"without any mutant, {failed} fails")
        taken = {test.partition("::")[0]: 0.0 for test in tests}
        for case in ET.parse(report).iter("testcase"):
            file = case.attrib["classname"].replace(".", "/") + ".py"
            taken[file] = taken.get(file, 0.0) + float(case.attrib["time"])
        return taken

    def freeze(self) -> None:
        """Compile nothing to a file from now on: what was compiled saves time, and no mutant may leave anything."""
        self._environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def fate(self, mutant: Mutant, taken: Mapping[str, float]) -> Fate:
        """Run a mutant's tests on it."""
        place = self.tree / mutant.file
        before = place.read_bytes()
        limit = 3 * (START + sum(taken[test.partition("::")[0]] for test in dict.fromkeys(mutant.tests)))
        began = time.monotonic()
        try:
            place.write_text(mutant.source, encoding="utf-8")
            by = self.tested(mutant.tests, limit)
            return Fate(mutant.key, by, round(time.monotonic() - began))
        finally:
            place.write_bytes(before)


def _known(journal: Path | None) -> dict[str, Fate]:
    """Give those that a run with this journal has killed; survivors are tried again, by tests that may be new."""
    fates: list[Fate] = []
    if journal is not None and journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of an interrupted run may be half
                fates.append(Fate(**json.loads(line)))
    return {fate.key: fate for fate in fates if fate.by}


def _fates(
    mutants: Sequence[Mutant], workers: int, journal: Path | None, console: Console
) -> tuple[dict[str, Fate], list[str]]:
    """Run all that the journal does not know; tell each survivor as it is found.

    Gives with the fates what fails in the copies afterwards, without a mutant: it would have killed by itself.
    """
    tests = list(dict.fromkeys(test for each in mutants for test in each.tests))
    fates = _known(journal)
    left = [mutant for mutant in mutants if mutant.key not in fates]
    bar = Progress(TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(workers) as pool:
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        made = [Copy(Path(folder) / "0")]
        taken = made[0].seconds(tests)
        made += [Copy(Path(folder) / str(number), made[0].tree) for number in range(1, workers)]
        for copy in made:
            if not copy.imports_itself():
                raise RuntimeError("the copy of the tree does not import itself")
            copy.freeze()
            copies.put(copy)
        each = ", ".join(f"{Path(test).stem} {seconds:.0f}" for test, seconds in taken.items() if seconds > 1)
        console.print(f"without a mutant all pass, in {sum(taken.values()):.0f} s: {each}")

        def lived(mutant: Mutant) -> Fate:
            copy = copies.get()
            try:
                return copy.fate(mutant, taken)
            finally:
                copies.put(copy)

        with bar:
            task = bar.add_task("", total=len(mutants), completed=len(mutants) - len(left))
            tries = {pool.submit(lived, mutant): mutant for mutant in left}
            try:
                for done in as_completed(tries):
                    fate, mutant = done.result(), tries[done]
                    fates[fate.key] = fate
                    if journal is not None:
                        with journal.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(asdict(fate)) + "\n")
                    if not fate.by:
                        console.print(f"survives: {mutant.place} {mutant.name}", soft_wrap=True)
                    bar.advance(task)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        after = [failed for failed in pool.map(lambda copy: copy.tested(tests, 1_200), made) if failed]
    return fates, after


def run(
    sample: int = 300, seed: int = 1, workers: int = 2, *, survivors: Path | None = None, journal: Path | None = None
) -> list[Row]:
    """Make the mutants and run their tests; give how many were killed, of the generated and of the named ones."""
    console = Console(highlight=False)
    groups = {"generated mutants": generated(sample, seed), "named mutants": named()}
    fates, after = _fates([mutant for group in groups.values() for mutant in group], workers, journal, console)
    alive = {case: [mutant for mutant in group if not fates[mutant.key].by] for case, group in groups.items()}
    if survivors is not None:
        told = [f"{mutant.place} {mutant.name}\n{mutant.diff()}\n" for group in alive.values() for mutant in group]
        survivors.write_text("\n".join(told), encoding="utf-8")
    control = ", ".join(after) or "none fails"
    rows = [Row("the same tests without a mutant, before and behind", control, "none fails", not after)]
    for case, least in (("generated mutants", GOAL), ("named mutants", 100)):
        count = len(groups[case])
        killed = count - len(alive[case])
        part = 100 * killed / count if count else 100.0
        goal = f">= {least} %" if least < 100 else "all"
        rows.append(
            Row(
                f"{case} of the outbox and the uplink", f"{killed} of {count} killed, {part:.1f} %", goal, part >= least
            )
        )
    return rows


def main(words: Sequence[str]) -> int:
    """Run by hand."""
    parser = argparse.ArgumentParser(prog="python -m chaos.mutants", description=run.__doc__)
    parser.add_argument("sample", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--survivors", type=Path, metavar="FILE", help="write those that were not killed, with diffs")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="go on where a run with this file stopped")
    asked = parser.parse_args(words)
    rows = run(asked.sample, asked.seed, asked.workers, survivors=asked.survivors, journal=asked.journal)
    for row in rows:
        print(f"{row.case}: {row.figure} (goal: {row.goal})")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
