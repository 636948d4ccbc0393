"""A signed or encrypted OPC UA connection: what is offered, whether the server is trusted, and who we say we are.

The certificate is asked for on a connection that is neither: all else, a password above all, waits until it is trusted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.crypto.uacrypto import InvalidSignature  # type: ignore[attr-defined]  # it has one of its own
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography import x509

from parkgate.config.language import say
from parkgate.config.site import Line, Secret
from parkgate.drivers.application import Application
from parkgate.drivers.faults import Unreachable, Unusable
from parkgate.drivers.opcua import certificates
from parkgate.drivers.opcua.plan import endpoint
from parkgate.drivers.opcua.trust import Authority, Doubt, Facts, doubt, grouped
from parkgate.drivers.secret import read_secret

# The library logs every lost connection several times over, with tracebacks. Whatever matters of it becomes a Fault,
# which the collector reports once, in the technician's language.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

_POLICIES: Mapping[str, type[SecurityPolicy]] = MappingProxyType(
    {
        "Basic256Sha256": SecurityPolicyBasic256Sha256,
        "Aes128_Sha256_RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
        "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
    }
)
_URIS = frozenset(policy.URI for policy in _POLICIES.values())
LIBRARY = (OSError, RuntimeError, AssertionError, ValueError, LookupError, TypeError, struct.error, InvalidSignature)
"""What asyncua lets through: OSError is the network (a timeout too), RuntimeError its own UaError, and the rest comes
out of its decoder when the bytes of an answer are not what they should be (found by changing bytes of real answers)."""

_FILES = (OSError, ValueError)
_USER_REFUSED = frozenset(
    {
        StatusCodes.BadIdentityTokenInvalid,
        StatusCodes.BadIdentityTokenRejected,
        StatusCodes.BadUserAccessDenied,
        StatusCodes.BadUserSignatureInvalid,
    }
)


@dataclass(frozen=True, slots=True)
class Presented:
    """The certificate that a server shows at the endpoint a line asks for, and the application that it says it is."""

    certificate: x509.Certificate
    facts: Facts
    uri: str


class SecureClient(Client):
    """The library's client, which gives a password only where it is encrypted; `where` is for its sentences."""

    where = ""

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """Choose how the user is told, among what the server offers on the channel that is now open.

        Raises:
            Unreachable: it takes no such user, or none whose password is encrypted.

        """
        if self.security_policy.Mode == ua.MessageSecurityMode.None_:
            return super().server_policy(token_type)
        offered = [each for each in self._policy_ids if each.TokenType == token_type]
        if not offered:
            raise _refused_user(self.where, token_type, self._policy_ids)
        safe = [each for each in offered if self._safe(each)]
        if not safe:
            raise Unreachable(
                say("the server wants the password unencrypted, or in a way that can be broken"),
                where=self.where,
                hint=say("Choose a security that ends in SignAndEncrypt."),
            )
        self._policy_ids = [*safe, *(each for each in self._policy_ids if each.TokenType != token_type)]
        return super().server_policy(token_type)

    def _safe(self, offered: ua.UserTokenPolicy) -> bool:
        if offered.TokenType != ua.UserTokenType.UserName or not offered.SecurityPolicyUri:
            return True  # without a policy of its own it has that of the channel
        encrypted = self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        return offered.SecurityPolicyUri in _URIS or (encrypted and offered.SecurityPolicyUri.endswith("#None"))


def _refused_user(where: str, wanted: ua.UserTokenType, offered: list[ua.UserTokenPolicy]) -> Unreachable:
    names = {
        ua.UserTokenType.Anonymous: say("anonymous clients"),
        ua.UserTokenType.UserName: say("user and password"),
        ua.UserTokenType.Certificate: say("user certificates"),
    }
    takes = sorted({names[each.TokenType] for each in offered if each.TokenType in names})
    return Unreachable(
        say("the server takes no {wanted}, but {takes}", wanted=names[wanted], takes=", ".join(takes) or "-"),
        where=where,
        hint=say("Give the line username and password, or cert and key, or neither, as the server's user list says."),
    )


async def asked(line: Line) -> Presented:
    """Ask the server of a line for its certificate, for a person who wants to see it.

    Raises:
        Unusable: the line's URL is none.
        Unreachable: there is no server, or it has no such certificate.

    """
    where = f'line "{line.name}"'
    url = endpoint(line.url, where=where)
    try:
        return await presented(line, url, where=where)
    except LIBRARY as error:
        raise _away(line, error, where=where) from error


def _away(line: Line, error: Exception, *, where: str) -> Unreachable:
    return Unreachable(
        say("the server does not answer: {reason}", reason=reason(error)),
        where=f"{where} ({line.url})",
        hint=say("Check that the server runs, its address and port."),
    )


async def presented(line: Line, url: str, *, where: str) -> Presented:
    """Ask a server for its certificate at the endpoint that a line wants; nothing is trusted or told yet.

    Raises:
        Unreachable: there is no such endpoint, or none with a certificate that can be read.
        OSError, UaError: as the library has them; there is no connection.

    """
    offers = await _endpoints(line, url)
    policy, mode = _wanted(line)
    found = next((each for each in offers if _is(each, policy, mode)), None)
    if found is None:
        names = sorted({_named(each) for each in offers})
        raise Unreachable(
            say(
                "the server does not offer {wanted}, but {offers}", wanted=line.security, offers=", ".join(names) or "-"
            ),
            where=where,
            hint=say("Switch it on at the server, or write one that it offers as the security of the line."),
        )
    try:
        certificate = certificates.certificate(found.ServerCertificate or b"")
        return Presented(certificate, certificates.facts(certificate), found.Server.ApplicationUri or "")
    except ValueError as error:
        raise Unreachable(
            say("the server's certificate cannot be read: {reason}", reason=error),
            where=where,
            hint=say("Have a new certificate made on the server."),
        ) from error


async def _endpoints(line: Line, url: str) -> list[ua.EndpointDescription]:
    client = Client(url, timeout=line.timeout / 1_000)
    try:
        return await client.connect_and_get_server_endpoints()
    finally:
        protocol = client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop closes the socket


def _wanted(line: Line) -> tuple[type[SecurityPolicy], ua.MessageSecurityMode]:
    policy, _, mode = (line.security or "").partition("/")
    return _POLICIES[policy], ua.MessageSecurityMode[mode]


def _is(offer: ua.EndpointDescription, policy: type[SecurityPolicy], mode: ua.MessageSecurityMode) -> bool:
    """Tell whether an endpoint is the one; its URL may name another host and is never followed."""
    plain = (offer.EndpointUrl or "").startswith("opc.tcp://")
    return plain and offer.SecurityMode == mode and offer.SecurityPolicyUri == policy.URI


def _named(offer: ua.EndpointDescription) -> str:
    policy = (offer.SecurityPolicyUri or "").rpartition("#")[2]
    return "none" if policy == "None" else f"{policy}/{offer.SecurityMode.name}"


def own(application: Application, *, where: str) -> certificates.Pair:
    """Give our own certificate and key, made on first use.

    Raises:
        Unreachable: they can be neither read nor made.

    """
    try:
        return certificates.own(application, socket.gethostname())
    except _FILES as error:
        raise Unreachable(
            say("this gateway's own certificate in {folder} cannot be used: {reason}",
                folder=application.folder, reason=reason(error)),
            where=where,
            hint=say("The agent must be able to write there. A damaged file may be removed: a new one is made."),
        ) from error  # fmt: skip


async def offered(line: Line) -> tuple[str, ...]:
    """Ask a server what security it offers, as a line names it, `none` among them, each once; nothing is told to it.

    Raises:
        Unusable: the line's URL is none.
        Unreachable: there is no server.

    """
    where = f'line "{line.name}"'
    url = endpoint(line.url, where=where)
    try:
        return tuple(dict.fromkeys(_named(each) for each in await _endpoints(line, url)))
    except LIBRARY as error:
        raise _away(line, error, where=where) from error


def check(line: Line, url: str, shown: Presented, application: Application, *, where: str) -> None:
    """Hold a server's certificate against what is trusted.

    Raises:
        Unreachable: it is not trusted; says its fingerprint and what to do.

    """
    found = doubted(line, url, shown, application, where=where)
    if found is not None:
        raise Unreachable(found.what, where=where, hint=found.hint)


def doubted(line: Line, url: str, shown: Presented, application: Application, *, where: str) -> Doubt | None:
    """Tell why a server's certificate is not trusted, None if it is.

    Raises:
        Unreachable: what is trusted cannot be read.

    """
    now = datetime.now(UTC)
    try:
        pin = certificates.pinned(application, line.name)
        by = Authority(line.ca, certificates.signed_by(shown.certificate, line.ca, now)) if line.ca else None
    except _FILES as error:
        raise Unreachable(
            say("what is trusted cannot be read: {reason}", reason=reason(error)),
            where=where,
            hint=say("Check the file of ca, and those in {folder}.", folder=application.trusted),
        ) from error
    host = urlsplit(url).hostname or ""
    return doubt(shown.facts, line.name, host, shown.uri, now, pin.fingerprint if pin else None, by)


async def arm(client: SecureClient, line: Line, url: str, application: Application, *, where: str) -> str:
    """Make a client ready for a line: the server is asked for its certificate, which must be trusted.

    Gives the fingerprint of our own certificate, for who must admit us.

    Raises:
        Unreachable: it is not trusted, does not offer what the line asks for, or a file of ours cannot be used.
        OSError, UaError: as the library has them; there is no connection.

    """
    certificate, key = await asyncio.to_thread(own, application, where=where)
    shown = await presented(line, url, where=where)
    await asyncio.to_thread(check, line, url, shown, application, where=where)
    policy, mode = _wanted(line)
    client.where = where
    client.application_uri = application.uri
    secured: Any = policy(shown.certificate, certificate, key, mode)  # Any: the library knows but its first one
    client.security_policy = secured
    client.uaclient.set_security(secured)
    await asyncio.to_thread(_user, client, line, where)
    return certificates.facts(certificate).fingerprint


def _user(client: SecureClient, line: Line, where: str) -> None:
    if line.username is not None:
        client.set_user(line.username)
        if line.password is not None:
            client.set_password(_password(line.password, where))
    if line.cert is not None and line.key is not None:
        try:
            client.user_certificate = certificates.certificate(line.cert.read_bytes())
            client.user_private_key = certificates.private_key(line.key.read_bytes())
        except _FILES as error:
            raise Unreachable(
                say("the user certificate cannot be used: {reason}", reason=reason(error)),
                where=where,
                hint=say(
                    "Check the files of cert and key: there, readable by the agent, PEM or DER, an RSA key, a pair."
                ),
            ) from error


def _password(secret: Secret, where: str) -> str:
    try:
        return read_secret(secret, where=where)
    except Unusable as fault:
        raise Unreachable(fault.what, where=where, hint=fault.hint) from fault


def not_admitted(error: Exception, application: Application, fingerprint: str, *, where: str) -> Unreachable:
    """Say who was not admitted: the user, or else most likely this gateway."""
    if getattr(error, "code", None) in _USER_REFUSED:
        return Unreachable(
            say("the server does not admit the user: {reason}", reason=reason(error)),
            where=where,
            hint=say("Check username and password, or cert and key, with the server's user list."),
        )
    return Unreachable(
        say("no OPC UA session: {reason}", reason=reason(error)),
        where=where,
        hint=say(
            "If the server does not trust this gateway yet, accept its certificate there: {file}, SHA-256 {shown}",
            file=application.certificate,
            shown=grouped(fingerprint),
        ),
    )


def reason(error: Exception) -> str:
    """Give an error of the library or of a file in a few words."""
    if isinstance(error, UaStatusCodeError):
        return ua.StatusCode(error.code).name
    if isinstance(error, TimeoutError):
        return say("no answer in time")
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
