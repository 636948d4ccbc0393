"""A cabinet for the tests of the verbs: a small site file, its profile, and Modbus instruments that really answer."""

import asyncio
import contextlib
import io
import json
import struct
import sys
from pathlib import Path

from parkgate.gateway.commands.main import main
from parkgate.simulator.image import Image

PROFILE = """\
protocol = "modbus"

[points]
so2 = { at = "input 0", type = "float32", unit = "mg/m3", range = [0, 300], digits = 2 }
o2 = { at = "input 2", type = "uint16", unit = "%", scale = 0.01, invalid = [0xFFFF], range = [0, 25] }

[[state]]
at = "holding 0"
equals = 1
flag = "calibration"
points = ["so2"]
"""


def site_file(folder, *, line="modbus-tcp://127.0.0.1:1", uplink="mqtt://127.0.0.1:1", units=(1,), more="", top=""):
    """Write site.toml and stack.toml into a folder: one line, an instrument a unit, one uplink."""
    instruments = "".join(
        f'\n[[instrument]]\nname = "stack-{unit}"\nline = "cems"\nunit = {unit}\nprofile = "stack"\nevery = "100ms"\n'
        for unit in units
    )
    text = (
        '[gateway]\nsite = "xuwei"\nid = "gw-01"\ntitle = "徐圩一期"\n'
        f'data = "{folder / "data"}"\n{top}\n'
        f'[[uplink]]\nname = "park"\nurl = "{uplink}"\n\n'
        f'[[line]]\nname = "cems"\nurl = "{line}"\ntimeout = "200ms"\n{instruments}{more}'
    )
    (folder / "stack.toml").write_text(PROFILE, encoding="utf-8")
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def unit(so2=12.5, o2=620, state=0):
    """What an instrument of the profile holds."""
    image = Image([("input", 0, 3), ("holding", 0, 1)])
    image.write("input", 0, struct.unpack(">HH", struct.pack(">f", so2)))
    image.write("input", 2, (o2,))
    image.write("holding", 0, (state,))
    return image


async def verb(*words):
    """Run a verb in a thread, so that the test's own servers go on: its exit code, and what it printed (out, err)."""
    out, err = io.StringIO(), io.StringIO()

    def run():
        try:
            return main([str(word) for word in words])
        except SystemExit as left:
            return left.code

    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(run)
    return code, out.getvalue(), err.getvalue()


class Running:
    """`parkgate run` as a process; what it said is in `out` and `err` once it ended."""

    def __init__(self, site: Path):
        self._site = site
        self.out = self.err = ""

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parkgate.gateway.commands.main", "run", str(self._site),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._said = asyncio.create_task(self.process.communicate())
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def ended(self):
        """Give the exit code once it has ended."""
        out, err = await asyncio.wait_for(asyncio.shield(self._said), 30)
        self.out, self.err = out.decode(), err.decode()
        return self.process.returncode

    async def stop(self):
        """Tell it to leave: its exit code and its account."""
        self.process.terminate()
        code = await self.ended()
        return code, json.loads(self.out.splitlines()[-1])["account"]

    async def until(self, condition):
        """Wait until its status is as wanted, and give it."""
        async with asyncio.timeout(30):
            while True:
                code, out, _ = await verb("status", self._site, "--json")
                told = json.loads(out) if code in (0, 1) and out else {}
                if "lines" in told and condition(told):
                    return told
                assert self.process.returncode is None, (await self.ended(), self.err)
                await asyncio.sleep(0.02)


def answering(told):
    """Tell whether every instrument answers and every uplink is online."""
    return all(each["state"] == "answering" for each in told["instruments"]) and all(
        each["state"] == "online" for each in told["uplinks"]
    )
