"""The agent: collects, judges, stores and forwards. `agent.py` is the only file that knows the others."""
