"""docs/formulas.md, made of config/formulas.toml and tests/cases/formulas.toml; run it to write the document anew."""

import tomllib
from pathlib import Path

from parkgate.config.formulas import formulas

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "formulas.md"
CASES = ROOT / "tests" / "cases" / "formulas.toml"

HEAD = """\
# Formulas of derived points 计算测点的公式

Made of `config/formulas.toml` and `tests/cases/formulas.toml` by `tests/support/formulas_document.py`; a test computes
every value below and prints it to these digits. How to use them: [technician](technician.md#derived-points),
[现场](technician.zh-CN.md#计算测点). `parkgate explain SITE INSTRUMENT.POINT` shows one with its numbers of now.

A quantity is a point (`of`), whose unit is converted into the one here, or a number (`with`) in it; *any*: the result
has the unit of that point. Where there is no value, the point is `out-of-range`.
"""


def cases():
    """Give the worked values."""
    return tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]


def _row(*cells):
    return "| " + " | ".join(cells) + " |"


def _takes(quantity):
    if quantity.told_by:
        return f"number, default: {'molar mass of the factor' if quantity.told_by == 'factor' else 'the period'}"
    if quantity.default is None:
        return "number" if quantity.constant else "point" if quantity.any_unit or quantity.like else "point or number"
    kind = "number" if quantity.constant else "point or number"
    return f"{kind}, default {quantity.default:g}"


def _section(name, formula, worked):
    yield f"## `{name}`\n"
    yield f"{formula.en} {formula.zh}. {formula.source}.\n"
    yield f"```text\n{formula.text}\n```\n"
    yield _row("quantity", "unit", "given as", "what", "含义")
    yield "|---|---|---|---|---|"
    for each, quantity in formula.quantities.items():
        unit = quantity.unit or (
            f"that of `{quantity.like}`" if quantity.like else "*any*" if quantity.any_unit else ""
        )
        yield _row(f"`{each}`", unit, _takes(quantity), quantity.en, quantity.zh)
    yield f"\nGives {formula.gives or f'the unit of `{formula.like}`'}.\n".replace(
        "Gives 1.", "Gives a number without unit."
    )
    yield _row("given", "result", "")
    yield "|---|---|---|"
    for case in worked:
        given = ", ".join(f"{key} = {value:.10g}" for key, value in case["given"].items())
        yield _row(given, f"{case['result']} {case.get('unit', '')}".rstrip(), case.get("about", ""))
    yield ""


def document():
    """Give the whole text."""
    lines = [HEAD]
    for name, formula in formulas().items():
        lines += _section(name, formula, [case for case in cases() if case["formula"] == name])
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
