"""A null-modem cable: two terminals, or a TCP port and one; what goes in at one end comes out at the other."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import tty
from contextlib import ExitStack
from typing import Self

_CHUNK = 4096


class Cable:
    """A context manager; `far` is the path of the terminal at the far end.

    The near end is another terminal, `near` its path, or with `tcp` a port of 127.0.0.1, `near` its number: the
    transparent device server of a control cabinet, which takes one connection after the other. A thread carries the
    bytes, so that the programs at both ends may block.
    """

    def __init__(self, *, tcp: bool = False) -> None:
        self._tcp = tcp
        self._open = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._other: dict[int, int] = {}

    def __enter__(self) -> Self:
        far, self.far = self._terminal()
        self._hang_up, hung_up = (each.fileno() for each in self._sockets(socket.socketpair()))
        self._selector.register(hung_up, selectors.EVENT_READ, None)
        if self._tcp:
            (listener,) = self._sockets([socket.create_server(("127.0.0.1", 0))])
            self.near = listener.getsockname()[1]
            self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener, far))
        else:
            near, self.near = self._terminal()
            self._join(near, far)
        self._thread = threading.Thread(target=self._carry, name="cable")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._hang_up, b"!")
        self._thread.join()
        self._selector.close()
        self._open.close()

    def _sockets(self, sockets):
        return [self._open.enter_context(each) for each in sockets]

    def _terminal(self):
        """Open a raw terminal; its other side stays open too, else reading fails while no program is there."""
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        for each in (ours, theirs):
            self._open.callback(os.close, each)
        return ours, os.ttyname(theirs)

    def _accept(self, listener, far):
        connection, _ = listener.accept()
        self._open.enter_context(connection)
        self._join(connection.fileno(), far)

    def _join(self, one, other):
        for source, sink in ((one, other), (other, one)):
            if source in self._selector.get_map():
                self._selector.unregister(source)
            self._selector.register(source, selectors.EVENT_READ, lambda a=source, b=sink: self._copy(a, b))

    def _copy(self, source, sink):
        try:
            data = os.read(source, _CHUNK)
            os.write(sink, data)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(source)

    def _carry(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()
