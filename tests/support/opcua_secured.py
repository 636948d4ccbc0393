"""asyncua servers with security, as tests want them: their certificate, their policies, whom they admit."""

from __future__ import annotations

import ipaddress
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from support.opcua_park import URI, Bare, datavalue

from parkgate.config.site import Line
from parkgate.drivers.application import Application
from parkgate.drivers.opcua import certificates

SERVER = "urn:test:server"
STRONG = "Basic256Sha256/SignAndEncrypt"
POLICIES = {
    "Basic256Sha256/Sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
    "Basic256Sha256/SignAndEncrypt": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128_Sha256_RsaOaep/Sign": ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    "Aes128_Sha256_RsaOaep/SignAndEncrypt": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256_Sha256_RsaPss/Sign": ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    "Aes256_Sha256_RsaPss/SignAndEncrypt": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}
HOUR = timedelta(hours=1)


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Shown:
    """A server's certificate and key: self-signed, or signed by another one that may be an authority's."""

    def __init__(self, *, by=None, name="test server", uri=SERVER, host="127.0.0.1", ca=False, bits=2048,
                 begins=-HOUR, ends=HOUR, usage=ExtendedKeyUsageOID.SERVER_AUTH):  # fmt: skip
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
        now = datetime.now(UTC)
        issuer, signer = (by.certificate.subject, by.key) if by else (_named(name), self.key)
        names = [x509.UniformResourceIdentifier(uri)]
        names.append(x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host))
        self.certificate = (
            x509.CertificateBuilder(
                issuer, _named(name), self.key.public_key(), x509.random_serial_number(), now + begins, now + ends
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        self.facts = certificates.facts(self.certificate)

    @property
    def pem(self):
        form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())

    def write(self, folder, name):
        """Write certificate and key, PEM; give their paths."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(self.pem)
        return cert, key


OURS = Shown(name="our own key")


class Users:
    """Whom a server admits, and what it was told of users and of certificates."""

    def __init__(self, passwords=(), certificates=()):
        self._passwords = dict(passwords)
        self._certificates = tuple(certificates)
        self.told = []

    def get_user(self, iserver, username=None, password=None, certificate=None):
        self.told.append((username, password))
        known = username is not None and self._passwords.get(username) == password
        known = known or certificate in self._certificates
        return User(role=UserRole.User) if known or not (self._passwords or self._certificates) else None


@asynccontextmanager
async def secured(shown, *policies, port=0, users=None, tokens=(ua.AnonymousIdentityToken,), host="127.0.0.1"):
    """Give a server with a node "level" of 2.5, whose endpoints say that they are at `host`."""
    server = Server(user_manager=users or Users())
    await server.init()
    server.disable_clock()
    await server.set_application_uri(SERVER)
    server.set_endpoint(f"opc.tcp://{host}:{port}/secured")
    server.socket_address = ("127.0.0.1", port)
    server.set_security_policy(list(policies or POLICIES.values()))
    server.set_identity_tokens(list(tokens))
    if shown is not None:
        await server.load_certificate(shown.certificate.public_bytes(serialization.Encoding.DER), "der")
        await server.load_private_key(shown.pem, format="pem")
    space = await server.register_namespace(URI)
    async with server:
        park = Bare(server, space, f"opc.tcp://127.0.0.1:{server.bserver.port}/secured")
        await park.put("level", datavalue(2.5))
        yield park
        for client in tuple(server.bserver.clients):
            client.transport.close()
        for session in tuple(server.iserver._external_sessions.values()):
            await session.close_session()
        await park.until_no_client()


def secure_line(url, security=STRONG, **more):
    return Line(name="dcs", url=url, security=security, timeout=5_000, **more)


def gateway(folder):
    """Give the application of a gateway whose data are in a folder; its key is there already, since one takes long."""
    made = Application("urn:parkgate:xuwei:gw-01", "Parkgate xuwei/gw-01", folder / "opcua")
    if folder.is_dir():
        made.folder.mkdir(exist_ok=True)
        made.key.write_bytes(OURS.pem)
    return made
