"""What an agent committed, identity by identity with its bytes: taken from copies of its outbox, beside the agent.

The platform's books are judged by it: everything committed arrived with the same bytes, or was declared.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
import zlib
from contextlib import closing
from pathlib import Path

from parkgate.simulator.books import Books

Identity = tuple[str, str, str, int]
"""Kind, source, epoch and seq."""

_ROWS = """
    SELECT record.id, kind, instrument, epoch, record.seq, body
    FROM record JOIN series ON series.id = record.series WHERE record.id > ? ORDER BY record.id
"""


class Ledger:
    """The digest of every record that was ever seen committed for a gateway `site/gateway`."""

    def __init__(self, source: str) -> None:
        self.digests: dict[Identity, bytes] = {}
        self.rewritten: list[Identity] = []
        """Identities that were committed twice with different bytes."""
        self._source = source
        self._seen = 0

    def note(self, data: Path) -> None:
        """Enter what was committed since, from a copy of the outbox and its WAL; the agent must not be running."""
        if not (data / "outbox.sqlite").exists():
            return
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / "outbox.sqlite"
            for suffix in ("", "-wal"):
                original = data / f"outbox.sqlite{suffix}"
                if original.exists():
                    shutil.copyfile(original, f"{copy}{suffix}")
            with closing(sqlite3.connect(copy)) as connection:
                if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'record'").fetchone():
                    self._enter(connection)

    def _enter(self, connection: sqlite3.Connection) -> None:
        for row, kind, instrument, epoch, seq, packed in connection.execute(_ROWS, (self._seen,)):
            source = f"{self._source}/{instrument}" if instrument else self._source
            digest = hashlib.blake2b(zlib.decompress(packed), digest_size=8).digest()
            if self.digests.setdefault((kind, source, epoch, seq), digest) != digest:
                self.rewritten.append((kind, source, epoch, seq))
            self._seen = row

    def lost(self, books: Books) -> list[Identity]:
        """Give what was committed and neither came nor was declared."""
        series, missing = books._series, []
        for kind, source, epoch, seq in self.digests:
            known = series.get((kind, source, epoch))
            if known is None or not (seq in known.digests or seq in known.declared):
                missing.append((kind, source, epoch, seq))
        return missing

    def different(self, books: Books) -> list[Identity]:
        """Give what came with other bytes than were committed, or was committed or came with two."""
        found = list(self.rewritten)
        for (kind, source, epoch), series in books._series.items():
            found += [(kind, source, epoch, 0)] * series.different
            found += [
                (kind, source, epoch, seq)
                for seq, digest in series.digests.items()
                if self.digests.get((kind, source, epoch, seq), digest) != digest
            ]
        return found

    def never_stored(self, books: Books) -> int:
        """Count what came and was not committed when it did: nothing may be published before its commit."""
        return sum((*key, seq) not in self.digests for key, series in books._series.items() for seq in series.digests)


def duplicates(books: Books) -> int:
    """Count what came again with the same bytes."""
    return sum(each.duplicates for each in books.account())
