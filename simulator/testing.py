"""What the pytest plugin gives to a test: a broker, a park, a gateway and the books, all synchronous.

Each is a context manager that leaves nothing behind. They work without pytest too.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from parkgate.config.language import say
from parkgate.config.site import Instrument, Site
from parkgate.simulator.agent import Agent, Object
from parkgate.simulator.background import Background
from parkgate.simulator.books import Account, Books, Verdict
from parkgate.simulator.broker import EmbeddedBroker
from parkgate.simulator.link import Link
from parkgate.simulator.moved_site import MovedSite, moved_site
from parkgate.simulator.park import Park
from parkgate.simulator.platform import Platform
from parkgate.simulator.scenario import Scenario, load_scenario

_START = 20.0
_FLUSH = 12.0
_LEAVE = 3.0
_LOOK = 0.05
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_ID = 32

T = TypeVar("T")
Identity = tuple[str, str, int]
"""What a record is known by: source, epoch and seq."""


class GatewayFailed(Exception):
    """The gateway does not do what the test waits for: the text says what, with its last lines."""


class Incomplete(AssertionError):
    """Something that the gateway delivered did not come in time: the text says what."""


class _Within(ABC):
    """Something that is there for as long as its context lasts."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @abstractmethod
    def start(self) -> None:
        """Begin."""


class StandingBroker(_Within):
    """The broker: the embedded one, MQTT 5 on a free port, or one that is elsewhere (`url`)."""

    def __init__(self, background: Background, url: str | None = None) -> None:
        super().__init__(background)
        self.elsewhere = url is not None
        self.url = url or ""

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS.get(parts.scheme, 1883)

    def start(self) -> None:
        """Start the embedded broker, again on the same port, with nothing in it; one elsewhere is left alone."""
        if not self.elsewhere:
            broker = EmbeddedBroker(self.port if self.url else 0)
            self.url = self._stack.enter_context(self._background.use(broker)).url

    def stop(self) -> None:
        """Stop the embedded broker: it forgets sessions, retained messages and what it had not passed on.

        Raises:
            RuntimeError: the broker is elsewhere.

        """
        if self.elsewhere:
            raise RuntimeError(say("{url} is not ours to stop; unplug the gateway from it", url=self.url))
        self._stack.close()


class StandingPark(_Within):
    """A scenario's instruments, answering on free ports; `urls` by the name of their line."""

    def __init__(self, background: Background, scenario: str | Path) -> None:
        super().__init__(background)
        self.scenario: Scenario = load_scenario(scenario)
        self.urls: Mapping[str, str] = {}

    @property
    def site(self) -> Site:
        """The site file that the scenario is about."""
        return self.scenario.site

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The instruments by name, with their points."""
        return {each.name: each for each in self.site.instruments}

    def start(self) -> None:
        """Let every line answer."""
        park = self._stack.enter_context(self._background.use(Park(self.scenario, any_port=True)))
        self.urls = dict(park.urls)


class Message(NamedTuple):
    """What came: a topic, a payload, and whether it is a copy that the broker had retained."""

    topic: str
    payload: bytes
    retained: bool


class KeptBooks(_Within):
    """A subscriber of everything that a gateway publishes, and what it knows of completeness."""

    def __init__(self, background: Background, url: str, topics: str) -> None:
        super().__init__(background)
        self.messages: list[Message] = []
        self._platform = Platform(url, topics, lambda *told: self.messages.append(Message(*told)))
        self._words: tuple[str, Object] | None = None

    def start(self) -> None:
        """Subscribe."""
        self._stack.enter_context(self._background.use(self._platform))

    def account(self) -> tuple[Account, ...]:
        """Give the account of every series: what was received, what is missing and what is lost."""
        return self._background.call(_at_once(self._platform.books.account))

    def snapshots(self) -> dict[Identity, dict[str, Any]]:
        """Give every snapshot that came, live or as backfill, each once."""
        found = {}
        for message in tuple(self.messages):
            kind = message.topic.split("/")[4]
            if kind in {"data", "backfill"}:
                told = json.loads(message.payload)
                for record in told if isinstance(told, list) else [told]:
                    found[record["source"], record["epoch"], record["seq"]] = record
        return found

    def wait_until_complete(self, seconds: float = 10.0) -> None:
        """Wait until something came and nothing is missing; once the gateway has stopped, until all it stored came.

        Raises:
            Incomplete: it did not become so in time.

        """
        if not self._background.call(self._platform.until(lambda books: not self._missing(books), seconds)):
            missing = "\n".join(self._background.call(_at_once(lambda: self._missing(self._platform.books))))
            raise Incomplete(say("not complete after {count} s:", count=seconds) + "\n" + missing)

    def wait_until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something of the test's own holds: that its consumer has caught up.

        Raises:
            Incomplete: it did not hold in time.

        """
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Incomplete(say("it does not hold after {count} s", count=seconds))
            time.sleep(_LOOK)

    def expect(self, source: str, words: Object | None) -> None:
        """Be told the account that a gateway stopped with; None says that it has begun again."""
        self._words = None if words is None else (source, words)

    def clear(self) -> None:
        """Delete what the broker retains of these topics."""
        self._background.call(self._platform.clear())

    def _missing(self, books: Books) -> list[str]:
        accounts = books.account()
        if not accounts:
            return [say("nothing came")]
        holes = [each for each in accounts if each.verdict is not Verdict.COMPLETE]
        found = [f"{each.kind} {each.source} {each.epoch}: {each.verdict} {each.missing}" for each in holes]
        for name, stored in _stored(self._words).items():
            ours = [each for each in accounts if (each.kind, each.source) == ("data", name)]
            newest = max(ours, key=lambda each: each.epoch, default=None)
            came = 0 if newest is None else newest.received + newest.declared
            if came < stored:
                found.append(say("{name}: {count} of {total} snapshots", name=name, count=came, total=stored))
        return found


class RunningGateway(_Within):
    """The agent as a process of its own, on a park and a broker.

    `topic` is the root of what it publishes (`{prefix}/v1/{site}/{gateway}`), `source` its name in its records. Its
    outbox lasts over `kill` and `start`.
    """

    def __init__(
        self, background: Background, site: MovedSite, folder: Path, cable: Link | None, books: KeptBooks
    ) -> None:
        super().__init__(background)
        self.source = site.source
        self.topic = site.topics.removesuffix("/#")
        self.file = folder / "site.toml"
        self._site = site
        self._cable = cable
        self._books = books
        self._agent: Agent | None = None

    def start(self) -> None:
        """Start it, again with the same outbox, and wait until it answers.

        Raises:
            GatewayFailed: it ended, or did not answer in time.

        """
        self.kill()
        self._books.expect(self.source, None)
        self.file.write_text(self._site.text, encoding="utf-8")
        agent = Agent(self.file, self.file.parent / "data", secrets=self._site.secrets)
        self._agent = self._stack.enter_context(self._background.use(agent))
        self._until(say("it did not begin to answer"), lambda _: True, _START)

    def stop(self) -> Object:
        """Let it deliver what it has and leave, and give its account: what it stored and delivered.

        Raises:
            GatewayFailed: it left without an account, or not in time.

        """
        words = self._leave(_FLUSH)
        if words is None:
            raise GatewayFailed(self._with_last_lines(say("the gateway left without an account")))
        self._books.expect(self.source, words)
        return words

    def kill(self) -> None:
        """End it at once, as a power cut would: it delivers nothing more."""
        self._stack.close()

    def status(self) -> Object | None:
        """Give what it says of its lines, instruments, uplinks and outbox; None while it does not run."""
        return None if self._agent is None else self._background.call(self._agent.status())

    def wait_for(self, instrument: str, snapshots: int = 3, seconds: float = 30.0) -> None:
        """Wait until it has stored so many more snapshots of an instrument than now.

        Raises:
            GatewayFailed: there is no such instrument, it ended, or it took longer.

        """
        first = _seqs(self.status() or {})
        if instrument not in first:
            what = say('there is no instrument "{name}"; there are: {names}', name=instrument, names=", ".join(first))
            raise GatewayFailed(self._with_last_lines(what))
        enough = first[instrument] + snapshots
        what = say(
            '"{name}" did not give {count} snapshots in {seconds} s', name=instrument, count=snapshots, seconds=seconds
        )
        self._until(what, lambda status: _seqs(status).get(instrument, 0) >= enough, seconds)

    def unplug(self) -> None:
        """Break its connection to the broker, and let it make no other: it goes on reading and storing."""
        self._background.call(self._plugged().refuse(on=True))
        if self.status() is not None:
            self._until(say("it did not notice that it is unplugged"), lambda status: not _is_online(status), _START)

    def plug_in(self, seconds: float = 60.0) -> None:
        """Let it reach its broker again, and wait until it does: within seconds, later after a long outage."""
        self._background.call(self._plugged().refuse(on=False))
        if self.status() is not None:
            self._until(say("it did not come back to its broker"), _is_online, seconds)

    def last_lines(self) -> str:
        """Give the last lines that it wrote for people."""
        agent = self._agent
        return "" if agent is None else self._background.call(_at_once(lambda: agent.errors))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it leave in order if it does so soon, else end it."""
        self._leave(_LEAVE)

    def _leave(self, seconds: float) -> Object | None:
        try:
            return None if self._agent is None else self._background.call(self._agent.stop(seconds))
        finally:
            self.kill()

    def _plugged(self) -> Link:
        if self._cable is None:
            raise RuntimeError(say("only a gateway on mqtt:// can be unplugged; over TLS its cable would be noticed"))
        return self._cable

    def _until(self, what: str, holds: Callable[[Object], bool], seconds: float) -> None:
        if self._agent is None or not self._background.call(_until(self._agent, holds, seconds)):
            raise GatewayFailed(self._with_last_lines(what))

    def _with_last_lines(self, what: str) -> str:
        return f"{what}\n{self.last_lines()}".rstrip()


def cable_to(broker: StandingBroker) -> Link | None:
    """Give a cable to a broker; None where TLS would notice it."""
    return Link(lambda: (broker.host, broker.port)) if urlsplit(broker.url).scheme == "mqtt" else None


def site_in(folder: Path, park: StandingPark, broker: StandingBroker, cable: Link | None) -> MovedSite:
    """Give the site file of a park, on its addresses, for a gateway that lives in a folder.

    On a broker that others may use too, the gateway has an id of its own.
    """
    parts = urlsplit(broker.url)
    if cable is not None:
        parts = parts._replace(netloc="".join((*parts.netloc.rpartition("@")[:2], f"127.0.0.1:{cable.port}")))
    own = f"{park.site.gateway.id[: _ID - 7]}-{secrets.token_hex(3)}" if broker.elsewhere else ""
    beside = park.site.path.resolve().parent

    def profile(name: str) -> str:
        file = beside / (name if name.endswith(".toml") else f"{name}.toml")
        return str(file) if file.is_file() else name

    text = park.site.path.read_text(encoding="utf-8")
    return moved_site(text, park.urls, parts.geturl(), str(folder / "data"), gateway_id=own, profile=profile)


async def _until(agent: Agent, holds: Callable[[Object], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not agent.ended.done():
        status = await agent.status()
        if status is not None and holds(status):
            return True
        await asyncio.sleep(_LOOK)
    return False


async def _at_once(question: Callable[[], T]) -> T:
    return question()


def _is_online(status: Object) -> bool:
    uplinks = status.get("uplinks")
    return isinstance(uplinks, list) and all(each["state"] == "online" for each in uplinks)


def _seqs(status: Object) -> dict[str, int]:
    instruments = status.get("instruments")
    return {str(each["name"]): int(each["seq"]) for each in instruments} if isinstance(instruments, list) else {}


def _stored(words: tuple[str, Object] | None) -> dict[str, int]:
    """Give how many snapshots of each instrument a gateway had stored when it stopped."""
    if words is None:
        return {}
    source, account = words
    instruments = account.get("instruments")
    return (
        {f"{source}/{name}": each["stored"] for name, each in instruments.items()}
        if isinstance(instruments, dict)
        else {}
    )
