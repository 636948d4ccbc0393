"""Judging snapshots: pure functions, a snapshot in, a snapshot out."""
