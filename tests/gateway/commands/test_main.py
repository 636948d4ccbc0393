"""`parkgate` itself: its verbs, its exit codes, and that nobody ever sees a traceback."""

import asyncio
import json
import os
import sys
from importlib.metadata import entry_points

import pytest
from support.cabinet import site_file

from parkgate.drivers.faults import Fault
from parkgate.gateway.commands import main as command
from parkgate.gateway.commands import schema

VERBS = {each.name for each in entry_points(group="parkgate.commands")}


async def parkgate(*words, language="en", **streams):
    """Run the command as a process: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "parkgate.gateway.commands.main", *map(str, words),
        stdin=asyncio.subprocess.DEVNULL, **{"stdout": asyncio.subprocess.PIPE, **streams},
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "PARKGATE_LANG": language},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (out or b"").decode(), err.decode()


@pytest.mark.parametrize("words", [(), ("fly",), ("--fly",)])
async def test_what_is_no_verb_is_a_mistake_of_usage_and_lists_the_verbs(words):
    code, out, err = await parkgate(*words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: parkgate")
    assert "Traceback" not in err


async def test_an_unknown_verb_is_answered_with_those_there_are():
    _, _, err = await parkgate("fly")
    assert all(verb in err for verb in VERBS)


@pytest.mark.parametrize("language", ["en", "zh_CN.UTF-8"])
async def test_help_lists_every_verb_with_a_sentence(language):
    code, out, err = await parkgate("--help", language=language)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    for verb in VERBS:
        assert any(len(line) > 1 and line[0] == verb for line in lines), verb


def test_the_verbs_are_listed_in_the_order_people_meet_them():
    assert set(command.ORDER) == VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_every_verb_explains_itself(verb):
    code, out, err = await parkgate(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: parkgate {verb}")


@pytest.mark.parametrize("verb", ["run", "check", "status"])
async def test_problems_of_a_site_file_go_to_stderr_with_exit_1_and_no_traceback(tmp_path, verb):
    site = site_file(tmp_path, more="nonsense = 1\n")
    code, out, err = await parkgate(verb, site)
    assert (code, out) == (1, "")
    assert err.startswith(f'{site}:22: instrument "stack-1", nonsense: ')
    assert "Traceback" not in err


def test_a_fault_is_told_on_stderr_in_its_three_parts(monkeypatch, capsys):
    def fail(_arguments):
        raise Fault("no connection", where="cems", hint="Check the cable.")

    monkeypatch.setattr(schema, "run", fail)
    assert command.main(["schema"]) == 1
    assert capsys.readouterr() == ("", "cems: no connection. Check the cable.\n")


def test_ctrl_c_is_no_accident(monkeypatch, capsys):
    def interrupted(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "run", interrupted)
    assert command.main(["schema"]) == 130
    assert capsys.readouterr() == ("", "")


async def test_a_reader_that_leaves_early_is_not_told_of_a_broken_pipe():
    there, here = os.pipe()
    os.close(there)
    try:
        code, _, err = await parkgate("schema", stdout=here)
    finally:
        os.close(here)
    assert (code, err) == (1, "")


async def test_what_is_no_text_of_the_terminal_is_written_as_an_escape_and_stays_json():
    script = (
        "import json, sys; from parkgate.gateway.commands import main;"
        "verb = type('Verb', (), {'HELP': 'x', 'add_arguments': lambda _: None, 'run': lambda _: print("
        "json.dumps('\\udcff 二', ensure_ascii=False)) or 0});"
        "main.entry_points = lambda group: [type('E', (), {'name': 'status', 'load': lambda self: verb})()];"
        "sys.exit(main.main(['status']))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out.decode("latin-1")) == "\udcff 二"


async def test_only_the_verb_asked_for_is_loaded():
    script = (
        "import sys; from parkgate.gateway.commands.main import main; code = main(['schema', 'event']);"
        "print([each for each in ('asyncua', 'pymodbus', 'paho', 'rich', 'sqlite3') if each in sys.modules],"
        " file=sys.stderr); sys.exit(code)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 0
    assert b"asyncua" not in err
    assert b"pymodbus" not in err
    assert b"rich" not in err
