"""A park on real sockets, with a clock in the test's hand."""

import asyncio
import errno
import socket
import struct
from urllib.parse import urlsplit

import pytest
from asyncua import Client

from parkgate.config.site import Line
from parkgate.simulator.park import CannotListen, Clock, Park, _cannot_listen
from parkgate.simulator.scenario import load_scenario

HEAD = """
[gateway]
site = "s"
id = "g"
data = "/tmp/s"
[[uplink]]
name = "park"
url = "mqtt://localhost"
"""

INSTRUMENT = """
[[line]]
name = "{line}"
url = "{url}"
{more}
[[instrument]]
name = "i-{line}"
line = "{line}"
profile = "{profile}"
every = "1s"
"""


class HeldClock:
    """A clock that stands still until the test lets a step happen."""

    def __init__(self):
        self.now = 0.0
        self.slept = []
        self._go = asyncio.Queue()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self._asleep.set()
        await self._go.get()
        self.now += seconds

    async def step(self):
        """Let one sleep end, and come back when the next has begun."""
        await self._asleep.wait()
        self._asleep.clear()
        self._go.put_nowait(None)
        await self._asleep.wait()

    def clock(self):
        return Clock(
            monotonic=lambda: self.now, wall=lambda: 1_700_000_000_000 + round(self.now * 1000), sleep=self.sleep
        )


@pytest.fixture
def scenario(tmp_path):
    def making(*lines, text=""):
        parts = []
        for name, url, profile in lines:
            opcua = url.startswith("opc.tcp")
            part = INSTRUMENT.format(line=name, url=url, profile=profile, more='security = "none"' if opcua else "")
            parts.append(part + ('node = "N1"\n' if opcua else ""))
        (tmp_path / "plant.toml").write_text(HEAD + "".join(parts), encoding="utf-8")
        (tmp_path / "scenario.toml").write_text(f'site = "plant.toml"\n{text}', encoding="utf-8")
        return load_scenario(tmp_path / "scenario.toml")

    return making


async def ask(url, unit, function, first, count):
    """Read registers through a raw socket with a frame made by hand."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(struct.pack(">HHHBBHH", 1, 0, 6, unit, function, first, count))
    header = await reader.readexactly(9)
    data = await reader.readexactly(header[8])
    writer.close()
    await writer.wait_closed()
    return data


RAMP = '[i-cems.so2]\nshape = "ramp"\nfrom = 10\nto = 110\nover = "100s"\n'


async def test_a_raw_client_reads_values_that_move_with_the_clock(scenario):
    held = HeldClock()
    made = scenario(("cems", "modbus-tcp://127.0.0.1:15999", "cems-generic"), text=RAMP)
    async with Park(made, any_port=True, clock=held.clock()) as park:
        readings = []
        for _ in range(4):
            readings += struct.unpack(">f", await ask(park.urls["cems"], 1, 4, 0, 2))
            await held.step()

    assert readings == pytest.approx([10, 11, 12, 13])
    assert held.slept == [1.0] * 5


async def test_steps_that_come_late_are_caught_up_so_that_time_does_not_drift(scenario):
    held = HeldClock()
    made = scenario(("cems", "modbus-tcp://127.0.0.1:15999", "cems-generic"), text=RAMP)
    async with Park(made, any_port=True, clock=held.clock()) as park:
        await held.step()
        held.now += 3.5
        for _ in range(3):
            await held.step()
        (so2,) = struct.unpack(">f", await ask(park.urls["cems"], 1, 4, 0, 2))

    assert so2 == pytest.approx(14)
    assert held.slept == [1.0, 1.0, 0.0, 0.0, 0.0]


async def test_opc_ua_and_modbus_lines_stand_side_by_side(scenario):
    held = HeldClock()
    made = scenario(
        ("cems", "modbus-tcp://127.0.0.1:15999", "cems-generic"),
        ("tanks", "opc.tcp://127.0.0.1:15998/parkgate", "tank-opcua"),
        text='[i-tanks.level]\nshape = "ramp"\nfrom = 1\nto = 11\nover = "10s"\n',
    )
    async with Park(made, any_port=True, clock=held.clock()) as park:
        assert park.urls["tanks"].endswith("/parkgate")
        await held.step()
        async with Client(park.urls["tanks"]) as client:
            space = await client.get_namespace_index("urn:parkgate:park")
            level = await client.get_node(f"ns={space};s=N1.Level").read_data_value()
            health = await client.get_node(f"ns={space};s=N1.Health").read_value()
        assert struct.unpack(">H", await ask(park.urls["cems"], 1, 3, 0, 1)) == (0,)

    assert level.Value.Value == pytest.approx(2)
    assert round(level.SourceTimestamp.timestamp() * 1000) == 1_700_000_001_000
    assert health == 0


async def test_two_parks_of_one_scenario_answer_alike(scenario):
    made = scenario(("cems", "modbus-tcp://127.0.0.1:15999", "cems-generic"))
    answers = []
    for _ in range(2):
        held = HeldClock()
        async with Park(made, any_port=True, clock=held.clock()) as park:
            await held.step()
            answers.append(await ask(park.urls["cems"], 1, 4, 0, 18))

    assert answers[0] == answers[1]


async def test_without_any_port_it_listens_where_the_site_says(scenario):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Park(scenario(("cems", f"modbus-tcp://127.0.0.1:{port}", "cems-generic"))) as park:
        assert park.urls == {"cems": f"modbus-tcp://127.0.0.1:{port}"}


@pytest.mark.parametrize(("scheme", "profile"), [("modbus-tcp", "cems-generic"), ("opc.tcp", "tank-opcua")])
async def test_a_port_in_use_is_said_with_what_to_do_and_the_other_lines_are_closed_again(scenario, scheme, profile):
    with socket.create_server(("127.0.0.1", 0)) as free:
        first = free.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = scenario(
            ("first", f"modbus-tcp://127.0.0.1:{first}", "cems-generic"),
            ("second", f"{scheme}://127.0.0.1:{port}", profile),
        )
        with pytest.raises(CannotListen, match=f"port {port} is already in use") as caught:
            await Park(made).__aenter__()

    assert "second" in caught.value.where
    assert "--any-port" in caught.value.hint
    with socket.create_server(("127.0.0.1", first)):
        pass


async def test_an_address_that_is_not_this_computer_s_is_said(scenario):
    made = scenario(("far", "modbus-tcp://192.0.2.1:15999", "cems-generic"))

    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1"):
        await Park(made).__aenter__()


def test_a_port_that_needs_rights_is_said():
    line = Line(name="cems", url="modbus-tcp://127.0.0.1:502")

    trouble = _cannot_listen(line, line.url, OSError(errno.EACCES, "denied"))

    assert "this user may not listen on port 502" in str(trouble)
    assert "1024" in trouble.hint


async def test_what_stops_the_simulation_is_raised_and_its_lines_are_closed(scenario):
    async def broken(_seconds):
        raise ZeroDivisionError

    made = scenario(("cems", "modbus-tcp://127.0.0.1:15999", "cems-generic"))

    async def stand():
        async with Park(made, any_port=True, clock=Clock(sleep=broken)) as park:
            await asyncio.wait({park.running})

    with pytest.raises(ZeroDivisionError):
        await stand()
    assert asyncio.all_tasks() == {asyncio.current_task()}
