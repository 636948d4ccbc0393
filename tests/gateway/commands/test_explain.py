"""`parkgate explain`: real instruments behind real sockets, with and without a running agent."""

import contextlib
import json
import struct

import pytest
from support.cabinet import PROFILE, Running, site_file, unit, verb
from support.opcua_park import instrument as tank
from support.opcua_park import point as node

from parkgate.config.load import load_site
from parkgate.config.profile import State
from parkgate.gateway.commands import explain
from parkgate.gateway.commands.explaining import Judged, Measured, Told
from parkgate.simulator.modbus import ModbusPlant

ANY = "modbus-tcp://127.0.0.1:0"
DERIVED = """
[derived]
so2_zs = { formula = "reference_oxygen", of = { c = "so2_dry", o2 = "o2" }, with = { reference = 3 }, unit = "µg/m3" }

[derived.so2_dry]
formula = "wet_to_dry"
of = { c = "so2", moisture = "o2" }
digits = 2
factor = "a21026"
range = [0, 200]
"""
FOREIGN = 'derived.gap = { formula = "difference", of = { a = "o2", b = "stack-2.o2" } }\n'


@contextlib.asynccontextmanager
async def cabinet(folder, *images, profile=PROFILE + DERIVED, more=""):
    async with ModbusPlant(ANY, dict(enumerate(images, start=1))) as plant:
        path = site_file(folder, line=plant.url, units=range(1, len(images) + 1))
        (folder / "stack.toml").write_text(profile, encoding="utf-8")
        if more:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace('every = "100ms"\n', f'every = "100ms"\n{more}', 1), encoding="utf-8")
        yield path


async def said(*words):
    code, out, err = await verb("explain", *words)
    assert (code, err) == (0, "")
    return [line.split() for line in out.splitlines()]


async def document(*words):
    code, out, err = await verb("explain", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


async def test_a_derived_point_is_explained_by_its_inputs_numbers_formula_and_clause(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860)) as site:
        rows = await said(site, "stack-1.so2_zs")
    text = [" ".join(row) for row in rows]
    assert text[0] == "stack-1.so2_zs 66861.29 µg/m3"
    assert "formula Concentration at reference oxygen (reference_oxygen)" in text
    assert "C_zs = C · (21 - O2_ref) / (21 - O2); no value from O2 = limit on" in text
    assert "source HJ 212-2017, D.2" in text
    assert "converted from mg/m3 by × 1000" in text
    assert "o2 oxygen in dry gas o2 8.6 %" in text
    assert "limit oxygen from which on nothing is converted, % number 20" in text
    assert "stack-1.so2_dry 46.06 mg/m3" in text, "what it takes is explained behind it"
    assert "factor a21026 Sulphur dioxide, mg/m3, N5.2 (2017)" in text
    assert "range 0 … 200 mg/m3" in text


async def test_machines_read_the_same_and_can_compute_it_again(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860)) as site:
        told = await document(site, "stack-1.so2_zs")
    c, o2 = told["of"]["c"], told["of"]["o2"]
    again = c["used"] * (21 - told["with"]["reference"]) / (21 - o2["used"]) * told["scale"]
    assert told["value"] == pytest.approx(again, rel=1e-6)
    assert (c["from"], c["unit"], o2["value"]) == ("so2_dry", "mg/m3", 8.6)
    assert (told["formula"], told["source"], told["unit"]) == ("reference_oxygen", "HJ 212-2017, D.2", "µg/m3")
    (behind,) = told["behind"]
    assert (behind["point"], behind["factor"], behind["value"]) == ("so2_dry", "a21026", 46.06)


async def test_a_flag_of_an_input_is_shown_where_it_comes_from(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860, state=1)) as site:
        rows = await said(site, "stack-1.so2_dry")
        told = await document(site, "stack-1.so2_dry")
    assert ["stack-1.so2_dry", "-", "calibration"] in rows
    assert rows[-2][-4:] == ["so2", "42.1", "mg/m3", "calibration"]
    assert (told["flag"], "value" in told, told["of"]["c"]["value"], "used" in told["of"]["c"]) == (
        "calibration", False, 42.1, False,
    )  # fmt: skip


async def test_a_measured_point_is_explained_by_its_registers_scale_range_and_states(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860)) as site:
        text = [" ".join(row) for row in await said(site, "stack-1.o2")]
        so2 = await document(site, "stack-1.so2")
    assert text[0] == "stack-1.o2 8.6 %"
    assert text[1:] == [
        "address input 2 (uint16, ABCD)", "registers 035C", "raw 860", "value raw × 0.01 + 0", "invalid 65535",
        "range 0 … 25 %",
    ]  # fmt: skip
    words = struct.pack(">f", 42.1).hex().upper()
    assert so2["registers"] == [words[:4], words[4:]]
    assert (so2["raw"], so2["scale"], so2["value"]) == (pytest.approx(42.1), 1.0, 42.1)
    (state,) = so2["states"]
    assert (state["at"], state["equals"], state["value"], state["holds"]) == ("holding 0", [1], 0, False)


async def test_the_state_that_holds_is_told_with_what_it_reads(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860, state=1)) as site:
        rows = await said(site, "stack-1.so2")
        told = await document(site, "stack-1.so2")
    assert ["holding", "0", "1", "calibration", "1"] in rows
    assert told["states"][0]["holds"]


async def test_a_conversion_is_told_with_the_unit_that_the_instrument_gives(tmp_path):
    convert = 'unit = "ppm", factor = "a21026", convert = { to = "mg/m3", at = 0 }'
    profile = PROFILE.replace('unit = "mg/m3"', convert)
    async with cabinet(tmp_path, unit(100.0, 860), profile=profile) as site:
        text = [" ".join(row) for row in await said(site, "stack-1.so2")]
        told = await document(site, "stack-1.so2")
    assert text[0] == "stack-1.so2 285.97 mg/m3"
    assert "converted from ppm by × 2.85973214 (molar mass 64.058 g/mol, at 0 °C)" in text
    assert (told["raw"], told["converted"]["unit"], told["range"][1]) == (100.0, "ppm", 857.92)


async def test_what_another_instrument_gives_is_read_too(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860), unit(42.1, 500), more=FOREIGN) as site:
        told = await document(site, "stack-1.gap")
        text = [" ".join(row) for row in await said(site, "stack-1.gap")]
    assert told["value"] == pytest.approx(3.6)
    assert told["of"]["b"]["from"] == "stack-2.o2"
    assert "b subtrahend stack-2.o2 5.0 %" in text


async def test_while_the_agent_runs_its_newest_values_are_explained(tmp_path):
    async with cabinet(tmp_path, unit(42.1, 860), unit(42.1, 500), more=FOREIGN) as site, Running(site) as agent:
        await agent.until(lambda told: all(each["state"] == "answering" for each in told["instruments"]))
        await agent.until(lambda told: told["instruments"][0]["points"]["gap"]["value"] is not None)
        derived = await document(site, "stack-1.gap")
        measured = await document(site, "stack-1.o2")
        status = await agent.until(lambda told: True)
    assert (derived["value"], derived["of"]["a"]["value"]) == (3.6, 8.6)
    assert (measured["value"], measured["registers"]) == (8.6, ["035C"])
    assert list(status["instruments"][0]["points"]) == ["so2", "o2", "so2_dry", "so2_zs", "gap"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("stack-7.so2", 'no instrument "stack-7"'),
        ("stack-1.so3", 'no point "so3"; known: so2, o2, so2_dry'),
        ("so2", "known"),
    ],
)
async def test_a_name_that_is_not_there_is_a_usage_error_that_names_those_that_are(tmp_path, monkeypatch, name, wrong):
    monkeypatch.setenv("PARKGATE_LANG", "en")
    site = site_file(tmp_path)
    (tmp_path / "stack.toml").write_text(PROFILE + DERIVED, encoding="utf-8")
    code, out, err = await verb("explain", site, name)
    assert (code, out) == (2, "")
    assert wrong in err


async def test_an_instrument_that_does_not_answer_is_a_fault_and_no_explanation(tmp_path):
    site = site_file(tmp_path)
    (tmp_path / "stack.toml").write_text(PROFILE + DERIVED, encoding="utf-8")
    for name in ("stack-1.so2", "stack-1.so2_dry"):
        code, out, err = await verb("explain", site, name)
        assert (code, out) == (1, "")
        assert "127.0.0.1" in err


async def test_it_speaks_chinese(tmp_path, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    async with cabinet(tmp_path, unit(42.1, 860)) as site:
        text = [" ".join(row) for row in await said(site, "stack-1.so2_dry")]
    assert "公式 湿基换算为干基 (wet_to_dry)" in text
    assert "moisture 烟气湿度 Xsw o2 8.6 %" in text


def test_a_node_of_opc_ua_is_explained_without_registers(capsys, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
    about = tank(node("level", unit="m", scale=0.5), states=(State(at="ns=1;s=S", equals=(1,), flag="fault"),))
    measured = Measured(about, about.points[0], Told(2.0, None, 5), (), None, (Judged(about.states[0], None),))
    explain._show(explain.Console(highlight=False), measured)
    text = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert text[0].endswith("level 2.0 m")
    assert "value raw × 0.5 + 0" in text
    assert not any("registers" in line for line in text)
    assert explain._measured_as_json(measured)["raw"] is None


def test_the_site_of_these_tests_is_one(tmp_path):
    site = site_file(tmp_path)
    (tmp_path / "stack.toml").write_text(PROFILE + DERIVED, encoding="utf-8")
    assert [each.name for each in load_site(site).instruments[0].quantities] == ["so2", "o2", "so2_dry", "so2_zs"]
