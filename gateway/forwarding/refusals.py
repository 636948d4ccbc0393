"""What can go wrong with an uplink, named by what to do next. Every fault says what, where and what to do about it.

UplinkFault
|-- NotReached      nobody answered: back off, connect again
|   `-- HungUp      something answered and closed before it accepted: perhaps it does not know this MQTT version
|-- Busy            the broker asks for patience: back off longer
|-- LinkLost        an accepted connection is gone: connect again, send again what had no PUBACK
|-- Flapping        that happened again and again within seconds: wait longer, tell people
|-- VersionRefused  connect with the other MQTT version
|-- WillRefused     connect with a will that the broker takes
|-- NotTrusted      TLS: wait long, tell people
|-- NotAdmitted     credentials or rights: wait long, tell people
|-- TakenOver       another client has this client id: wait long, tell people
`-- Misconfigured   it cannot work as configured: wait long, tell people
"""

from __future__ import annotations

import socket
import ssl
from typing import ClassVar

from parkgate.config.language import say
from parkgate.drivers.faults import Fault

# X509_V_ERR_* of OpenSSL's x509_vfy.h, as SSLCertVerificationError.verify_code gives them.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


class UplinkFault(Fault):
    """Something went wrong with an uplink; `code` is the MQTT 5 reason code if the broker gave one.

    `base`, `cap` and `floor` (seconds) are what `next_delay` takes for the wait before the next try.
    """

    base: ClassVar[float] = 1.0
    cap: ClassVar[float] = 60.0
    floor: ClassVar[float] = 0.0

    def __init__(self, what: str, *, where: str, hint: str, code: int | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code


class NotReached(UplinkFault):
    """Nobody answered, or not in time."""


class HungUp(NotReached):
    """The broker closed the connection between CONNECT and CONNACK."""


class Busy(UplinkFault):
    """The broker cannot serve us now."""

    base = 20.0
    cap = 300.0
    floor = 5.0


class LinkLost(UplinkFault):
    """An accepted connection is gone."""


class Flapping(UplinkFault):
    """Accepted connections are lost again at once, each time: perhaps another client has our id."""

    base = 60.0
    cap = 120.0
    floor = 20.0


class VersionRefused(UplinkFault):
    """The broker does not speak this version of MQTT."""


class WillRefused(UplinkFault):
    """The broker does not take a will of this QoS, or a retained one."""


class NotTrusted(UplinkFault):
    """TLS could not be agreed, or the broker's certificate is not trusted."""

    base = 120.0
    cap = 600.0
    floor = 60.0


class NotAdmitted(UplinkFault):
    """The broker does not let these credentials in; many lock an account that tries too often."""

    base = 600.0
    cap = 600.0
    floor = 300.0


class TakenOver(UplinkFault):
    """Another client connected with our client id; coming back fast would throw it out, and so on for ever."""

    base = 120.0
    cap = 600.0
    floor = 60.0


class Misconfigured(UplinkFault):
    """The site file asks for what cannot be, or what it names is not there."""

    base = 120.0
    cap = 600.0
    floor = 60.0


def refused(code: int, name: str, *, where: str, client_id: str) -> UplinkFault:
    """Sort a CONNACK reason code (MQTT 5, table 3-1; those of 3.1.1 translated) of 0x80 or more; `name` is its name."""
    match code:
        case 0x84:
            return VersionRefused(
                say("the broker does not speak this version of MQTT"),
                where=where,
                hint=say("Nothing to do: MQTT 3.1.1 is tried next."),
                code=code,
            )
        case 0x85:
            return Misconfigured(
                say('the broker does not take the client id "{client_id}"', client_id=client_id),
                where=where,
                hint=say("Allow it in the broker, or change site or id of the gateway in the site file."),
                code=code,
            )
        case 0x9A | 0x9B:
            return WillRefused(
                say("the broker does not take our last will ({reason})", reason=name),
                where=where,
                hint=say("Nothing to do: a simpler one is tried next."),
                code=code,
            )
        case _:
            return _sent_away(code, name, where=where, client_id=client_id) or NotReached(
                say("the broker refused the connection: {reason} (0x{code:02X})", reason=name, code=code),
                where=where,
                hint=say("Look into the broker's log."),
                code=code,
            )


def dismissed(code: int, name: str, *, where: str, client_id: str) -> UplinkFault:
    """Sort a DISCONNECT reason code of the broker (MQTT 5, table 3-10); `name` is its name."""
    return _sent_away(code, name, where=where, client_id=client_id) or LinkLost(
        say("the broker ended the connection: {reason} (0x{code:02X})", reason=name, code=code),
        where=where,
        hint=say("It is connected again by itself; if this repeats, look into the broker's log."),
        code=code,
    )


def _sent_away(code: int, name: str, *, where: str, client_id: str) -> UplinkFault | None:
    """Give the fault of a code that means the same in CONNACK and DISCONNECT."""
    match code:
        case 0x86 | 0x87 | 0x8A | 0x8C:
            return NotAdmitted(
                say("the broker does not let us in: {reason} (0x{code:02X})", reason=name, code=code),
                where=where,
                hint=say("Check username and password of the uplink, and the broker's rights for this client."),
                code=code,
            )
        case 0x8E:
            return TakenOver(
                say('another client connected with our client id "{client_id}"', client_id=client_id),
                where=where,
                hint=say(
                    "Two gateways have the same site and id, or a copy of this one is running: change one of them."
                ),
                code=code,
            )
        case 0x88 | 0x89 | 0x8B | 0x96 | 0x97 | 0x9C | 0x9D | 0x9F:
            return Busy(
                say("the broker cannot serve us now: {reason} (0x{code:02X})", reason=name, code=code),
                where=where,
                hint=say("It is tried again later; if this stays, ask the platform team."),
                code=code,
            )
        case _:
            return None


def unreachable(error: OSError, *, where: str, host: str, port: int) -> UplinkFault:
    """Sort what DNS, TCP or TLS said when the connection was opened."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):  # that one is only a cut link
        return untrusted(error, where=where, port=port)
    if isinstance(error, socket.gaierror):
        return NotReached(
            say('the name "{host}" cannot be resolved: {reason}', host=host, reason=error.strerror),
            where=where,
            hint=say("Check the uplink's url and this gateway's DNS server."),
        )
    if isinstance(error, ConnectionRefusedError):
        return NotReached(
            say("nothing listens on port {port}", port=port),
            where=where,
            hint=say("Check the port in the uplink's url, and that the broker runs."),
        )
    return NotReached(
        say("the broker cannot be reached: {reason}", reason=error.strerror or error),
        where=where,
        hint=say("Check the 5G link, the route and the firewall."),
    )


def untrusted(error: ssl.SSLError, *, where: str, port: int) -> NotTrusted:
    """Say what TLS did not like, and what the technician looks at first."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return NotTrusted(
            say("TLS could not be agreed: {reason}", reason=error.strerror or error),
            where=where,
            hint=say(
                "Check that {port} is the broker's TLS port, and cert and key if it wants a client certificate.",
                port=port,
            ),
        )
    match error.verify_code:
        case code if code in (_NOT_YET_VALID, _EXPIRED):
            hint = say("Check this gateway's clock first, then the dates of the certificate.")
        case code if code in (_OTHER_NAME, _OTHER_ADDRESS):
            hint = say("Write a name that stands in the certificate into the uplink's url.")
        case _:
            hint = say("Set ca of the uplink to the certificate of the authority that signed the broker's.")
    return NotTrusted(
        say("the broker's certificate is not trusted: {reason}", reason=error.verify_message), where=where, hint=hint
    )


def no_answer(seconds: float, *, where: str) -> NotReached:
    """Say that the time to open a connection is over."""
    return NotReached(
        say("the broker did not answer within {seconds} s", seconds=round(seconds)),
        where=where,
        hint=say("Check the 5G link, the route and the firewall."),
    )


def hung_up(error: OSError | None, *, where: str, port: int, tls: bool) -> UplinkFault:
    """Say that the connection was closed before CONNACK; `error` is what the socket said, None for an orderly close."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return untrusted(error, where=where, port=port)  # TLS 1.3 refuses a client certificate only now
    hint = (
        say("Check whether the broker wants a client certificate (cert and key); MQTT 3.1.1 is tried too.")
        if tls
        else say("Check that {port} is an MQTT port and whether it wants mqtts://; MQTT 3.1.1 is tried too.", port=port)
    )
    return HungUp(say("the broker closed the connection before it accepted it"), where=where, hint=hint)


def link_lost(cause: object, *, where: str) -> LinkLost:
    """Say that an accepted connection broke, and what the socket or the library said."""
    return LinkLost(
        say("the connection is lost: {reason}", reason=cause),
        where=where,
        hint=say("It is connected again by itself; if this repeats, check the 5G link."),
    )


def flapping(fault: UplinkFault) -> Flapping:
    """Say that connections are accepted and lost again at once; `fault` is how the last one ended."""
    return Flapping(
        say("the broker accepts the connection and it is lost again within seconds: {what}", what=fault.what),
        where=fault.where,
        hint=say("Check whether another gateway has the same site and id; then the 5G link and the broker's log."),
        code=fault.code,
    )


def unconfirmed(*, where: str) -> Misconfigured:
    """Say that the broker takes QoS 0 only, so that nothing could ever count as delivered."""
    return Misconfigured(
        say("the broker takes no messages of QoS 1, so it confirms none"),
        where=where,
        hint=say("Allow QoS 1 in the broker, or use another one."),
    )


def no_address(error: ValueError, *, where: str) -> Misconfigured:
    """Say that the url holds no usable host or port."""
    return Misconfigured(
        say("the url of the uplink cannot be used: {reason}", reason=error),
        where=where,
        hint=say("Write mqtt://host:port or mqtts://host:port."),
    )
