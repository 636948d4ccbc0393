"""The certificate files of an OPC UA client: its own, made on first use, those it trusts, and what one says."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parkgate.drivers.application import Application
from parkgate.drivers.opcua.trust import Facts

BEGINS, ENDS = datetime(2025, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
"""When our own certificate is valid, whatever the clock says: a gateway may be started for the first time in 1970."""

_PEM = b"-----BEGIN"
_LONGEST_NAME = 64
Pair = tuple[x509.Certificate, rsa.RSAPrivateKey]


def own(application: Application, host: str) -> Pair:
    """Give the application's certificate and key, made on first use.

    The certificate is made again where it is for another application or another key: the gateway was renamed.

    Raises:
        OSError: the files cannot be read or written.
        ValueError: a file holds something else.

    """
    with _alone(application.folder):
        key = _own_key(application)
        with suppress(FileNotFoundError):
            found = certificate(application.certificate.read_bytes())
            if found.public_key() == key.public_key() and application.uri in facts(found).uris:
                return found, key
        made = _self_signed(application, host, key)
        _write(application.certificate, made.public_bytes(serialization.Encoding.DER), 0o644)
        return made, key


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else make a key meanwhile: another line, or another process."""
    _make(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own_key(application: Application) -> rsa.RSAPrivateKey:
    with suppress(FileNotFoundError):
        return private_key(application.key.read_bytes())
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    _write(application.key, key.private_bytes(encoding, form, serialization.NoEncryption()), 0o600)
    return key


def _self_signed(application: Application, host: str, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """Make a certificate as OPC 10000-6, 6.2.2 wants it of an application."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, application.name[:_LONGEST_NAME])])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(application.uri), x509.DNSName(host)])
    public = key.public_key()
    return (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number(), BEGINS, ENDS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def certificate(content: bytes) -> x509.Certificate:
    """Read a certificate, PEM or DER; of a chain the first, which is the application's own.

    Raises:
        ValueError: it is none.

    """
    if content.lstrip().startswith(_PEM):
        return x509.load_pem_x509_certificate(content)
    if content[:2] == b"\x30\x82":  # what is longer than 127 bytes has its length in two, and a chain follows
        content = content[: int.from_bytes(content[2:4], "big") + 4]
    return x509.load_der_x509_certificate(content)


def private_key(content: bytes) -> rsa.RSAPrivateKey:
    """Read an RSA key without a password, PEM or DER.

    Raises:
        ValueError: it is none, or it has a password.

    """
    pem = content.lstrip().startswith(_PEM)
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    try:
        key = load(content, None)
    except TypeError as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no RSA key")  # noqa: TRY004  # a file's content, not a caller's mistake
    return key


def facts(found: x509.Certificate) -> Facts:
    """Tell what a certificate says.

    Raises:
        ValueError: it cannot be read.

    """
    try:
        public = found.public_key()
        names, usage = _extensions(found)
        return Facts(
            fingerprint=found.fingerprint(hashes.SHA256()).hex().upper(),
            thumbprint=found.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303  # as servers display it
            subject=found.subject.rfc4514_string(),
            issuer=found.issuer.rfc4514_string(),
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
            uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
            hosts=tuple(_hosts(names)) if names else (),
            serves=usage is None or ExtendedKeyUsageOID.SERVER_AUTH in usage,
            bits=public.key_size if isinstance(public, rsa.RSAPublicKey) else 0,
        )
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error


def _extensions(found: x509.Certificate) -> tuple[x509.SubjectAlternativeName | None, x509.ExtendedKeyUsage | None]:
    names = usage = None
    for each in found.extensions:
        if isinstance(each.value, x509.SubjectAlternativeName):
            names = each.value
        if isinstance(each.value, x509.ExtendedKeyUsage):
            usage = each.value
    return names, usage


def _hosts(names: x509.SubjectAlternativeName) -> Iterator[str]:
    yield from names.get_values_for_type(x509.DNSName)
    yield from (str(each) for each in names.get_values_for_type(x509.IPAddress))


def signed_by(found: x509.Certificate, file: Path, now: datetime) -> bool:
    """Tell whether one of the authorities in a file, within its dates, signed a certificate.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.

    """
    content = file.read_bytes()
    known = x509.load_pem_x509_certificates(content) if _PEM in content else [certificate(content)]
    return any(_signed(found, each) for each in known if each.not_valid_before_utc <= now <= each.not_valid_after_utc)


def _signed(found: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        if not by.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        found.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    return True


def pinned(application: Application, line: str) -> Facts | None:
    """Tell what a person trusted for a line, None where nothing.

    Raises:
        OSError: it cannot be read.
        ValueError: the file holds something else.

    """
    try:
        return facts(certificate((application.trusted / f"{line}.der").read_bytes()))
    except FileNotFoundError:
        return None


def pin(application: Application, line: str, found: x509.Certificate) -> None:
    """Trust a certificate for a line from now on, in the place of another one.

    Raises:
        OSError: it cannot be written.

    """
    _write(application.trusted / f"{line}.der", found.public_bytes(serialization.Encoding.DER), 0o644)


def unpin(application: Application, line: str) -> bool:
    """Trust nothing any more for a line; tell whether something was trusted.

    Raises:
        OSError: it cannot be removed.

    """
    try:
        (application.trusted / f"{line}.der").unlink()
    except FileNotFoundError:
        return False
    return True


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all."""
    _make(file.parent)
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    _hand_over(new)
    new.replace(file)


def _make(folder: Path) -> None:
    """Make a folder, and those above it that are missing."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(exist_ok=True)
            _hand_over(each)


def _hand_over(path: Path) -> None:
    """Give what root makes here to whom the folder above belongs: the agent runs as a user of its own."""
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)
