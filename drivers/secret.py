"""A password from where the site file says it is kept; never kept here, so that a changed one needs no restart."""

from __future__ import annotations

import os
from pathlib import Path

from parkgate.config.language import say
from parkgate.config.site import Secret
from parkgate.drivers.faults import Unusable


def read_secret(secret: Secret, *, where: str) -> str:
    """Give the password: a systemd credential, a file (a last newline is dropped) or an environment variable.

    Raises:
        Unusable: it is not there, cannot be read, or is not UTF-8 text.

    """
    if secret.env is not None:
        return _from_environment(secret.env, where)
    if secret.file is not None:
        return _from_file(secret.file, where, say("Write the password into this file, readable by the agent."))
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None or secret.credential is None:
        raise Unusable(
            say(
                'there is no systemd credential "{name}": the agent was not started with credentials',
                name=secret.credential,
            ),
            where=where,
            hint=say("Start the agent by its systemd unit with LoadCredential=, or use file or env in the site file."),
        )
    hint = say("Add LoadCredential={name}:… to the agent's systemd unit.", name=secret.credential)
    return _from_file(Path(folder) / secret.credential, where, hint)


def _from_environment(name: str, where: str) -> str:
    password = os.environ.get(name)
    if password is None:
        raise Unusable(
            say("the environment variable {name} with the password is not set", name=name),
            where=where,
            hint=say("Set it where the agent is started (Environment= of its systemd unit)."),
        )
    return password


def _from_file(path: Path, where: str, hint: str) -> str:
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else say("it is not UTF-8 text")
        raise Unusable(
            say("the password cannot be read from {path}: {reason}", path=path, reason=reason), where=where, hint=hint
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
