"""A network namespace joined to this one by a pair of virtual cables; what passes can be dropped without a word.

Needs root, `ip` and `iptables`. Rules are made inside the namespace only: this machine's own stay as they are.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from typing import Self

_COUNT = itertools.count()


def _do(*command: str, check: bool = True) -> None:
    subprocess.run(command, check=check, capture_output=True, timeout=20)


class Namespace:
    """A namespace as a context manager: `here` is this side's address and `there` the other's, names are its own."""

    def __init__(self) -> None:
        number = next(_COUNT)
        self.name = f"pg-{os.getpid()}-{number}"
        self._cable = f"pg{os.getpid() % 1_000_000}{number % 100:02d}"
        # A network of four addresses out of 10.213.0.0/16, another for each namespace of each process.
        first = (os.getpid() * 7 + number) % 16_384 * 4
        self.here, self.there = (f"10.213.{(first + n) // 256}.{(first + n) % 256}" for n in (1, 2))

    @property
    def command(self) -> tuple[str, ...]:
        """What runs the rest of a command line inside; the process id stays the same."""
        return ("ip", "netns", "exec", self.name)

    def __enter__(self) -> Self:
        far = f"{self._cable}n"
        try:
            _do("ip", "netns", "add", self.name)
            _do("ip", "link", "add", self._cable, "type", "veth", "peer", "name", far, "netns", self.name)
            _do("ip", "address", "add", f"{self.here}/30", "dev", self._cable)
            _do("ip", "link", "set", self._cable, "up")
            _do(*self.command, "ip", "address", "add", f"{self.there}/30", "dev", far)
            _do(*self.command, "ip", "link", "set", far, "up")
            _do(*self.command, "ip", "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _do("ip", "link", "delete", self._cable, check=False)
        _do("ip", "netns", "delete", self.name, check=False)

    def drop(self, port: int, *, on: bool = True) -> None:
        """Drop everything to and from a TCP port on this side, or (`on=False`) no longer."""
        change = "-A" if on else "-D"
        for chain, which in (("OUTPUT", "--dport"), ("INPUT", "--sport")):
            _do(*self.command, "iptables", "-w", change, chain, "-p", "tcp", which, str(port), "-j", "DROP")
