"""Modbus servers that others wrote, each in a process of its own, to be read beside our own wire-level one."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.pty_pair import Cable

HERE = Path(__file__).parent
JSMODBUS = HERE / "jsmodbus"
WAYS = [(server, transport) for server in ("libmodbus", "jsmodbus") for transport in ("tcp", "rtu", "rtu-over-tcp")]
"""Every server and how it can be reached."""


@contextmanager
def serving(server, transport, tables, unit=1):
    """Give the URL of a server whose tables, from their register 0, are these; only jsmodbus answers other units."""
    with ExitStack() as stack:
        if transport == "tcp" or (server, transport) == ("jsmodbus", "rtu-over-tcp"):
            port = stack.enter_context(_process(server, (transport,), tables, unit))
            yield f"modbus-{transport}://127.0.0.1:{port}"
            return
        cable = stack.enter_context(Cable(tcp=transport == "rtu-over-tcp"))
        stack.enter_context(_process(server, ("rtu", cable.far), tables, unit))
        yield f"modbus-rtu://{cable.near}" if transport == "rtu" else f"modbus-{transport}://127.0.0.1:{cable.near}"


@contextmanager
def _process(server, arguments, tables, unit):
    """Run a server for as long as it is needed; gives the line that it says when it listens."""
    command, environment = _command(server)
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    ) as child:
        try:
            child.stdin.write(json.dumps({"unit": unit, "tables": tables}) + "\n")
            child.stdin.flush()
            said = child.stdout.readline().strip()
            assert said, f"{server} ended at once; what it said is above"
            yield said
        finally:
            child.kill()


def _command(server):
    if server == "libmodbus":
        return (sys.executable, HERE / "libmodbus.py"), {}
    return ("node", JSMODBUS / "server.js"), {"NODE_PATH": str(installed(JSMODBUS) / "node_modules")}


def installed(package):
    """Give the folder of what a package's lock names, beside the virtual environment's packages; filled once a lock."""
    lock = (package / "package-lock.json").read_bytes()
    folder = Path(sys.prefix) / "counterparts" / hashlib.sha256(lock).hexdigest()[:16]
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # tests run on several cores
        if not folder.exists():
            _install(package, folder)
    return folder


def _install(package, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "whole"
        made.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(package / name, made)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        told = subprocess.run(npm, cwd=made, capture_output=True, text=True, check=False)
        if told.returncode:
            pytest.skip(f"npm cannot install {package.name}: {told.stderr.strip()[-300:]}")
        made.rename(folder)
