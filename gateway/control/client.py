"""Asking a running agent over its Unix socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from parkgate.config.language import say
from parkgate.drivers.faults import Fault


class NotRunning(Fault):
    """No agent answers on the control socket."""


def ask(path: Path, request: Mapping[str, object], *, timeout: float = 5.0) -> dict[str, Any]:
    """Send one request to the agent behind the socket `path` and give its answer.

    Raises:
        NotRunning: nobody listens there, no answer came in time, or it ended while it answered.

    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(timeout)
            agent.connect(str(path))
            agent.sendall(json.dumps(request).encode() + b"\n")
            with agent.makefile("rb") as lines:
                answer = dict(json.loads(lines.readline()))
    except PermissionError as error:
        raise NotRunning(
            say("the agent may not be asked by this user"),
            where=str(path),
            hint=say("Join the group of the socket (usually parkgate), or use sudo."),
        ) from error
    except (OSError, ValueError, TypeError) as error:  # the last two: it ended while it answered
        raise NotRunning(say("no agent answers"), where=str(path), hint=_hint(path.parent)) from error
    return answer


def _hint(data: Path) -> str:
    with suppress(OSError):
        if os.statvfs(data).f_flag & os.ST_RDONLY:
            return say("Its disk is read-only: an agent there runs in memory; see journalctl -u parkgate@SITE.")
    return say("Start it: parkgate run SITE, or systemctl start parkgate@SITE.")
