"""The arguments by which `scan` browses an OPC UA server: what is looked at, what is written, and how it is secured."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from parkgate.config.language import say
from parkgate.config.site import Security
from parkgate.drivers.faults import Unusable
from parkgate.drivers.opcua.plan import parse
from parkgate.drivers.opcua.space import Node
from parkgate.gateway.commands.browse_choice import matcher, numbers
from parkgate.gateway.commands.trust import fingerprint

MOST: Final = 10_000
"""Nodes that are taken unless more are asked for."""
_MOST_COUNT: Final = 1_000_000
_PROFILE = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""A name that an instrument can have too, so that what is printed for the site file fits."""
_SECURITY: Final = ("security", "user", "password_file", "password_env", "ca", "fingerprint")
_SPACE: Final = ("filter", "start", "depth", "most", "write", "choose", "force")
_MODBUS: Final = ("units", "baudrate", "parity", "all", "trace")

Chosen = Callable[[int], bool]
"""Tells whether a number is chosen."""


def ask(_: int) -> bool:
    """Stand for a choice that a person is asked for, once the numbers can be seen; until then it is all."""
    return True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that are for OPC UA alone."""
    group = parser.add_argument_group("OPC UA")
    group.add_argument(
        "--filter",
        type=_filter,
        metavar="TEXT",
        help=say(
            "only variables with this in path, title or node id: text, pattern with * or ?, or /regular expression/"
        ),
    )
    group.add_argument(
        "--from", dest="start", type=_node, metavar="NODEID", help=say("begin below this node (i=85, Objects)")
    )
    group.add_argument("--depth", type=_count, metavar="N", help=say("look so many levels down"))
    group.add_argument("--most", type=_count, metavar="N", help=say("take at most so many nodes (10000)"))
    group.add_argument("--write", type=_profile, metavar="FILE.toml", help=say("write a profile of the variables"))
    group.add_argument(
        "--choose",
        nargs="?",
        const=ask,
        type=_numbers,
        metavar="1-12,17",
        help=say("write only these, by their numbers; without numbers it asks"),
    )
    group.add_argument("--force", action="store_true", help=say("replace the file if it is there"))
    _add_security(group)


def _add_security(group: argparse._ArgumentGroup) -> None:
    names = " ".join(get_args(Security))
    group.add_argument(
        "--security", choices=get_args(Security), metavar="POLICY/MODE", help=say("one of {names}", names=names)
    )
    group.add_argument("--user", metavar="NAME", help=say("log in as this user"))
    password = group.add_mutually_exclusive_group()
    password.add_argument("--password-file", type=Path, metavar="FILE", help=say("the file that holds the password"))
    password.add_argument("--password-env", metavar="NAME", help=say("the environment variable with the password"))
    group.add_argument("--ca", type=Path, metavar="FILE", help=say("the authority that vouches for the server"))
    group.add_argument(
        "--fingerprint",
        type=fingerprint,
        metavar="SHA256",
        help=say("trust the server from now on if its certificate has this fingerprint"),
    )


def misplaced(arguments: argparse.Namespace, *, opcua: bool, of_site: bool) -> str:
    """Tell which option means nothing here, empty where all do. `of_site`: security is what the site file says."""
    given = {name for name, value in vars(arguments).items() if value not in (None, False)}
    wrong = given.intersection(_MODBUS if opcua else _SECURITY + _SPACE)
    if wrong:
        told = ", ".join(_option(each) for each in sorted(wrong))
        return say("{options} mean nothing on such a line; leave them out", options=told)
    if of_site and (login := given.intersection(_SECURITY)):
        told = ", ".join(_option(each) for each in sorted(login))
        return say("the site file says how the line is secured; leave {options} out", options=told)
    if "write" not in given and (lone := given.intersection({"choose", "force"})):
        return say("{option} needs --write", option=_option(min(lone)))
    return ""


def _option(name: str) -> str:
    return "--from" if name == "start" else f"--{name.replace('_', '-')}"


def _filter(text: str) -> Callable[[Node], bool]:
    try:
        return matcher(text)
    except re.error as error:
        told = say('"{text}" is no regular expression: {reason}', text=text, reason=error)
        raise argparse.ArgumentTypeError(told) from error


def _numbers(text: str) -> Chosen:
    try:
        return numbers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _node(text: str) -> str:
    try:
        parse(text, where="--from")
    except Unusable as fault:
        raise argparse.ArgumentTypeError(f"{fault.what}. {fault.hint}") from fault
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_COUNT:
        raise argparse.ArgumentTypeError(say('"{text}" is no number from 1 to {most}', text=text, most=_MOST_COUNT))
    return int(text)


def _profile(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".toml" or not _PROFILE.fullmatch(path.stem):
        raise argparse.ArgumentTypeError(say('"{text}" is no name for a profile, such as tank-7.toml', text=text))
    return path
