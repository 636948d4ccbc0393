"""One transaction of the outbox file."""

from __future__ import annotations

import sqlite3


class Transaction:
    """BEGIN, then COMMIT, or ROLLBACK when anything went wrong."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._rollback()
                raise
        else:
            self._rollback()

    def _rollback(self) -> None:
        # SQLite ends a transaction by itself where the disk is full or fails.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
