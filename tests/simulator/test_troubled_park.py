"""A park whose lines have troubles, on real sockets: what clients meet."""

import asyncio
import json
import os
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asyncua import Client, ua
from cryptography import x509
from support.broker import Mosquitto
from support.troubled_site import scenario_in

from parkgate.simulator.certificate import self_signed
from parkgate.simulator.park import Park
from parkgate.simulator.scenario import load_scenario
from parkgate.simulator.truth import TruthWriter
from parkgate.simulator.world import World

ALWAYS = 'at = "0s"\nfor = "100h"\n'
LATER = 'at = "50h"\nfor = "100h"\n'
PARKGATE = Path(sys.executable).parent / "parkgate"
READ = struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 2)


@pytest.fixture
def scenario(tmp_path):
    return lambda text: scenario_in(tmp_path, text)


def trouble(kind, whose, when=ALWAYS, more=""):
    return f'[[trouble]]\nkind = "{kind}"\n{whose}\n{when}{more}'


async def asked(url, count):
    """Ask a Modbus line, and give so many bytes of what comes back."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(READ)
        async with asyncio.timeout(20):
            return await reader.readexactly(count)
    finally:
        writer.close()


async def test_an_instrument_answers_with_its_exception(scenario):
    text = trouble("exception", 'instrument = "stack-1"', more="code = 6\n")
    async with Park(scenario(text), any_port=True) as park:
        assert (await asked(park.urls["cems"], 9))[7:] == bytes((0x84, 6))


async def test_whatever_its_troubles_a_simulated_instrument_says_what_it_is(scenario):
    async with Park(scenario(trouble("silent", 'instrument = "stack-1"')), any_port=True) as park:
        parts = urlsplit(park.urls["cems"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(READ + bytes.fromhex("0002 0000 0005 01 2B 0E 01 00"))
        async with asyncio.timeout(20):
            answer = await reader.readexactly(8)
        writer.close()
    assert (answer[:2], answer[7]) == (b"\0\2", 0x2B)


async def test_an_answer_that_is_cut_ends_the_connection(scenario):
    async with Park(scenario(trouble("cut", 'instrument = "stack-1"')), any_port=True) as park:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asked(park.urls["cems"], 13)


async def test_byte_by_byte_is_whole_and_slow_comes_after_its_time(scenario):
    text = trouble("byte-by-byte", 'instrument = "stack-1"', more='by = "1ms"\n')
    async with Park(scenario(text), any_port=True) as park:
        assert len(await asked(park.urls["cems"], 13)) == 13


async def test_a_line_that_refuses_lets_nobody_in_until_it_is_over(scenario):
    async with Park(scenario(trouble("refuse", 'line = "cems"', LATER)), any_port=True) as park:
        await asked(park.urls["cems"], 13)
        park.world.switch(0)
        await park._update()
        with pytest.raises(OSError, match="Connect call failed"):
            await asked(park.urls["cems"], 13)
        park.world.switch(0)
        await park._update()
        await asked(park.urls["cems"], 13)


async def test_rtu_over_tcp_is_served_with_a_crc_and_a_bad_one_on_cue(scenario):
    text = '[serve.cems]\nas = "rtu-over-tcp"\n' + trouble("bad-crc", 'instrument = "stack-1"', LATER)
    request = bytes.fromhex("01 04 00 00 00 02 71 CB")
    async with Park(scenario(text), any_port=True) as park:
        assert park.urls["cems"].startswith("modbus-rtu-over-tcp://")
        answers = []
        for _ in range(2):
            parts = urlsplit(park.urls["cems"])
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(request)
            answers.append(await asyncio.wait_for(reader.readexactly(9), 20))
            writer.close()
            park.world.switch(0)
        good, bad = answers
        assert good[:3] == bad[:3] == bytes((1, 4, 4))
        assert good[-1] != bad[-1]


async def status_of(url, node):
    async with Client(url) as client:
        index = await client.get_namespace_index("urn:parkgate:park")
        value = await client.get_node(ua.NodeId(node, index)).read_data_value(raise_on_bad_status=False)
        return value.StatusCode.name


@pytest.mark.parametrize(
    ("kind", "status"),
    [("missing", "BadNodeIdUnknown"), ("bad", "BadSensorFailure"), ("uncertain", "UncertainSensorNotAccurate")],
)
async def test_nodes_have_the_status_of_their_trouble_and_others_are_good(scenario, kind, status):
    text = trouble(kind, 'instrument = "tank-1"', more='points = ["level"]\n')
    async with Park(scenario(text), any_port=True) as park:
        assert await status_of(park.urls["tanks"], "T1.Level") == status
        assert await status_of(park.urls["tanks"], "T1.Pressure") == "Good"


async def test_an_opc_ua_line_with_troubles_stands_behind_a_link_that_can_be_shut(scenario):
    async with Park(scenario(trouble("refuse", 'line = "tanks"', LATER)), any_port=True) as park:
        assert await status_of(park.urls["tanks"], "T1.Level") == "Good"
        park.world.switch(0)
        await park._update()
        with pytest.raises(OSError, match="Connect call failed"):
            await status_of(park.urls["tanks"], "T1.Level")


async def test_the_link_of_an_uplink_leads_to_its_broker_and_is_cut_on_cue(scenario):
    text = trouble("link-cut", 'uplink = "park"', LATER)
    async with Mosquitto() as broker, Park(scenario(text), any_port=True, brokers={"park": broker.url}) as park:
        parts = urlsplit(park.uplinks["park"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(bytes.fromhex("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 78"))  # CONNECT of MQTT 3.1.1, client "x"
        assert await asyncio.wait_for(reader.readexactly(4), 20) == bytes.fromhex("20 02 00 00")
        park.world.switch(0)
        await park._update()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


@pytest.mark.xdist_group("agents")
async def test_a_bad_day_in_half_a_minute_through_the_real_gateway_has_no_wrong_value():
    command = ("demo", "--scenario", "bad-day", "--speed", "480", "--for", "30s", "--judge", "--json")
    process = await asyncio.create_subprocess_exec(
        PARKGATE, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    account = json.loads(out)
    assert account["total"]["lost"] == 0, err
    assert set(account["judgement"]) == {each.name for each in load_scenario("bad-day").site.instruments}
    assert [(name, each["findings"]) for name, each in account["judgement"].items() if each["wrong"]] == []
    assert sum(each["came"] for each in account["judgement"].values()) > 100


async def test_the_verb_judge_says_what_is_missing_and_exits_with_1(tmp_path, scenario):
    made = scenario("")
    world = World(made)
    with TruthWriter(tmp_path / "t", world) as truth:
        for _ in range(10):
            truth.note(world.now_ms)
            world.advance(1_000)
    async with Mosquitto() as broker:
        process = await asyncio.create_subprocess_exec(
            PARKGATE, "judge", tmp_path / "t", broker.url, "--for", "300ms", stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PARKGATE_LANG": "en"},
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert "stack-1" in out.decode()
    assert "missing" in out.decode()


async def test_an_opc_ua_server_with_security_serves_a_client_that_signs_and_encrypts_and_keeps_history(
    scenario, tmp_path
):
    text = '[serve.tanks]\nsecurity = true\nhistory = "1h"\n'
    certificate, key = self_signed("urn:test:client", "localhost")
    (tmp_path / "client.der").write_bytes(certificate)
    (tmp_path / "client.pem").write_bytes(key)
    async with Park(scenario(text), any_port=True) as park:
        for _ in range(3):
            park.world.advance(1_000)
            await park._update()
        client = Client(park.urls["tanks"])
        client.application_uri = "urn:test:client"
        await client.set_security_string(
            f"Basic256Sha256,SignAndEncrypt,{tmp_path / 'client.der'},{tmp_path / 'client.pem'}"
        )
        async with client:
            index = await client.get_namespace_index("urn:parkgate:park")
            node = client.get_node(ua.NodeId("T1.Level", index))
            assert isinstance(await node.read_value(), float)
            kept = await node.read_raw_history()
    assert len(kept) >= 3


class Heard:
    """Hears a subscription's data changes."""

    def __init__(self):
        self.values = asyncio.Queue()

    def datachange_notification(self, _node, value, _data):
        self.values.put_nowait(value)


async def test_a_subscription_is_silent_on_cue_and_then_says_what_it_has(scenario):
    text = trouble("subscription-silence", 'line = "tanks"', LATER)
    async with Park(scenario(text), any_port=True) as park, Client(park.urls["tanks"]) as client:
        index = await client.get_namespace_index("urn:parkgate:park")
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        await subscription.subscribe_data_change(client.get_node(ua.NodeId("T1.Level", index)))
        await asyncio.wait_for(heard.values.get(), 20)
        park.world.switch(0)
        await park._update()
        park.world.advance(60_000)
        await park._update()
        while not heard.values.empty():
            heard.values.get_nowait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.values.get(), 0.5)
        park.world.switch(0)
        await park._update()
        assert isinstance(await asyncio.wait_for(heard.values.get(), 20), float)
        await subscription.delete()


@pytest.mark.parametrize("kind", ["good", "expired"])
async def test_the_certificate_of_a_server_is_expired_on_cue(scenario, kind):
    text = f'[serve.tanks]\nsecurity = true\ncertificate = "{kind}"\n'
    async with Park(scenario(text), any_port=True) as park:
        endpoints = await Client(park.urls["tanks"]).connect_and_get_server_endpoints()
    modes = {(each.SecurityMode.name, each.SecurityPolicyUri.rpartition("#")[2]) for each in endpoints}
    strong = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
    assert modes == {("None_", "None"), *((mode, each) for mode in ("Sign", "SignAndEncrypt") for each in strong)}
    secured = next(each for each in endpoints if each.SecurityMode.name == "Sign")
    expires = x509.load_der_x509_certificate(secured.ServerCertificate).not_valid_after_utc
    assert (expires < datetime.now(UTC)) == (kind == "expired")
