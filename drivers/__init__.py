"""How to ask: one driver per line, one verb, one type that comes back (`Snapshot`)."""
