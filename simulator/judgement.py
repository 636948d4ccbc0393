"""What arrived held against a truth file, for every instrument, and the tables of it. Prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.gateway.messages.table import flag_words
from parkgate.simulator.received import Received
from parkgate.simulator.reconcile import Judgement, Rules, judge
from parkgate.simulator.truth import Truth

_SHOWN = 10
CHANGES = 60_000
"""How often (ms) an instrument that reports changes must be heard: a full snapshot a minute (the contract's)."""


def judged(truth: Truth, received: Received, rules: Rules) -> list[Judgement]:
    """Judge every instrument of a truth."""
    return [
        judge(
            name, longest(every, received, name), tuple(truth.shown(name)), received.of(name), received.again[name],
            replace(
                rules, digits=received.digits.get(name, {}), derived=received.derived.get(name, frozenset()),
                remembers=name in received.changes,
            ),
        )
        for name, every in truth.instruments.items()
    ]  # fmt: skip


def longest(every: int, received: Received, name: str) -> int:
    """Give how long (ms) an instrument may say nothing, as its meta promises."""
    return max(every, CHANGES) if name in received.changes else every


def judgement_table(judgements: Sequence[Judgement]) -> Table:
    """Give what is missing, again, late, wrong and wrongly flagged, an instrument a row."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(say("instrument"), no_wrap=True)
    first = (say("due"), say("came"), say("unreadable"), say("missing"))
    for heading in (*first, say("again"), say("late"), say("wrong"), say("misflagged")):
        table.add_column(heading, justify="right")
    table.add_column(say("flagged, rightly"), overflow="fold")
    words = flag_words()
    for each in judgements:
        came = (each.due, each.came, each.unreadable, each.missing)
        numbers = (*came, each.again, each.late, each.wrong, each.misflagged)
        cells = [
            Text(f"{number:,}", style="bold red" if _bad(place, number) else "") for place, number in enumerate(numbers)
        ]
        flagged = ", ".join(f"{count:,} {words.get(flag, flag)}" for flag, count in sorted(each.flagged.items()))
        table.add_row(Text(each.instrument), *cells, Text(flagged, style="dim"))
    return table


def _bad(place: int, number: int) -> bool:
    return place in {3, 6, 7} and number > 0


def troubles_table(judgements: Sequence[Judgement]) -> Table:
    """Give what stood on the points of snapshots under each trouble."""
    stood: dict[str, Counter[str]] = {}
    for each in judgements:
        for trouble, flags in each.by_trouble.items():
            stood.setdefault(trouble, Counter()).update(flags)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(say("trouble"), no_wrap=True)
    table.add_column(say("points that met it, and what stood on them"))
    words = {**flag_words(), "": say("usable")}
    for trouble, flags in sorted(stood.items()):
        said = ", ".join(f"{count:,} {words.get(flag, flag)}" for flag, count in flags.most_common())
        table.add_row(Text(trouble), Text(said))
    return table


def findings(judgements: Sequence[Judgement], most: int = _SHOWN) -> list[str]:
    """Give the first findings of each instrument, a line each, for people."""
    lines = []
    for each in judgements:
        for found in each.findings[:most]:
            at = datetime.fromtimestamp(found.ts / 1000, tz=UTC)
            lines.append(f"{at:%H:%M:%S}.{found.ts % 1000:03d}Z {each.instrument}.{found.point}: {found.what}")
        if len(each.findings) > most:
            lines.append(say("… and {count} more of {name}", count=len(each.findings) - most, name=each.instrument))
    return lines


def as_json(judgements: Sequence[Judgement]) -> Mapping[str, object]:
    """Give it for machines."""
    return {each.instrument: {**asdict(each), "right": each.right} for each in judgements}
