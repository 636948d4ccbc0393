"""Whether a broker lets this gateway in and takes what it will send; nothing stays behind there.

What is published is one empty message, not retained, to `{root}/check`: a topic of no record, so that no consumer takes
it for one, under the same rights (`{root}/#`) as all others. Its PUBACK says whether the client may publish. The last
will of this connection is an empty retained message to the same topic, which leaves nothing either. The client id ends
in `-check`, so that a running agent is not thrown out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from parkgate.config.language import say
from parkgate.config.site import Gateway, Uplink
from parkgate.gateway.commands.finding import Finding, Result
from parkgate.gateway.forwarding.dialect import NEWEST
from parkgate.gateway.forwarding.publisher import Accepted, OnAck, Publisher, Will
from parkgate.gateway.forwarding.refusals import HungUp, UplinkFault, VersionRefused, WillRefused
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.messages.topics import Topics

_ANSWER = 10.0
_TRIES = 4
_REFUSED = 0x80
_MQTT_5 = 5
_OVERHEAD = 300
"""Bytes that an MQTT packet takes beside its payload: the topic and a few headers."""


async def check_uplink(uplink: Uplink, gateway: Gateway, largest: int = MAX_PAYLOAD) -> list[Finding]:
    """Connect to an uplink's broker and publish what leaves nothing; it must take messages of `largest` bytes."""
    topic = f"{Topics.of(uplink.prefix, gateway.site, gateway.id).root}/check"
    acknowledged: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_ack(_packet_id: int, code: int) -> None:
        if not acknowledged.done():
            acknowledged.set_result(code)

    try:
        publisher, accepted = await _connected(uplink, f"{gateway.site}-{gateway.id}-check", Will(topic, b""), on_ack)
        try:
            publisher.publish(topic, b"")
            answers: set[asyncio.Future[Any]] = {acknowledged, publisher.lost}
            await asyncio.wait(answers, timeout=_ANSWER, return_when=asyncio.FIRST_COMPLETED)
            if not acknowledged.done():
                fault = publisher.lost.result() if publisher.lost.done() else None
                return [_unanswered(uplink, topic, fault)]
            return [_published(uplink, topic, accepted, acknowledged.result()), *_limits(uplink, accepted, largest)]
        finally:
            await publisher.disconnect()
    except UplinkFault as fault:
        return [Finding("uplink", uplink.name, Result.PROBLEM, fault.what, fault.hint)]


async def _connected(uplink: Uplink, client_id: str, will: Will, on_ack: OnAck) -> tuple[Publisher, Accepted]:
    """Connect as the agent would: MQTT 5 first, and simpler where the broker says so."""
    dialect = NEWEST
    for _ in range(_TRIES - 1):
        publisher = Publisher(uplink, client_id, will, on_ack=on_ack, dialect=dialect)
        try:
            return publisher, await publisher.connect()
        except (VersionRefused, WillRefused, HungUp) as fault:
            dialect = dialect.after(fault)
    publisher = Publisher(uplink, client_id, will, on_ack=on_ack, dialect=dialect)
    return publisher, await publisher.connect()


def _published(uplink: Uplink, topic: str, accepted: Accepted, code: int) -> Finding:
    spoken = "MQTT 5" if accepted.version == _MQTT_5 else "MQTT 3.1.1"
    safe = "TLS" if uplink.url.startswith("mqtts:") else say("not encrypted")
    if code >= _REFUSED:
        found = say(
            "connected ({spoken}, {safe}), but {topic} is refused with 0x{code:02X}",
            spoken=spoken,
            safe=safe,
            topic=topic,
            code=code,
        )
        return Finding("uplink", uplink.name, Result.PROBLEM, found, _rights(topic))
    if accepted.version != _MQTT_5:
        found = say(
            "connected ({spoken}, {safe}); such a broker does not tell what it refuses", spoken=spoken, safe=safe
        )
        advice = say("Let the platform team confirm that messages of this gateway arrive.")
        return Finding("uplink", uplink.name, Result.WARNING, found, advice)
    found = say("connected ({spoken}, {safe}), may publish under {root}/", spoken=spoken, safe=safe, root=_root(topic))
    return Finding("uplink", uplink.name, Result.OK, found)


def _limits(uplink: Uplink, accepted: Accepted, largest: int) -> Iterator[Finding]:
    """Tell of limits of the broker that consumers will notice."""
    if accepted.max_packet is not None and accepted.max_packet < largest + _OVERHEAD:
        found = say(
            "the broker takes packets of {most} bytes at most, {needed} are needed",
            most=accepted.max_packet,
            needed=largest + _OVERHEAD,
        )
        advice = say("Raise the broker's largest packet size: what is larger is set aside and not sent.")
        yield Finding("uplink", uplink.name, Result.PROBLEM, found, advice)
    if not accepted.retain:
        found = say("the broker keeps no retained messages")
        advice = say("Who subscribes later sees no status and no description until they are sent again.")
        yield Finding("uplink", uplink.name, Result.WARNING, found, advice)


def _unanswered(uplink: Uplink, topic: str, fault: UplinkFault | None) -> Finding:
    """Tell of a broker that let us in and then did not confirm; many end the connection of who may not publish."""
    found = fault.what if fault else say("connected, but no acknowledgement came within {seconds} s", seconds=_ANSWER)
    return Finding("uplink", uplink.name, Result.PROBLEM, found, _rights(topic))


def _rights(topic: str) -> str:
    return say(
        "Give this gateway's user the right to publish under {root}/#, and see the broker's log.", root=_root(topic)
    )


def _root(topic: str) -> str:
    return topic.removesuffix("/check")
