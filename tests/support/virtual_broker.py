"""A broker and the radio link to it, at the level of `Publisher`: what it accepted is with its subscriber.

Faults are attributes that a plan sets and takes back; a broker has one for the link, one for its door, and one for what
it answers.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from parkgate.config.site import Uplink
from parkgate.gateway.forwarding.dialect import NEWEST, Dialect
from parkgate.gateway.forwarding.publisher import Accepted, OnAck, TooLarge, Will
from parkgate.gateway.forwarding.refusals import (
    UplinkFault,
    dismissed,
    hung_up,
    link_lost,
    no_answer,
    refused,
    unreachable,
)
from parkgate.gateway.storing.reader import LATELY

DOORS = ("timeout", "hung-up", 0x80, 0x84, 0x87, 0x88, 0x97, 0x9A, 0x9F)
"""How a broker may turn a CONNECT away: never answered, closed, or refused with a reason code."""
_OVERHEAD = 10
_NOBODY, _REFUSED, _POISON = 0x10, 0x80, 0x99
Taken = Callable[[str, str, bytes, int], None]
"""Told of everything that reached the broker: uplink, topic, payload, and the reason code of its PUBACK."""


@dataclass
class Broker:
    """One platform: `link` is up, cut or black; `acks` as they should be, lost or late; `code` what it refuses with.

    `poison` tells of a payload whether it is one that the broker will never take. `back` is told when it takes the
    first one in a day.
    """

    name: str
    rng: random.Random
    log: Callable[[str], None]
    taken: Taken
    link: str = "up"
    door: str | int = ""
    acks: str = ""
    code: int = 0
    refuses: str = ""
    receive_maximum: int = 65_535
    max_packet: int | None = None
    poison: Callable[[bytes], bool] = lambda _: False
    retained: dict[str, bytes] = field(default_factory=dict)
    reached: float = float("-inf")
    back: Callable[[], None] = lambda: None
    connections: list[Connection] = field(default_factory=list)

    def cut(self) -> None:
        """Break what is connected, and let nobody through."""
        self.link = "cut"
        for each in [*self.connections]:
            each.drop(link_lost("reset by the network", where=self.name))

    def cut_off(self) -> None:
        """Lose whoever was connected, since it is dead."""
        for each in [*self.connections]:
            each.drop(link_lost("the other side is dead", where=self.name))

    def dismiss(self, code: int) -> None:
        """End the connection with a DISCONNECT."""
        for each in [*self.connections]:
            each.drop(dismissed(code, "as the plan says", where=self.name, client_id="gw"))

    def answer(self, topic: str, payload: bytes) -> int:
        """Give the reason code for a message, and keep what is accepted."""
        if self.code and self.refuses in topic:
            return self.code
        return _POISON if self.poison(payload) else 0

    def will(self, will: Will) -> None:
        """Publish the last will of a connection that vanished, as late as a broker notices it."""
        late = self.rng.uniform(0, 45)
        asyncio.get_running_loop().call_later(late, self.publish, will.topic, will.payload)

    def publish(self, topic: str, payload: bytes) -> None:
        self.log(f"{self.name} has the will {topic}")
        self.keep(topic, payload)

    def keep(self, topic: str, payload: bytes) -> None:
        """Retain a message, and give it to whoever listens."""
        self.retained[topic] = payload
        for each in self.connections:
            if topic in each.heard:
                asyncio.get_running_loop().call_later(self.flight(), each.hear, topic, payload)

    def flight(self) -> float:
        """Give how long a packet flies."""
        return self.rng.uniform(0.02, 0.3)


class Connection:
    """What the gateway has instead of a `Publisher`: the same face, over a simulated link."""

    def __init__(
        self, broker: Broker, alive: Callable[[], bool], told: Taken, uplink: Uplink, client_id: str, will: Will, *,
        on_ack: OnAck, dialect: Dialect = NEWEST, door: object = None, patience: float = 10.0,
    ) -> None:  # fmt: skip
        self._broker = broker
        self._alive = alive
        self._told = told
        self._uplink = uplink
        self._client_id = client_id
        self._will = will
        self._on_ack = on_ack
        self._dialect = dialect
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._accepted: Accepted | None = None
        self._up: deque[tuple[int, str, bytes, bool]] = deque()
        self._down: deque[tuple[int, int]] = deque()
        self._waiting: set[int] = set()
        self._last = 0
        self.heard: dict[str, Callable[[bytes], None]] = {}
        self.lost: asyncio.Future[UplinkFault | None] = self._loop.create_future()

    async def connect(self) -> Accepted:
        broker, where = self._broker, self._broker.name
        await asyncio.sleep(broker.flight())
        if broker.link == "cut":
            error = ConnectionRefusedError("refused")
            raise unreachable(error, where=where, host="h", port=1) from error
        if broker.link == "black" or broker.door == "timeout":
            await asyncio.sleep(self._patience)
            raise no_answer(self._patience, where=where) from TimeoutError()
        if broker.door == "hung-up":
            raise hung_up(None, where=where, port=1, tls=False)
        if isinstance(broker.door, int) and not self._suits(broker.door):
            raise refused(broker.door, "as the plan says", where=where, client_id=self._client_id)
        if not self._alive():
            await self._loop.create_future()
        broker.dismiss(0x8E)
        broker.connections.append(self)
        window = min(self._uplink.window, broker.receive_maximum)
        self._accepted = Accepted(
            self._dialect.version, window, broker.max_packet, retain=True, max_qos=1, keepalive=30
        )
        broker.log(f"{where} is connected, version {self._dialect.version}, window {window}")
        return self._accepted

    def _suits(self, code: int) -> bool:
        """Tell whether a broker with this peculiarity takes how we speak."""
        return (code == 0x84 and self._dialect.version != 5) or (code == 0x9A and not self._dialect.will_retain)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        accepted = self._accepted
        if accepted is None or self.lost.done():
            raise link_lost("there is no connection", where=self._broker.name)
        if len(self._waiting) >= accepted.window:
            raise RuntimeError(f"{len(self._waiting)} messages already wait for their PUBACK")
        if accepted.max_packet is not None and len(topic) + len(payload) + _OVERHEAD > accepted.max_packet:
            raise TooLarge(topic)
        self._last += 1
        self._waiting.add(self._last)
        if self._alive():
            self._told(self._broker.name, topic, payload, -1)
            self._up.append((self._last, topic, payload, retain))
            self._loop.call_later(self._broker.flight(), self._arrive)
        return self._last

    def subscribe(self, topic: str, heard: Callable[[bytes], None], answered: Callable[[], None]) -> None:
        self.heard[topic] = heard
        self._loop.call_later(2 * self._broker.flight(), answered)
        if topic in self._broker.retained:
            self._loop.call_later(2 * self._broker.flight(), self.hear, topic, self._broker.retained[topic])

    def hear(self, topic: str, payload: bytes) -> None:
        """Take what the broker sends, if the connection is still there."""
        if not self.lost.done() and self._alive() and self._broker.link == "up":
            self.heard[topic](payload)

    def _arrive(self) -> None:
        """Let the oldest packet reach the broker, unless it is lost with its connection."""
        broker = self._broker
        if self.lost.done() or not self._alive():
            return
        if broker.link == "black":
            self._loop.call_later(1.0, self._arrive)
            return
        mid, topic, payload, retain = self._up.popleft()
        code = broker.answer(topic, payload)
        if code < _REFUSED and retain:
            broker.keep(topic, payload)
        broker.taken(broker.name, topic, payload, code)
        if broker.acks == "lost":
            return
        self._down.append((mid, code))
        late = broker.rng.uniform(1, 12) if broker.acks == "late" else 0
        self._loop.call_later(broker.flight() + late, self._acknowledge)

    def _acknowledge(self) -> None:
        if self.lost.done() or not self._alive():
            return
        if self._broker.link == "black":
            self._loop.call_later(1.0, self._acknowledge)
            return
        mid, code = self._down.popleft()
        self._waiting.discard(mid)
        if code < _REFUSED:
            if self._loop.time() - self._broker.reached >= LATELY / 1000:
                self._broker.back()
            self._broker.reached = self._loop.time()
        try:
            self._on_ack(mid, code)
        except Exception as error:  # noqa: BLE001  # as the real one: whoever waits for the end gets it
            self._leave()
            if not self.lost.done():
                self.lost.set_exception(error)

    def drop(self, fault: UplinkFault | None) -> None:
        """End the connection; the will speaks unless it was left cleanly (`fault` is None)."""
        self._leave()
        if self.lost.done():
            return
        self._broker.log(f"{self._broker.name} is disconnected")
        if fault is not None and self._accepted is not None:
            self._broker.will(self._will)
        self.lost.set_result(fault)

    def _leave(self) -> None:
        if self in self._broker.connections:
            self._broker.connections.remove(self)

    async def disconnect(self) -> None:
        if self._alive():
            await asyncio.sleep(self._broker.flight())
        self.drop(None)

    def abort(self) -> None:
        self.drop(link_lost("there is no connection", where=self._broker.name))


def numbered(topic: str, payload: bytes) -> list[tuple[str, str, bytes]]:
    """Give kind, instrument and exact bytes of every numbered record in a message; none in others."""
    kind, _, instrument = topic.split("/", 4)[4].partition("/")
    match kind:
        case "data" | "event" | "alarm":
            return [(kind, instrument, payload)] if payload else []
        case "stats":
            period, _, name = instrument.partition("/")
            return [(f"stats/{period}", name, payload)]
        case "backfill":
            # One record a line, as the contract has it: what json finds in it must be the same.
            lines = payload[1:-1].split(b",\n")
            assert [json.loads(each) for each in lines] == json.loads(payload)
            return [("data", instrument, each) for each in lines]
        case _:
            return []
