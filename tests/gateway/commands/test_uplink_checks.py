"""What a broker says to the check, against one that says whatever a test wants."""

import pytest
from support.scripted_broker import ScriptedBroker, connack, limits

from parkgate.config.site import Gateway, Uplink
from parkgate.gateway.commands import uplink_checks
from parkgate.gateway.commands.finding import Result


@pytest.fixture
def gateway(tmp_path):
    return Gateway(site="xuwei", id="gw-01", data=tmp_path)


def uplink(broker, **more):
    return Uplink(name="park", url=broker.url, **more)


async def test_a_broker_that_lets_nobody_in_is_a_problem_with_the_fault_s_own_advice(gateway):
    def refuse(session, connect):
        session.writer.write(connack(connect.version, 0x87))

    async with ScriptedBroker(refuse) as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker), gateway)
    assert (finding.what, finding.where, finding.result) == ("uplink", "park", Result.PROBLEM)
    assert "0x87" in finding.found
    assert finding.advice.startswith("Check username and password")


async def test_a_client_id_of_its_own_and_a_will_that_leaves_nothing(gateway):
    async with ScriptedBroker() as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker), gateway)
        (session,) = broker.sessions
        await broker.until(lambda: session.disconnected is not None)
    assert finding.result is Result.OK
    assert session.connect.client_id == "xuwei-gw-01-check"
    will = session.connect.will
    assert (will.topic, will.payload, will.retain) == ("park/v1/xuwei/gw-01/check", b"", True)
    assert [(each.topic, each.payload, each.qos, each.retain) for each in session.publishes] == [
        ("park/v1/xuwei/gw-01/check", b"", 1, False)
    ]
    assert session.disconnected == 0


@pytest.mark.parametrize(("code", "result"), [(0, Result.OK), (0x10, Result.OK), (0x87, Result.PROBLEM)])
async def test_the_puback_says_whether_it_may_publish(gateway, code, result):
    async with ScriptedBroker(on_publish=lambda session, publish: session.ack(publish, code)) as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker, prefix="p"), gateway)
    assert finding.result is result
    if result is Result.PROBLEM:
        assert "p/v1/xuwei/gw-01/check is refused with 0x87" in finding.found
        assert "the right to publish under p/v1/xuwei/gw-01/#" in finding.advice


async def test_a_broker_that_hangs_up_on_who_may_not_publish_is_told_so(gateway):
    async with ScriptedBroker(on_publish=lambda session, _: session.cut()) as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker), gateway)
    assert finding.result is Result.PROBLEM
    assert "the right to publish" in finding.advice


async def test_a_broker_that_never_confirms_is_told_so(gateway, monkeypatch):
    monkeypatch.setattr(uplink_checks, "_ANSWER", 0.1)
    async with ScriptedBroker(on_publish=lambda *_: None) as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker), gateway)
    assert (finding.result, finding.found) == (Result.PROBLEM, "connected, but no acknowledgement came within 0.1 s")


async def test_mqtt_3_1_1_is_spoken_where_nothing_else_is_and_warned_of(gateway):
    def old(session, connect):
        session.writer.write(connack(4, 1 if connect.version == 5 else 0))

    async with ScriptedBroker(old) as broker:
        (finding,) = await uplink_checks.check_uplink(uplink(broker), gateway)
        assert [each.connect.version for each in broker.sessions] == [5, 4]
    assert finding.result is Result.WARNING
    assert "MQTT 3.1.1" in finding.found


async def test_limits_that_consumers_will_notice_are_told(gateway):
    def narrow(session, connect):
        session.writer.write(connack(connect.version, 0, limits(max_packet=1_000, retain=False)))

    async with ScriptedBroker(narrow) as broker:
        fine, packet, retain = await uplink_checks.check_uplink(uplink(broker), gateway, 701)
        assert len(await uplink_checks.check_uplink(uplink(broker), gateway, 700)) == 2
    assert (fine.result, packet.result, retain.result) == (Result.OK, Result.PROBLEM, Result.WARNING)
    assert packet.found == "the broker takes packets of 1000 bytes at most, 1001 are needed"
    assert retain.found == "the broker keeps no retained messages"


async def test_a_password_that_is_missing_is_told_before_anything_is_sent(gateway, tmp_path):
    async with ScriptedBroker() as broker:
        secret = {"file": tmp_path / "gone"}
        (finding,) = await uplink_checks.check_uplink(uplink(broker, username="u", password=secret), gateway)
        assert broker.sessions == []
    assert finding.result is Result.PROBLEM
    assert str(tmp_path / "gone") in finding.found
