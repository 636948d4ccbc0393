"""`parkgate probe`: real instruments behind real sockets whose profile is wrong, with and without a running agent."""

import asyncio
import contextlib
import json
import socket
import struct

import pytest
from support.cabinet import PROFILE, Running, site_file, unit, verb

from parkgate.gateway.control.server import SOCKET, ControlServer
from parkgate.simulator.image import Image
from parkgate.simulator.modbus import ModbusPlant, Responder
from parkgate.simulator.rtu import Rtu

ANY = "modbus-tcp://127.0.0.1:0"


def swapped(so2=12.5, o2=620):
    """An instrument that sends the low word of its float first, as its profile does not say."""
    image = unit(so2, o2)
    image.write("input", 0, struct.unpack(">HH", struct.pack(">f", so2))[::-1])
    return image


async def document(*words):
    code, out, err = await verb("probe", *words, "--json")
    assert err == ""
    return code, json.loads(out)


@contextlib.asynccontextmanager
async def cabinet(folder, image, **more):
    async with ModbusPlant(ANY, {1: image}) as plant:
        yield site_file(folder, line=plant.url, **more)


async def test_a_float_with_swapped_words_is_given_its_right_order(tmp_path):
    async with cabinet(tmp_path, swapped()) as site:
        code, out, err = await verb("probe", site, "stack-1")
    assert (code, err) == (1, "")
    assert 'so2 (input 0): only CDAB is plausible: set order = "CDAB"' in out
    rows = [line.split() for line in out.splitlines()]
    assert ["so2", "input", "0", "0000", "4148", "0.0", "mg/m3", "doubtful"] in rows
    assert ["o2", "input", "2", "026C", "6.2", "%"] in rows
    assert ["state", "1", "holding", "0", "0000", "0"] in rows
    assert ["ABCD", "0", "0", "0000", "4148", "2.34185e-41", "mg/m3", "no", "as", "configured"] in rows
    assert ["CDAB", "0", "0", "0000", "4148", "12.5", "mg/m3", "yes"] in rows


async def test_what_it_says_is_what_makes_the_instrument_right(tmp_path):
    async with cabinet(tmp_path, swapped()) as site:
        (tmp_path / "stack.toml").write_text('order = "CDAB"\n' + PROFILE, encoding="utf-8")
        code, out, _ = await verb("probe", site, "stack-1")
    assert code == 0
    assert "doubtful" not in out
    assert ["so2", "input", "0", "0000", "4148", "12.5", "mg/m3"] in [line.split() for line in out.splitlines()]


async def test_it_speaks_chinese(tmp_path, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    async with cabinet(tmp_path, swapped()) as site:
        code, out, _ = await verb("probe", site, "stack-1")
    assert code == 1
    assert '只有 CDAB 合理：请设 order = "CDAB"' in out
    assert ["测点", "地址", "寄存器", "数值", "单位", "数据标记"] in [line.split() for line in out.splitlines()]


async def test_machines_read_the_same(tmp_path):
    async with cabinet(tmp_path, swapped()) as site:
        code, told = await document(site, "stack-1")
    so2, o2 = told["points"]["so2"], told["points"]["o2"]
    assert code == 1
    assert (told["instrument"], told["unit"], told["line"]) == ("stack-1", 1, "cems")
    assert (so2["registers"], so2["value"], so2["doubtful"], so2["verdict"]) == (["0000", "4148"], 0.0, True, "one")
    (right,) = [each for each in so2["candidates"] if each["plausible"]]
    assert (right["order"], right["base"], right["value"], right["configured"]) == ("CDAB", 0, 12.5, False)
    assert (o2["value"], o2["unit"], o2["doubtful"]) == (6.2, "%", False)
    assert told["states"] == [{"at": "holding 0", "registers": ["0000"], "value": 0}]
    assert "trace" not in told


async def test_points_may_be_chosen_and_all_orders_be_shown_of_one_that_is_well(tmp_path):
    async with cabinet(tmp_path, unit()) as site:
        code, out, _ = await verb("probe", site, "stack-1", "so2", "--all-orders")
        plain_code, plain, _ = await verb("probe", site, "stack-1", "so2")
    assert (code, plain_code) == (0, 0)
    assert "o2" not in [line.split()[0] for line in plain.splitlines()]
    assert "so2 (input 0): as configured is plausible" in out
    assert "as configured is plausible" not in plain
    assert sum(line.split()[:1] in (["ABCD"], ["CDAB"], ["BADC"], ["DCBA"]) for line in out.splitlines()) == 4


async def test_another_point_that_is_doubtful_is_no_problem_of_the_one_asked_for(tmp_path):
    async with cabinet(tmp_path, swapped()) as site:
        code, _, _ = await verb("probe", site, "stack-1", "o2")
    assert code == 0


async def test_what_the_instrument_flags_itself_is_shown_and_no_problem(tmp_path):
    async with cabinet(tmp_path, unit(state=1)) as site:
        code, out, _ = await verb("probe", site, "stack-1")
    assert code == 0
    assert ["so2", "input", "0", "4148", "0000", "12.5", "mg/m3", "calibration"] in [
        line.split() for line in out.splitlines()
    ]


async def test_a_register_that_is_not_there_is_told_with_the_exception(tmp_path):
    async with cabinet(tmp_path, unit(), more='points.o2.at = "input 900"\n') as site:
        code, out, _ = await verb("probe", site, "stack-1")
    assert code == 1
    assert "o2: exception 2, ILLEGAL DATA ADDRESS: it has no such register" in out
    assert ["o2", "input", "900", "-", "-", "%", "bad", "configuration", "doubtful"] in [
        line.split() for line in out.splitlines()
    ]


async def test_a_point_one_register_away_is_found_from_the_other_base(tmp_path):
    async with cabinet(tmp_path, unit(), more='points.o2.at = "input 3"\n') as site:
        _, out, _ = await verb("probe", site, "stack-1")
    assert "o2 (input 3): only counting from 1 is plausible: set base = 1" in out


async def test_all_floats_swapped_are_one_change_of_the_profile(tmp_path):
    values = [12.5, 44.0, 250.0]
    image = Image([("input", 0, 6), ("holding", 0, 1)])
    for index, value in enumerate(values):
        image.write("input", 2 * index, struct.unpack(">HH", struct.pack(">f", value))[::-1])
    async with cabinet(tmp_path, image) as site:
        rows = [f'p{index} = {{ at = "input {2 * index}", type = "float32", range = [1, 300] }}' for index in range(3)]
        (tmp_path / "stack.toml").write_text('protocol = "modbus"\n[points]\n' + "\n".join(rows), encoding="utf-8")
        code, out, _ = await verb("probe", site, "stack-1")
    assert code == 1
    assert out.endswith('All 3 doubtful points become plausible with order = "CDAB" in the profile.\n')


async def test_a_trace_shows_every_frame_with_what_it_means(tmp_path):
    async with cabinet(tmp_path, unit()) as site:
        _, out, _ = await verb("probe", site, "stack-1", "--trace")
        _, told = await document(site, "stack-1", "--trace")
    frames = [line for line in out.splitlines() if line[:1] in {"→", "←"}]
    assert [line[0] for line in frames] == ["→", "←"] * 2
    assert frames[0].endswith("unit 1, read holding registers 0")
    assert frames[2].endswith("unit 1, read input registers 0 to 2")
    assert "01 04 06 4148 0000 026C" in frames[3]
    assert frames[3].endswith("unit 1, input registers: 6 bytes")
    assert [each["sent"] for each in told["trace"]] == [True, False] * 2
    assert told["trace"][3]["frame"].endswith("0104064148000002" + "6c")
    assert told["trace"][2]["meaning"].endswith("unit 1, read input registers 0 to 2")


async def test_a_trace_of_rtu_over_tcp_tells_the_checksums(tmp_path):
    plant = ModbusPlant("modbus-rtu-over-tcp://127.0.0.1:0", {}, Responder({1: unit()}, Rtu()))
    async with plant:
        site = site_file(tmp_path, line=plant.url)
        code, out, _ = await verb("probe", site, "stack-1", "--trace")
    frames = [line for line in out.splitlines() if line[:1] in {"→", "←"}]
    assert code == 0
    assert frames[2].startswith("→ 01 04 0000 0003 ")
    assert frames[3].endswith("unit 1, input registers: 6 bytes; CRC right")


async def test_through_a_running_agent_nobody_else_connects(tmp_path):
    async with ModbusPlant(ANY, {1: swapped()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        async with Running(site) as agent:
            before = await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
            connections = len(plant._connections)
            code, out, err = await verb("probe", site, "stack-1", "--trace")
            assert len(plant._connections) == connections == 1
            after = await agent.until(lambda told: told["instruments"][0]["reads"] > before["instruments"][0]["reads"])
            _, told = await document(site, "stack-1")
    assert (code, err) == (1, "")
    assert 'set order = "CDAB"' in out
    assert [line for line in out.splitlines() if line.startswith("→")][-1].endswith(
        "unit 1, read input registers 0 to 2"
    )
    assert after["instruments"][0]["state"] == "answering"
    assert told["points"]["so2"]["registers"] == ["0000", "4148"]


async def test_a_profile_that_was_corrected_is_tried_while_the_agent_still_runs_with_the_old_one(tmp_path):
    async with ModbusPlant(ANY, {1: swapped()}) as plant:
        site = site_file(tmp_path, line=plant.url)
        async with Running(site) as agent:
            await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
            (tmp_path / "stack.toml").write_text('order = "CDAB"\n' + PROFILE, encoding="utf-8")
            code, _, _ = await verb("probe", site, "stack-1")
    assert code == 0


async def test_an_agent_that_knows_no_such_question_is_told_with_what_to_do(tmp_path):
    async def account(_request):
        return {}

    site = site_file(tmp_path)
    (tmp_path / "data").mkdir()
    serving = asyncio.create_task(ControlServer(tmp_path / "data", {"account": account}).run())
    async with asyncio.timeout(20):
        while not (tmp_path / "data" / SOCKET).exists():
            await asyncio.sleep(0.01)
    code, out, err = await verb("probe", site, "stack-1")
    serving.cancel()
    await asyncio.wait([serving])
    assert (code, out) == (1, "")
    assert "the running agent does not answer this: unknown verb; known: account" in err
    assert "start the agent again" in err


async def test_a_line_that_the_agent_has_down_is_told_as_the_agent_tells_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    site = site_file(tmp_path, line=f"modbus-tcp://127.0.0.1:{port}")
    async with Running(site) as agent:
        await agent.until(lambda told: told["lines"][0]["state"] == "down")
        code, out, err = await verb("probe", site, "stack-1")
    assert (code, out) == (1, "")
    assert f"no connection to 127.0.0.1:{port}" in err


async def test_a_silent_instrument_is_told_with_what_to_do(tmp_path):
    plant = ModbusPlant("modbus-rtu-over-tcp://127.0.0.1:0", {}, Responder({9: unit()}, Rtu()))
    async with plant:
        site = site_file(tmp_path, line=plant.url)
        code, out, err = await verb("probe", site, "stack-1")
        json_code, told = await document(site, "stack-1", "--trace")
    assert (code, out, json_code) == (1, "", 1)
    assert "no answer within 200 ms" in err
    assert told["fault"]["what"] == "no answer within 200 ms"
    assert [each["sent"] for each in told["trace"]] == [True]


async def test_a_unit_that_its_gateway_cannot_reach_is_silent(tmp_path):
    async with ModbusPlant(ANY, {9: unit()}) as plant:
        code, _, err = await verb("probe", site_file(tmp_path, line=plant.url), "stack-1")
    assert code == 1
    assert "the gateway on this line cannot reach it (exception 11)" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [(("stack-9",), 'there is no instrument "stack-9"'), (("stack-1", "co"), 'has no point "co"; known: so2, o2')],
)
async def test_what_is_not_in_the_site_file_is_a_usage_error_with_what_there_is(tmp_path, words, said):
    code, out, err = await verb("probe", site_file(tmp_path), *words)
    assert (code, out) == (2, "")
    assert said in err
