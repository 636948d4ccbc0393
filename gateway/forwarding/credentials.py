"""What an uplink shows at the broker's door: the password from where it is kept, and the certificates as a TLS context.

The password is read anew for each connection, the certificates whenever their files changed, so that a renewed one
needs no restart. In between the TLS session is resumed, which halves the bytes of a reconnect.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from parkgate.config.language import say
from parkgate.config.site import Secret, Uplink
from parkgate.drivers.faults import Unusable
from parkgate.drivers.secret import read_secret
from parkgate.gateway.forwarding.refusals import Misconfigured


def read_password(secret: Secret, *, where: str) -> str:
    """Give the password of an uplink.

    Raises:
        Misconfigured: it is not there, cannot be read, or is not UTF-8 text.

    """
    try:
        return read_secret(secret, where=where)
    except Unusable as fault:
        raise Misconfigured(fault.what, where=where, hint=fault.hint) from fault


class _Context(ssl.SSLContext):
    """Keeps the ticket of the last session, in memory only; a session belongs to the context it was made with."""

    ticket: ssl.SSLSession | None = None


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # the signature of the ssl module
        ticket = self.context.ticket if isinstance(self.context, _Context) else None
        try:
            if ticket is not None:
                self.session = ticket
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Door:
    """The TLS of one uplink over all its connections."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self._context: _Context | None = None
        self._made_of: tuple[object, ...] = ()

    def context(self, *, where: str) -> ssl.SSLContext:
        """Give a context of TLS 1.2 or later that checks the broker's certificate and name.

        It trusts `ca` of the uplink and nothing else, or the system's authorities if there is none.

        Raises:
            Misconfigured: a file is missing, is not PEM, or the key does not fit the certificate.

        """
        uplink = self._uplink
        stamps = tuple(_stamp(file) for file in (uplink.ca, uplink.cert, uplink.key))
        if self._context is None or self._made_of != stamps:
            self._context, self._made_of = _made(uplink, where), stamps
        return self._context

    def remember(self, sock: object) -> None:
        """Keep the session of a connection for the next; to be called once the broker has sent something.

        The tickets of TLS 1.3 come behind the handshake, with the first bytes that are read.
        """
        if isinstance(sock, ssl.SSLSocket) and self._context is not None:
            self._context.ticket = sock.session


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        about = file.stat() if file else None
    except OSError:
        return None
    return (about.st_mtime_ns, about.st_ino) if about else None


def _made(uplink: Uplink, where: str) -> _Context:
    try:
        # What create_default_context() sets, on a context of our own.
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = _ClosingSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if uplink.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=uplink.ca)
        if uplink.cert is not None:
            context.load_cert_chain(uplink.cert, uplink.key)
    except OSError as error:
        raise Misconfigured(
            say("the certificates of the uplink cannot be used: {reason}", reason=error.strerror or error),
            where=where,
            hint=say("Check the files of ca, cert and key: there, readable by the agent, in PEM, key and cert a pair."),
        ) from error
    return context
