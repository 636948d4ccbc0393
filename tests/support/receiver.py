"""A subscriber in a process of its own that stamps each message as it comes and judges only afterwards.

For latencies: it does nothing between two messages but acknowledge them. Told the folder of an outbox whose agent has
ended, it keeps the books of everything that came and compares them with what was committed. Run as a program it is that
process: `receiver.py PORT SOURCE`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.ledger import Ledger, duplicates
from support.subscriber import Subscriber

from parkgate.simulator.books import Books

_LONGEST = 256 * 1024 * 1024


@dataclass(frozen=True)
class Verdict:
    """What came: how much, what of the committed did not, and when each single live record arrived.

    `arrivals` are (kind, instrument, seq, `ts`, when it came; both milliseconds UTC), in the order of coming;
    `packs` are when each pack of the backlog came.
    """

    committed: int
    lost: int
    different: int
    duplicates: int
    arrivals: list[tuple[str, str, int, int, float]]
    packs: list[float]

    def delays(self, kind: str) -> list[float]:
        """Give how long records of a kind took from their `ts` to the platform, milliseconds, ascending."""
        return sorted(at - ts for of, _, _, ts, at in self.arrivals if of == kind)


class Receiver:
    """The process, as an async context manager."""

    def __init__(self, port: int, source: str) -> None:
        self._words = (str(port), source)

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, *self._words, stdin=pipe, stdout=pipe, limit=_LONGEST,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"subscribed\n"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def judge(self, data: Path) -> Verdict:
        """Let it judge by what the outbox in `data` says was committed; the agent has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{data}\n".encode())
        said: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return Verdict(**said | {"arrivals": [tuple(each) for each in said["arrivals"]]})


class _Stamping(list):
    """The messages with the time of their coming (milliseconds UTC)."""

    def append(self, message) -> None:
        super().append((time.time() * 1000, message))


def _judged(messages: list, data: Path, source: str) -> dict[str, object]:
    books, ledger, arrivals, packs = Books(), Ledger(source), [], []
    for at, message in messages:
        books.take(message.topic, message.payload, message.retain)
        kind, _, instrument = message.topic.split("/", 4)[4].partition("/")
        if kind == "backfill":
            packs.append(at)
        if kind in {"data", "alarm"} and not message.retain:
            record = json.loads(message.payload)
            arrivals.append((kind, instrument, record["seq"], record["ts"], at))
    ledger.note(data)
    return {
        "committed": len(ledger.digests), "lost": len(ledger.lost(books)),
        "different": len(ledger.different(books)) + books.junk, "duplicates": duplicates(books),
        "arrivals": arrivals, "packs": packs,
    }  # fmt: skip


async def _main(port: int, source: str) -> None:
    async with Subscriber(port, f"park/v1/{source}/#") as subscriber:
        subscriber.received = _Stamping()
        print("subscribed", flush=True)
        data = await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep(1)  # what the agent had acknowledged may still be on its way from the broker
    print(json.dumps(_judged(subscriber.received, Path(data.strip()), source)), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
