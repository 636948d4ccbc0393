"""What becomes of a message by the reason code of its PUBACK, as one table. Pure.

The codes are those of MQTT 5, table 3-4 (PUBACK), and 2.4; 0x95 is our own word for what the broker's Maximum Packet
Size forbids (MQTT 5, 3.2.2.3.6). MQTT 3.1.1 has no codes: what is acknowledged there counts as delivered. CONNACK and
DISCONNECT end a connection instead of a message: `refusals` sorts theirs.
"""

from __future__ import annotations

from enum import Enum, auto

NOBODY = 0x10
"""No matching subscribers: the broker took the message and nobody got it."""
TOO_LARGE = 0x95
_FAILURE = 0x80


class Verdict(Enum):
    """What to do with the rows of a message."""

    DELIVERED = auto()
    """The broker took it: settled."""
    RETRY = auto()
    """Refused for now: the rows are kept, people are told, the topic's oldest message is tried again alone."""
    QUARANTINE = auto()
    """These bytes will never be taken: set apart, kept, declared."""
    RECONNECT = auto()
    """The two sides no longer agree on what was sent: begin a new connection."""


VERDICTS = {
    0x00: Verdict.DELIVERED,  # success
    NOBODY: Verdict.DELIVERED,  # no matching subscribers; `nobody = "hold"` of an uplink makes it RETRY
    0x80: Verdict.RETRY,  # unspecified error
    0x83: Verdict.RETRY,  # implementation specific error
    0x87: Verdict.RETRY,  # not authorized: a rule of the broker, which people can mend
    0x90: Verdict.QUARANTINE,  # topic name invalid
    0x91: Verdict.RECONNECT,  # packet identifier in use
    TOO_LARGE: Verdict.QUARANTINE,
    0x97: Verdict.RETRY,  # quota exceeded: it has room again later
    0x99: Verdict.QUARANTINE,  # payload format invalid
}


def verdict(code: int, *, hold: bool, rows: bool) -> Verdict:
    """Judge a PUBACK; `hold` if nobody's having subscribed counts as refused, `rows` if the message carries any.

    A code that the table does not know is a failure from 0x80 on, and then kept and retried.
    """
    if code == NOBODY and hold and rows:
        return Verdict.RETRY
    found = VERDICTS.get(code, Verdict.RETRY if code >= _FAILURE else Verdict.DELIVERED)
    return Verdict.RETRY if found is Verdict.QUARANTINE and not rows else found
