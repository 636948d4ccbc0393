"""The outbox: the one joint between collecting and forwarding."""
