"""The account at the end: what the gateway says it stored and delivered beside what the platform received. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from parkgate.config.language import say
from parkgate.simulator import books

Object = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """Records of one instrument, of the gateway itself, or of all: how many.

    `delivered` and `waiting` are None where the gateway tells them only in total; `declared` were declared as never to
    come; `different` came twice with other bytes.
    """

    name: str
    stored: int
    delivered: int | None
    waiting: int | None
    received: int
    declared: int
    different: int

    @property
    def lost(self) -> int:
        """What was stored and neither came, nor was declared, nor still waits in the gateway."""
        return max(0, self.stored - self.received - self.declared - (self.waiting or 0))


@dataclass(frozen=True, slots=True)
class Account:
    """The entries, one an instrument and one for the gateway's own events, and their total."""

    entries: tuple[Entry, ...]
    total: Entry
    waiting: int

    @property
    def lost(self) -> int:
        """How many records are lost, over all entries; what waits is not, whosever it is."""
        of_nobody = max(0, self.waiting - sum(entry.waiting or 0 for entry in self.entries))
        return max(0, sum(entry.lost for entry in self.entries) - of_nobody)

    @property
    def whole(self) -> bool:
        """Whether everything stored was delivered and received, each once and the same."""
        return not (self.lost or self.waiting or self.total.different) and self.total.stored == self.total.delivered

    def as_json(self) -> dict[str, object]:
        """Give it for machines."""
        entries = {entry.name: _numbers(entry) for entry in self.entries}
        total = _numbers(self.total) | {"lost": self.lost, "waiting": self.waiting}
        return {"whole": self.whole, "total": total, "entries": entries}


def settle(source: str, words: Object, kept: Sequence[books.Account]) -> Account:
    """Compare an agent's last words (the `account` that a clean stop ends with) with the books of the platform.

    `source` is the gateway (`site/gateway`); what the books hold of other gateways does not count.
    """
    instruments = _object(words.get("instruments"))
    uplinks = [_object(each) for each in _object(words.get("uplinks")).values()]
    ours = [each for each in kept if each.source == source or each.source.startswith(f"{source}/")]
    entries = [
        _entry(name, _object(told), [each for each in ours if _is_data_of(each, f"{source}/{name}")])
        for name, told in instruments.items()
    ]
    stored = _whole(words.get("stored"))
    delivered, waiting = (sum(_whole(each.get(key)) for each in uplinks) for key in ("delivered", "waiting"))
    others = [each for each in ours if not any(_is_data_of(each, f"{source}/{name}") for name in instruments)]
    entries.append(_entry(say("events"), _rest(entries, stored, delivered, waiting), others))
    total = Entry(
        name=say("total"),
        stored=stored,
        delivered=delivered,
        waiting=waiting,
        received=sum(entry.received for entry in entries),
        declared=sum(entry.declared for entry in entries),
        different=sum(entry.different for entry in entries),
    )
    return Account(tuple(entries), total, waiting)


def account_table(account: Account) -> Table:
    """Give it for people; a number that only the total has is left empty."""
    table = Table(title=say("account"), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(say("instrument"), no_wrap=True)
    for header in (say("stored"), say("delivered"), say("waiting"), say("received"), say("lost")):
        table.add_column(header, justify="right")
    for entry in account.entries:
        table.add_row(*_cells(entry, entry.lost))
    table.add_section()
    table.add_row(*_cells(account.total, account.lost), style="bold" if account.whole else "bold red")
    return table


def why(account: Account) -> str:
    """Say in one sentence why an account may not be whole; "" if it is."""
    if account.whole:
        return ""
    if account.waiting:
        return say(
            "{count} records still wait in the gateway, because the broker did not confirm them: it may refuse this "
            "gateway's messages or be out of reach, or another gateway may be connected to it with the same id.",
            count=account.waiting,
        )
    if account.lost:
        return say(
            "{count} records that the broker confirmed did not reach the platform: the broker may drop messages, or "
            "not let this user read all of them.",
            count=account.lost,
        )
    if account.total.different:
        return say(
            "{count} records came twice with different content: another gateway may send with the same id.",
            count=account.total.different,
        )
    return say("The gateway gave up some records, or some were delivered that it does not know of.")


def _rest(entries: Sequence[Entry], stored: int, delivered: int, waiting: int) -> dict[str, object]:
    """Give what the totals have and no instrument has."""
    rest: dict[str, object] = {"stored": max(0, stored - sum(entry.stored for entry in entries))}
    if all(entry.delivered is not None for entry in entries):
        rest["delivered"] = max(0, delivered - sum(entry.delivered or 0 for entry in entries))
        rest["waiting"] = max(0, waiting - sum(entry.waiting or 0 for entry in entries))
    return rest


def _entry(name: str, told: Object, kept: Sequence[books.Account]) -> Entry:
    stored = _whole(told.get("stored"))
    delivered = _whole(told["delivered"]) if "delivered" in told else None
    waiting = None if delivered is None else max(0, stored - delivered)
    return Entry(
        name=name,
        stored=stored,
        delivered=delivered,
        waiting=_whole(told["waiting"]) if "waiting" in told else waiting,
        received=sum(each.received for each in kept),
        declared=sum(each.declared for each in kept),
        different=sum(each.different for each in kept),
    )


def _is_data_of(account: books.Account, source: str) -> bool:
    return account.kind == "data" and account.source == source


def _cells(entry: Entry, lost: int) -> tuple[str, ...]:
    numbers = (entry.stored, entry.delivered, entry.waiting, entry.received, lost)
    return entry.name, *("" if number is None else str(number) for number in numbers)


def _numbers(entry: Entry) -> dict[str, object]:
    numbers = {**asdict(entry), "lost": entry.lost}
    return {name: value for name, value in numbers.items() if name != "name" and value is not None}


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
