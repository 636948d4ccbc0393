"""pydantic's findings as our sentences: what is wrong with a value, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from parkgate.config.document import Place
from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.locate import Path as Keys
from parkgate.config.model import Model
from parkgate.config.problem import shown, suggestion
from parkgate.config.quantity import FROM_FILE

_WORD = re.compile(r"'([^']*)'|(\d+)")


_STAND_INS: Mapping[str, object] = {
    **dict.fromkeys(("name", "site", "id", "line", "profile", "data", "url", "at", "type"), "unnamed"),
    "every": "1s",
    "equals": 0,
    "flag": Flag.FAULT,
}
"""What stands for a required key that is wrong or missing; nothing more is said about it."""

Parsed = TypeVar("Parsed", bound=Model)


def parse(model: type[Parsed], raw: object, place: Place) -> Parsed | None:
    """Make a model of the table at a place.

    What is wrong is reported; the model is then made of what is right, so that it can be looked at for more, but never
    used. None where not even that can be done.
    """
    if not isinstance(raw, Mapping):
        place.problem(table_wanted())
        return None
    try:
        return model.model_validate(raw, context=FROM_FILE)
    except ValidationError as error:
        wrong = dict(_explained(model, raw, error))
    for keys, text in wrong.items():
        place.at(*keys).problem(text)
    return _made_of_the_right(model, raw, {keys[0] for keys in wrong if keys})


def _made_of_the_right(model: type[Parsed], raw: Mapping[str, object], wrong: set[str | int]) -> Parsed | None:
    right = {key: value for key, value in raw.items() if key not in wrong}
    right |= {key: value for key, value in _STAND_INS.items() if key in wrong}
    try:
        return model.model_validate(right, context=FROM_FILE)
    except ValidationError:
        return None


def table_wanted() -> str:
    """Say that a table was expected."""
    return say('must be a table, as {{ key = "value" }}')


def _table(error: ErrorDetails) -> str:
    """Say that a table was expected; of a password also which: what was written there is never shown."""
    if error["loc"][-1] == "password":
        return say(
            'write where the password is: {{ credential = "NAME" }}, {{ file = "PATH" }} or {{ env = "NAME" }}, '
            "never the password itself"
        )
    return table_wanted()


def unknown_key(key: object, known: Collection[str]) -> str:
    """Say that nobody knows a key, and which one was perhaps meant."""
    return say('unknown key "{key}"', key=shown(key)) + suggestion(key, known)


def unknown_word(key: object, value: object, known: Collection[str]) -> str:
    """Say that a value is none of the words that its key may have, and which one was perhaps meant."""
    return say('unknown {key} "{value}"', key=shown(key), value=shown(value)) + suggestion(value, known)


def missing() -> str:
    """Say that a key has to be there."""
    return say("is missing; add it")


def _explained(model: type[Model], raw: Mapping[str, object], error: ValidationError) -> Iterator[tuple[Keys, str]]:
    """Give one sentence for each place; where a value fits no branch of a union, the last branch speaks."""
    places: dict[Keys, list[ErrorDetails]] = {}
    for each in error.errors(include_url=False):
        places.setdefault(_place(raw, each["loc"]), []).append(each)
    for place, errors in places.items():
        yield place, _sentence(model, place, errors)


def _place(raw: object, location: Keys) -> Keys:
    """Cut a pydantic location to what stands in the file: it also names branches of unions and missing elements."""
    place: list[str | int] = []
    for part in location:
        if isinstance(raw, Mapping):
            raw = raw.get(str(part))
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            break
        place.append(part)
    return tuple(place)


def _sentence(model: type[Model], place: Keys, errors: list[ErrorDetails]) -> str:
    error = errors[-1]
    kind = error["type"]
    if kind == "extra_forbidden":
        return unknown_key(place[-1], known_keys(model, place[:-1]))
    if kind in ("literal_error", "enum"):
        words = [first or second for first, second in _WORD.findall(error["ctx"]["expected"])]
        return unknown_word(place[-1], error["input"], words)
    if kind == "duration" and len(errors) > 1:
        return say(
            '"{value}" is neither "auto" nor a duration with its unit, such as "500ms" or "2s"',
            value=shown(error["input"]),
        )
    if kind == "missing" and not isinstance(error["loc"][-1], str):
        kind = "too_short"
    return _SENTENCES.get(kind, _other)(error)


def known_keys(model: type[Model], place: Keys = ()) -> list[str]:
    """Give the keys that a model's table may have, or a table within it."""
    for part in place:
        if isinstance(part, int):  # an element of a list: its model was found already
            continue
        field = model.model_fields.get(str(part))
        inner = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((each for each in inner if isinstance(each, type) and issubclass(each, Model)), Model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _pattern(error: ErrorDetails) -> str:
    if "A-Z" in error["ctx"]["pattern"]:
        return say('"{value}" will not do; use letters, digits, - and _, 1 to 32 of them', value=shown(error["input"]))
    return say('"{value}" will not do; use a to z, 0 to 9 and _, 1 to 32 of them', value=shown(error["input"]))


def _pair(_error: ErrorDetails) -> str:
    return say("must be two numbers, the lower first, as [0, 100]")


def _other(error: ErrorDetails) -> str:
    return say("will not do ({reason})", reason=shown(error["msg"]))


_SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda _: missing(),
    "string_type": lambda _: say("must be text in quotes"),
    "path_type": lambda _: say("must be text in quotes"),
    "string_pattern_mismatch": _pattern,
    "int_type": lambda _: say("must be a whole number"),
    "float_type": lambda _: say("must be a number"),
    "finite_number": lambda _: say("must be a number, not nan or inf"),
    "bool_type": lambda _: say("must be true or false, without quotes"),
    "tuple_type": lambda _: say("must be a list in square brackets, as [0, 100]"),
    "too_short": _pair,
    "too_long": _pair,
    "model_type": _table,
    "dict_type": lambda _: table_wanted(),
    "greater_than_equal": lambda error: say("must be at least {limit}", limit=error["ctx"]["ge"]),
    "less_than_equal": lambda error: say("must be at most {limit}", limit=error["ctx"]["le"]),
    "duration": lambda error: say(
        '"{value}" is not a duration with its unit; write it as "500ms", "5s", "10min", "1h" or "30d"',
        value=shown(error["input"]),
    ),
    "deadband": lambda error: say(
        '"{value}" is not a deadband; write it in the unit of the point, as 0.5, or as "2 %" of its range',
        value=shown(error["input"]),
    ),
    "size": lambda error: say(
        '"{value}" is not a size with its unit; write it as "200MB" or "2GiB"', value=shown(error["input"])
    ),
}
