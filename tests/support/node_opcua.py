"""An OPC UA server that others wrote, node-opcua of npm, in a process of its own: `nodeopcua/nodes.js` says its nodes.

It takes some seconds to start, so tests share one (`serving()` in a fixture of scope "module") and run in the group
"node-opcua", one after the other. They say with `set`, `units` and `range` what its nodes hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from support.counterparts import installed
from support.opcua_secured import Shown

HERE = Path(__file__).parent / "nodeopcua"
URI = "urn:test:node-opcua"


def node(name):
    """Give a node's id as profiles write it."""
    return f"nsu={URI};s={name}"


class Park:
    """A node-opcua server: it listens from `start` to `stop`, each time on the same port, and each time as new."""

    def __init__(self, folder):
        self._folder = folder
        self.shown = Shown(ends=timedelta(days=400))
        self._certificate, self._key = self.shown.write(folder, "server")
        self._child = None
        self._port = 0

    @property
    def url(self):
        return f"opc.tcp://127.0.0.1:{self._port}/park"

    def start(self):
        """Start it; gives the seconds that it took, without those of node itself."""
        environment = os.environ | {"NODE_PATH": str(installed(HERE) / "node_modules")}
        with (self._folder / "node-opcua.log").open("a") as log:
            self._child = subprocess.Popen(
                ["node", HERE / "server.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment,
            )  # fmt: skip
        files = {"certificate": str(self._certificate), "key": str(self._key), "folder": str(self._folder / "pki")}
        listens = self._ask(port=self._port, **files)
        self._port = listens["port"]
        return listens["seconds"]

    def stop(self):
        """Let it close its sessions and end."""
        if self._child is not None:
            self._ask(quit=True)
            self._child.communicate()
            self._child = None

    def kill(self):
        """End it as a power cut does."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def set(self, name, value=None, *, status="Good", source=None):
        """Let a node hold a value (the one that it has), of a status and a source time (ms UTC; now)."""
        given = {"value": value, "source": source}
        self._ask(set=name, status=status, **{key: each for key, each in given.items() if each is not None})

    def units(self, name, unit_id, display, **more):
        """Let an analog item be in another unit."""
        self._ask(units=name, unit={"unitId": unit_id, "displayName": display, **more})

    def range(self, name, low, high):
        """Let an analog item have another EURange."""
        self._ask(range=name, low=low, high=high)

    @property
    def sessions(self):
        return self._ask(sessions=True)["sessions"]

    @property
    def subscriptions(self):
        return self._ask(sessions=True)["subscriptions"]

    def _ask(self, **told):
        self._child.stdin.write(json.dumps(told) + "\n")
        self._child.stdin.flush()
        said = json.loads(self._child.stdout.readline() or '{"error": "it ended"}')
        assert "error" not in said, f"{said['error']}\n{(self._folder / 'node-opcua.log').read_text()[-2000:]}"
        return said


@contextmanager
def serving():
    """Give a server that listens, and end it whatever became of it."""
    with tempfile.TemporaryDirectory() as folder:
        park = Park(Path(folder))
        try:
            park.start()
            yield park
        finally:
            park.kill()
