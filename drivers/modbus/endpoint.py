"""Where a Modbus line is, by its URL, and what a technician reads when it cannot be opened. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from urllib.parse import urlsplit

from parkgate.config.language import say
from parkgate.config.line_checks import Kind, kind_of
from parkgate.config.site import Line
from parkgate.drivers.faults import Unusable

PORT = 502
"""The port registered for Modbus TCP."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, or the device file of a serial port."""

    kind: Kind
    host: str = ""
    port: int = 0
    device: str = ""

    @property
    def rtu(self) -> bool:
        """Tell whether frames stand on the wire as on a serial line, and so name no question."""
        return self.kind != "tcp"

    def __str__(self) -> str:
        return self.device or f"{self.host}:{self.port}"

    def trouble(self, error: Exception) -> tuple[str, str]:
        """Give what happened when it could not be opened, and what to do."""
        code = error.errno if isinstance(error, OSError) else None
        if not self.device:
            return (
                say("no connection to {host}:{port}", host=self.host, port=self.port),
                say("Check power, cable, address and port; many instruments accept one connection only."),
            )
        if code == errno.ENOENT:
            what = say("there is no serial port {device}", device=self.device)
            return what, say("Check the adapter's plug; see which there are: ls /dev/tty* /dev/serial/by-id")
        if code in {errno.EACCES, errno.EPERM}:
            what = say("the serial port {device} may not be opened by this user", device=self.device)
            return what, say(
                "Add the user to the group of that file, usually dialout: ls -l {device}", device=self.device
            )
        if code == errno.ENOTSUP:
            what = say("the serial port {device} cannot switch an RS-485 transmitter", device=self.device)
            return what, say("Leave rs485 out where the hardware switches by itself, as most converters do.")
        if "lock" in str(error):
            what = say("another program has the serial port {device} open", device=self.device)
            return what, say("Only one may ask on a line. See which: fuser -v {device}", device=self.device)
        what = say("the serial port {device} cannot be opened: {error}", device=self.device, error=error)
        return what, say("Check that it is a serial port and that it has this baud rate and parity.")


def endpoint_of(line: Line) -> Endpoint:
    """Give where a line is.

    Raises:
        Unusable: its URL is none of a Modbus line.

    """
    kind = kind_of(line)
    url = urlsplit(line.url)
    try:
        host, port = url.hostname or "", url.port or (PORT if kind == "tcp" else 0)
        host.encode("idna")  # what the resolver does with a name, and would raise from inside the library
    except ValueError:
        host, port = "", 0
    if kind == "rtu" and url.path:
        return Endpoint(kind, device=url.path)
    if kind in {"tcp", "rtu-over-tcp"} and host and port:
        return Endpoint(kind, host, port)
    raise Unusable(
        say('"{url}" is not a Modbus line', url=line.url),
        where=line.name,
        hint=say('Write it like "modbus-tcp://10.0.0.5:502" or "modbus-rtu:///dev/ttyS1".'),
    )
