"""The Unix socket into a running agent."""
