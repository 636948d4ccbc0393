"""OPC UA: `plan` (what to ask), `codec` (what it means), `driver` (the I/O)."""
