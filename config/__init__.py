"""What there is: site files, instrument profiles, and the data that ships with them.

This room reads files and gives frozen models. It never opens a line, a socket or the outbox.
"""
