"""An agent as a process: asked over a real socket, stopped in order, and heard to its last words."""

import asyncio
import os
import signal
import sys
import textwrap

import pytest

from parkgate.simulator.agent import Agent

pytestmark = pytest.mark.xdist_group("agents")

PATIENCE = 20.0


def stands_in(script):
    """A command that runs a script in place of an agent; its first argument is the site file."""
    return (sys.executable, "-c", textwrap.dedent(script))


GOOD = """
    import asyncio, json, os, signal, sys
    async def serve(reader, writer):
        request = json.loads(await reader.readline())
        writer.write(json.dumps({"asked": request, "of": sys.argv[1], "filler": "x" * 300_000}).encode() + b"\\n")
        await writer.drain()
        writer.close()
    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with await asyncio.start_unix_server(serve, os.path.join(os.path.dirname(sys.argv[1]), "control.sock")):
            print("not json", flush=True)
            print("[1]", flush=True)
            await stop.wait()
        print(json.dumps({"account": {"stored": 7}}), flush=True)
    asyncio.run(main())
"""


async def answer(agent):
    async with asyncio.timeout(PATIENCE):
        while True:
            if (status := await agent.status()) is not None:
                return status
            await asyncio.sleep(0.02)


async def test_it_answers_its_status_and_leaves_with_its_account(tmp_path):
    async with Agent(tmp_path / "site.toml", tmp_path, command=stands_in(GOOD)) as agent:
        status = await answer(agent)
        assert (status["asked"], status["of"]) == ({"verb": "status"}, str(tmp_path / "site.toml"))
        assert len(status["filler"]) == 300_000
        assert await agent.stop(PATIENCE) == {"stored": 7}
        assert await agent.ended == 0
        assert await agent.status() is None


async def test_one_that_dies_at_once_has_no_account_and_its_errors_are_kept(tmp_path):
    script = "import sys; sys.exit('site.toml:3: no such line')"
    async with Agent(tmp_path / "site.toml", tmp_path, command=stands_in(script)) as agent:
        assert await agent.ended == 1
        assert await agent.stop(PATIENCE) is None
        assert agent.errors == "site.toml:3: no such line"


async def test_one_that_does_not_stop_in_time_is_killed_in_the_end(tmp_path):
    async with Agent(tmp_path / "site.toml", tmp_path, command=stands_in(GOOD.replace("stop.set", "str"))) as agent:
        pid = agent._process.pid
        await answer(agent)
        assert await agent.stop(0.05) is None
        assert not agent.ended.done()
    assert agent._process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("reply", ["b'garbage\\n'", "b'[]\\n'", "b''", "b'\\xff\\n'"])
async def test_an_answer_that_is_no_object_is_no_status(tmp_path, reply):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(eval(reply))
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "control.sock")
    async with server, Agent(tmp_path / "x", tmp_path, command=stands_in("import time; time.sleep(60)")) as agent:
        assert await agent.status() is None


async def test_much_that_it_writes_never_blocks_it_and_only_the_last_is_kept(tmp_path):
    script = "import sys\nfor n in range(20_000): print('x' * 50, n, file=sys.stderr); print('y' * 50)"
    async with Agent(tmp_path / "site.toml", tmp_path, command=stands_in(script)) as agent:
        async with asyncio.timeout(PATIENCE):
            assert await agent.ended == 0
        await agent.stop(PATIENCE)
        assert agent.errors.splitlines()[-1].endswith(" 19999")
        assert len(agent.errors.splitlines()) == 40


async def test_it_is_told_to_stop_when_whoever_started_it_is_killed(tmp_path):
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from parkgate.simulator.agent import Agent
        async def main(folder, *command):
            async with Agent(Path(folder, "x"), Path(folder), command=command):
                await asyncio.sleep(60)
        asyncio.run(main(*sys.argv[1:]))
    """
    child = """
        import os, signal, sys, time
        from pathlib import Path
        folder = Path(sys.argv[1]).parent
        def end(*_):
            (folder / "told").touch()
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        (folder / "pid.new").write_text(str(os.getpid()))
        (folder / "pid.new").rename(folder / "pid")
        time.sleep(60)
    """
    parent = await asyncio.create_subprocess_exec(*stands_in(script), str(tmp_path), *stands_in(child))
    async with asyncio.timeout(PATIENCE):
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.02)
        os.kill(int((tmp_path / "pid").read_text()), 0)
        parent.kill()
        await parent.wait()
        while not (tmp_path / "told").exists():
            await asyncio.sleep(0.02)


async def test_ctrl_c_in_the_terminal_does_not_reach_it_and_its_secrets_do(tmp_path):
    script = "import os, sys; sys.exit(f\"{os.environ['WORD']} {os.getsid(0)}\")"
    async with Agent(tmp_path / "x", tmp_path, command=stands_in(script), secrets={"WORD": "open"}) as agent:
        await agent.ended
        await agent.stop(PATIENCE)
        word, session = agent.errors.split()
    assert word == "open"
    assert int(session) != os.getsid(0)
