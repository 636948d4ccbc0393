"""The pytest plugin as a platform team uses it: its fixtures, and whole runs of pytest in processes of their own."""

import asyncio
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.broker import Mosquitto

from parkgate.simulator.background import Background
from parkgate.simulator.platform import Platform
from parkgate.simulator.testing import (
    GatewayFailed,
    Incomplete,
    KeptBooks,
    StandingBroker,
    cable_to,
    site_in,
)

pytestmark = pytest.mark.xdist_group("agents")

SITE = """
[gateway]
site = 's'
id="g"
data = "/nowhere"
[[uplink]]
name = "there"
url = "mqtts://nobody.example"
username = "u"
password = { env = "NOT_THERE" }
ca = "ca.pem"
prefix = "test"
[[line]]
name = "wire"
url = "modbus-tcp://127.0.0.1:502"
[[instrument]]
name = "meter"
line = "wire"
profile = "own-meter"
every = "200ms"
[[instrument]]
name = "other"
line = "wire"
unit = 2
profile = "./own-meter.toml"
every = "200ms"
"""
PROFILE = 'protocol = "modbus"\n[points]\nflow = { at = "holding 0", type = "float32", range = [0, 9], digits = 2 }\n'
SCENARIO = 'site = "mine.toml"\nstep = "100ms"\n[meter]\nflow = { shape = "noise", mean = 4, spread = 1 }\n'


def lay(folder):
    """Write a scenario of one's own with its site and profile."""
    (folder / "mine.toml").write_text(SITE, encoding="utf-8")
    (folder / "own-meter.toml").write_text(PROFILE, encoding="utf-8")
    (folder / "park.toml").write_text(SCENARIO, encoding="utf-8")
    return folder / "park.toml"


@pytest.fixture
def parkgate_scenario(tmp_path):
    return lay(tmp_path)


def values(books):
    return {identity: record.get("values") for identity, record in books.snapshots().items()}


def test_a_park_answers_on_free_ports(parkgate_park):
    assert list(parkgate_park.instruments) == ["meter", "other"]
    assert [point.name for point in parkgate_park.instruments["meter"].points] == ["flow"]
    assert urlsplit(parkgate_park.urls["wire"]).port not in {None, 0, 502}


def test_what_a_gateway_stored_is_in_the_books_when_it_has_stopped(parkgate_gateway, parkgate_books):
    assert parkgate_gateway.topic == "test/v1/s/g"
    parkgate_gateway.wait_for("meter", snapshots=3)
    account = parkgate_gateway.stop()
    parkgate_books.wait_until_complete()
    snapshots = parkgate_books.snapshots()
    stored = {f"s/g/{name}": each["stored"] for name, each in account["instruments"].items()}
    assert {name: sum(source == name for source, _, _ in snapshots) for name in stored} == stored
    assert {each.source for each in parkgate_books.account() if each.kind == "data"} == set(stored)
    assert all(message.topic.startswith("test/v1/s/g/") for message in parkgate_books.messages)
    assert parkgate_gateway.status() is None


def test_a_gateway_that_was_killed_goes_on_where_it_was(parkgate_gateway, parkgate_books):
    parkgate_gateway.wait_for("meter")
    parkgate_gateway.kill()
    assert parkgate_gateway.status() is None
    with pytest.raises(GatewayFailed, match="without an account"):
        parkgate_gateway.stop()
    parkgate_gateway.start()
    parkgate_gateway.wait_for("meter")
    account = parkgate_gateway.stop()
    parkgate_books.wait_until_complete()
    assert len({epoch for _, epoch, _ in parkgate_books.snapshots()}) == 1
    assert max(seq for _, _, seq in parkgate_books.snapshots()) >= account["instruments"]["meter"]["stored"] >= 6


def test_what_an_unplugged_gateway_stores_comes_as_backfill(parkgate_gateway, parkgate_books):
    parkgate_gateway.wait_for("meter", snapshots=1)
    parkgate_gateway.unplug()
    parkgate_gateway.wait_for("meter", snapshots=3)
    before = len(parkgate_books.messages)
    parkgate_gateway.plug_in()
    parkgate_gateway.stop()
    parkgate_books.wait_until_complete()
    assert "test/v1/s/g/backfill/meter" in {message.topic for message in parkgate_books.messages[before:]}


def test_what_waits_in_a_gateway_is_missed_until_it_comes(parkgate_gateway, parkgate_books):
    parkgate_gateway.wait_for("meter", snapshots=1)
    parkgate_gateway.unplug()
    parkgate_gateway.wait_for("meter", snapshots=2)
    parkgate_gateway.stop()
    with pytest.raises(Incomplete, match=r"s/g/meter: \d+ of \d+ snapshots"):
        parkgate_books.wait_until_complete(0.1)
    parkgate_gateway.start()
    parkgate_gateway.plug_in()
    parkgate_gateway.stop()
    parkgate_books.wait_until_complete()


def test_a_broker_comes_back_on_the_same_port(parkgate_broker, parkgate_gateway):
    parkgate_gateway.wait_for("meter", snapshots=1)
    url = parkgate_broker.url
    parkgate_gateway.unplug()
    parkgate_broker.stop()
    parkgate_broker.start()
    assert parkgate_broker.url == url == f"mqtt://{parkgate_broker.host}:{parkgate_broker.port}"
    parkgate_gateway.plug_in()


def test_an_instrument_that_is_not_there_is_not_waited_for(parkgate_gateway):
    with pytest.raises(GatewayFailed, match='no instrument "metre"; there are: meter, other'):
        parkgate_gateway.wait_for("metre")
    with pytest.raises(GatewayFailed, match=r'"meter" did not give 99 snapshots in 0.1 s'):
        parkgate_gateway.wait_for("meter", snapshots=99, seconds=0.1)


def test_a_gateway_that_does_not_begin_says_why(parkgate_gateway):
    parkgate_gateway.stop()
    parkgate_gateway._site = type("Site", (), {"text": "[gateway", "secrets": {}})
    with pytest.raises(GatewayFailed, match=r"did not begin to answer\n(.*\n)*.*site\.toml:1"):
        parkgate_gateway.start()


def test_books_of_nothing_are_not_complete(parkgate_books):
    with pytest.raises(Incomplete, match="nothing came"):
        parkgate_books.wait_until_complete(0.05)
    with pytest.raises(Incomplete, match=r"does not hold after 0\.05 s"):
        parkgate_books.wait_until(lambda: False, 0.05)
    parkgate_books.wait_until(lambda: True)


@pytest.mark.parkgate("park.toml")
def test_a_broker_elsewhere_is_left_alone_and_the_gateway_has_an_id_of_its_own(
    parkgate_broker, parkgate_park, tmp_path
):
    with Background() as background, StandingBroker(background, parkgate_broker.url) as elsewhere:
        site = site_in(tmp_path, parkgate_park, elsewhere, None)
        assert re.fullmatch(r"test/v1/s/g-[0-9a-f]{6}/#", site.topics)
        assert tomllib.loads(site.text)["uplink"] == [{"name": "there", "url": elsewhere.url, "prefix": "test"}]
        with pytest.raises(RuntimeError, match="not ours to stop"):
            elsewhere.stop()
        with KeptBooks(background, elsewhere.url, site.topics) as books:
            books.clear()
    assert StandingBroker(background, "mqtts://h").port == 8883
    assert cable_to(StandingBroker(background, "mqtts://h")) is None


async def test_the_fixtures_serve_a_coroutine_too(parkgate_gateway, parkgate_books):
    parkgate_gateway.wait_for("other", snapshots=1)
    parkgate_gateway.stop()
    parkgate_books.wait_until_complete()
    assert values(parkgate_books)


def test_a_background_raises_what_was_raised_there_and_leaves_no_thread():
    async def fail():
        raise LookupError("there")

    before = threading.active_count()
    with Background() as background:
        with pytest.raises(LookupError, match="there"):
            background.call(fail())
        with pytest.raises(ZeroDivisionError), background.use(StandsIn(ZeroDivisionError())):
            pytest.fail("entered")
        with pytest.raises(KeyError), background.use(StandsIn()):
            raise KeyError
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


class StandsIn:
    """A context that may fail at its door."""

    def __init__(self, error=None):
        self.error = error

    async def __aenter__(self):
        if self.error:
            raise self.error

    async def __aexit__(self, *_):
        pass


def run(folder, test, *options, language="en"):
    """Run pytest on a test as a project does that has Parkgate installed; everything it warns of is an error."""
    (folder / "test_consumer.py").write_text(textwrap.dedent(test), encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "--strict-markers",
         *(options or ("-p", "no:asyncio")), "test_consumer.py"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PARKGATE_LANG": language, "TMPDIR": str(folder)},
    )  # fmt: skip
    return told.returncode, told.stdout + told.stderr


FAILING = """
    import pytest

    @pytest.mark.parkgate("park.toml")
    def test_it(parkgate_gateway):
        print("agent", parkgate_gateway._agent._process.pid, "end")
        assert "this" == "that"
"""


def test_a_test_that_fails_shows_the_gateways_last_lines_and_leaves_nothing():
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # short: a socket's path has 100 bytes
        folder = Path(name)
        lay(folder)
        code, told = run(folder, FAILING)
        assert code == 1, told
        assert re.search(r"- the gateway's last lines -.*\n(.*\n)*.*collecting from 2 instruments", told)
        assert list(folder.glob("parkgate-*")) == []
        with pytest.raises(ProcessLookupError):
            os.kill(int(re.search(r"agent (\d+) end", told)[1]), 0)


async def test_a_broker_of_ones_own_is_used_and_nothing_stays_in_it():
    test = """
        import pytest

        @pytest.mark.parkgate("park.toml")
        def test_it(parkgate_broker, parkgate_gateway, parkgate_books):
            parkgate_gateway.wait_for("meter", snapshots=1)
            assert parkgate_gateway.topic.startswith("test/v1/s/g-")
            assert parkgate_broker.url.endswith(str(parkgate_broker.port))
            parkgate_gateway.stop()
            parkgate_books.wait_until_complete()
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        lay(Path(name))
        async with Mosquitto() as broker:
            code, told = await asyncio.to_thread(
                run, Path(name), test, "-p", "no:asyncio", "--parkgate-broker", broker.url
            )
            assert code == 0, told
            heard = []
            async with Platform(broker.url, "test/#", lambda *message: heard.append(message)):
                await asyncio.sleep(0.3)
            assert heard == []


@pytest.mark.parametrize("options", [("-p", "no:asyncio"), ("-o", "asyncio_default_fixture_loop_scope=function")])
def test_a_project_that_uses_none_of_it_pays_next_to_nothing(tmp_path, options):
    test = """
        import sys

        def test_it():
            heavy = {"asyncua", "iotcore", "paho", "pydantic", "pymodbus", "rich", "parkgate.simulator.testing"}
            assert "parkgate.simulator.plugin" in sys.modules
            assert heavy & set(sys.modules) == set()
    """
    code, told = run(tmp_path, test, *options)
    assert code == 0, told


def test_the_option_and_the_marker_are_declared_in_the_readers_language(tmp_path):
    assert "parkgate_park 使用的场景" in run(tmp_path, "", "-p", "no:asyncio", "--markers", language="zh")[1]
    assert re.search(r"--parkgate-broker=URL[\s\S]{1,200}instead", run(tmp_path, "", "-p", "no:asyncio", "--help")[1])


def test_the_plugin_is_found_by_its_entry_point():
    found = {each.name: each.value for each in importlib.metadata.entry_points(group="pytest11")}
    assert found["parkgate"] == "parkgate.simulator.plugin"
