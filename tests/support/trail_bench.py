"""Trails made of entries as a gateway writes them, and bytes altered in them."""

import json

from parkgate.gateway.messages.trail import Chain, digest, linked

EPOCHS = ("0001-abcdef", "0002-ghijkl")
NAMES = ("configured", "window-opened", "acknowledged", "clock-stepped", "version")


def trail(*counts, details=None):
    """Give the bodies of a trail: so many entries in the first epoch, so many in the next, each epoch linked on."""
    bodies, chain = [], Chain()
    for epoch, count in zip(EPOCHS, counts, strict=False):
        if bodies:
            last = json.loads(bodies[-1])
            chain = Chain(0, digest(bodies[-1]), (last["epoch"], last["detail"]["trail"]["n"]))
        for number in range(count):
            detail = (details or {}).get(number, {"by": "Li Wei", "why": f"change {number}"})
            name = NAMES[number % len(NAMES)]
            entry = linked(chain, "xuwei/gw-01", epoch, 1_763_890_000_000 + number, name, "stack-1", detail)
            bodies.append(entry(len(bodies) + 1, 1))
    return bodies


def heads(bodies):
    """Give what `status` says of the newest entry of each epoch."""
    newest = {}
    for body in bodies:
        said = json.loads(body)
        newest[said["epoch"]] = (said["detail"]["trail"]["n"], digest(body))
    return [(epoch, *head) for epoch, head in newest.items()]


def altered(body, place, mask):
    """Give a body with one byte changed."""
    return bytes(byte ^ mask if number == place else byte for number, byte in enumerate(body))
