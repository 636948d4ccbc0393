"""What can go wrong on a line, named by what to do next. Every fault says what, where and what the technician can do.

Fault
|-- Unreachable     close the line, back off, open it again
|-- Silent          this instrument gives nothing this turn; the line goes on
|-- Garbled         the answer does not fit the question: nothing of it is used; the line goes on
`-- Unusable        it can never work as configured: say so and do not try
"""

from __future__ import annotations

from parkgate.config.language import say


class Fault(Exception):
    """Something went wrong with a line or an instrument: `what` happened, `where`, and a `hint` for the technician."""

    def __init__(self, what: str, *, where: str, hint: str) -> None:
        super().__init__(say("{where}: {what}. {hint}", where=where, what=what, hint=hint))
        self.what = what
        self.where = where
        self.hint = hint


class Unreachable(Fault):
    """The line itself is down."""


class Silent(Fault):
    """One instrument did not answer in time; others on the line may."""


class Garbled(Fault):
    """An answer came that does not fit the question; nothing of it is used."""


class Unusable(Fault):
    """The configuration asks for what cannot be."""
