"""Whether a server's certificate is trusted: by its fingerprint, which a person compared, or by an authority. Pure.

A fingerprint says all: who compared it knows the server, so it counts whatever the certificate's dates and names are.
An authority vouches for many, so its word counts only within the dates, and only for the host that was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from parkgate.config.language import say

LEAST_BITS = 2048
"""Of an RSA key: what all security policies in use ask for (OPC 10000-7, 6.6)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says; `fingerprint` (SHA-256) and `thumbprint` (SHA-1) in hex, `bits` 0 if it is not RSA."""

    fingerprint: str
    thumbprint: str
    subject: str
    issuer: str
    begins: datetime
    ends: datetime
    uris: tuple[str, ...]
    hosts: tuple[str, ...]
    serves: bool
    bits: int


@dataclass(frozen=True, slots=True)
class Authority:
    """The `ca` of a line, and whether a certificate in it, itself within its dates, signed the server's."""

    file: Path
    signed: bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a certificate is not trusted, and what to do."""

    what: str
    hint: str


def grouped(fingerprint: str) -> str:
    """Write a fingerprint in groups of four, as people compare it."""
    return " ".join(fingerprint[place : place + 4] for place in range(0, len(fingerprint), 4))


def doubt(
    facts: Facts, line: str, host: str, uri: str, now: datetime, pinned: str | None, authority: Authority | None
) -> Doubt | None:
    """Tell why a server's certificate is not trusted, None if it is.

    `host` and `uri`: where it was asked, and the application that it says it is; `pinned`: the fingerprint trusted so
    far for this line.
    """
    if facts.bits < LEAST_BITS:
        return Doubt(
            say("the server's certificate has no RSA key of {bits} bits or more", bits=LEAST_BITS),
            say("Have a new certificate made on the server."),
        )
    if pinned == facts.fingerprint:
        return None
    if authority is not None and authority.signed:
        wrong = next(_misfits(facts, host, uri, now), None)
        hint = say(
            "Have it made again by that authority, or trust this one alone: parkgate trust SITE {line}", line=line
        )
        return None if wrong is None else Doubt(wrong, hint)
    return _unknown(facts, line, now, pinned, authority)


def _unknown(facts: Facts, line: str, now: datetime, pinned: str | None, authority: Authority | None) -> Doubt:
    shown = grouped(facts.fingerprint)
    if pinned is not None:
        return Doubt(
            say(
                "the server shows another certificate than the trusted one: SHA-256 {shown}, trusted is {pinned}",
                shown=shown,
                pinned=grouped(pinned),
            ),
            say(
                "If it was renewed, compare it with the server's display, then: parkgate trust SITE {line}. If nobody "
                "renewed it, something else answers in the server's place.",
                line=line,
            ),
        )
    hint = say("Compare it with the server's display, then: parkgate trust SITE {line}", line=line)
    if facts.ends < now:
        text = say(
            "the server's certificate expired on {date} and is not trusted: SHA-256 {shown}",
            date=f"{facts.ends:%Y-%m-%d}",
            shown=shown,
        )
    elif authority is not None:
        text = say(
            "no authority in {file} vouches for the server's certificate: SHA-256 {shown}",
            file=authority.file,
            shown=shown,
        )
    else:
        text = say("the server's certificate is not trusted: SHA-256 {shown}", shown=shown)
    return Doubt(text, hint)


def _misfits(facts: Facts, host: str, uri: str, now: datetime) -> Iterator[str]:
    """Give what keeps an authority's word from counting."""
    if now > facts.ends:
        yield say("the server's certificate expired on {date}", date=f"{facts.ends:%Y-%m-%d}")
    if now < facts.begins:
        yield say(
            "the server's certificate is valid from {date} only, and it is {now} here",
            date=f"{facts.begins:%Y-%m-%d}",
            now=f"{now:%Y-%m-%d}",
        )
    if not facts.serves:
        yield say("the certificate is not one for a server")
    if host.lower() not in (each.lower() for each in facts.hosts):
        yield say(
            "the server's certificate is for {names}, not for {host}", names=", ".join(facts.hosts) or "-", host=host
        )
    if uri not in facts.uris:
        yield say(
            "the server's certificate is for {names}, not for {host}", names=", ".join(facts.uris) or "-", host=uri
        )


def remarks(facts: Facts, host: str, uri: str, now: datetime) -> tuple[str, ...]:
    """Give what a person should know before trusting a certificate by its fingerprint."""
    return tuple(_misfits(facts, host, uri, now))
