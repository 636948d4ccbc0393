"""`parkgate scan opc.tcp://…`: an address space as a tree and as a profile that runs, with and without an agent."""

import asyncio
import io
import json
import os
import re
import signal
import sys
import tomllib

import pytest
from asyncua import ua
from rich.console import Console
from support.cabinet import Running, verb
from support.node_opcua import node, serving
from support.opcua_park import URI, Wire, bare, datavalue
from support.opcua_secured import POLICIES, Shown, Users, secured
from support.tank_farm import at, site_file, tank_farm

from parkgate.gateway.commands.browse import PATIENCE, progress

GOOD = Shown()


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
async def farm():
    async with tank_farm() as park:
        yield park


async def document(*words):
    code, out, err = await verb("scan", *words, "--json")
    assert err == ""
    return code, json.loads(out)


async def test_a_server_is_shown_as_a_tree_with_type_value_unit_range_status_and_node_id(farm):
    code, out, err = await verb("scan", farm.url)
    rows = [re.split(r"\s{2,}", row.strip()) for row in out.splitlines()]
    assert code == 0
    assert rows[0] == ["name", "type", "value", "unit", "range", "status", "node id"]
    assert rows[1] == ["Objects", "i=85"]
    assert rows[2] == ["├─ T1", at("T1")]
    assert rows[3] == ["1", "│", "├─ Level", "Double", "2.5", "m", "0..15", "Good", at("T1.Level")]
    assert rows[4] == ["2", "│", "├─ 液位", "UInt16", "7", "Good", at("T1.液位")]
    assert rows[5] == ["3", "│", "├─ Alarms", "Boolean", "an array of Boolean: not supported", "Good", at("T1.Alarms")]
    assert rows[6] == ["4", "│", "├─ Temp", "Float", "-", "BadSensorFailure", at("T1.Temp")]
    assert rows[8] == ["└─ T2", at("T2")]
    assert out.endswith("13 nodes, 10 variables, 10 read, 2 of them not supported\n")
    assert "The server offers no security" in err
    assert "1 references lead to nodes that stand there already" in err


async def test_it_speaks_chinese(farm, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    code, out, err = await verb("scan", farm.url, "--filter", "Alarms")
    assert code == 0
    assert out.split()[:3] == ["名称", "类型", "数值"]
    assert "Boolean 数组：不支持" in out
    assert "服务器不提供安全连接" in err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("LEVEL", ["T1/Level", "T2/Level"]),
        ("T2/*e*", ["T2/Level", "T2/Temp", "T2/Health"]),
        ("/^T1.*(level|temp)$/", ["T1/Level", "T1/Temp"]),
        ("液位", ["T1/液位", "T2/液位"]),
        ("s=T1.Temp", ["T1/Temp"]),
    ],
)
async def test_only_what_the_filter_means_is_shown_and_read(farm, text, found):
    code, told = await document(farm.url, "--filter", text)
    assert code == 0
    assert ["/".join(each["path"]) for each in told["variables"]] == found
    assert (told["nodes"], told["left_out"]) == (13, 3)
    _, whole = await document(farm.url)
    numbers = {each["node"]: each["number"] for each in whole["variables"]}
    assert [each["number"] for each in told["variables"]] == [numbers[each["node"]] for each in told["variables"]]


async def test_a_filter_that_nothing_fits_is_a_problem_and_the_tree_has_only_what_leads_there(farm):
    none, out, _ = await verb("scan", farm.url, "--filter", "sulphur")
    some, tree, _ = await verb("scan", farm.url, "--filter", "T2/Level")
    assert (none, some) == (1, 0)
    assert out.startswith(farm.url)
    assert [line.split()[-1] for line in tree.splitlines()[1:-1]] == ["i=85", at("T2"), at("T2.Level")]


async def test_one_may_begin_elsewhere_and_go_less_deep(farm):
    _, below = await document(farm.url, "--from", at("T2"))
    _, high = await document(farm.url, "--depth", "1")
    _, own = await document(farm.url, "--from", "i=2256")
    missing, told = await document(farm.url, "--from", "ns=2;s=T9")
    _, few = await document(farm.url, "--most", "3")
    assert below["variables"][0]["path"] == ["Level"]
    assert (high["nodes"], high["variables"]) == (3, [])
    assert {"BuildInfo"} <= {each["name"] for each in own["variables"]}
    assert (missing, told["unreadable"]) == (1, [{"node": "ns=2;s=T9", "status": "BadNodeIdUnknown"}])
    assert (few["nodes"], few["complete"]) == (4, False)
    assert "--most" in few["remarks"][-1]


async def test_a_profile_is_written_that_passes_the_check_and_runs(farm, tmp_path):
    code, out, _ = await verb("scan", farm.url, "--write", tmp_path / "tank-7.toml")
    text = (tmp_path / "tank-7.toml").read_text(encoding="utf-8")
    points = tomllib.loads(text)["points"]
    assert code == 0
    assert "tank-7.toml: 8 points, 2 that are not supported stand there as comments." in out
    assert points["t1_level"] == {"at": at("T1.Level"), "type": "double", "unit": "m", "range": [0, 15]}
    assert points["t1_level_2"] == {"at": at("T1.液位"), "type": "uint16", "title": "T1 液位"}
    assert f"# Alarms ({at('T1.Alarms')}): an array of Boolean: not supported" in text
    site = tmp_path / "printed.toml"
    added = out[out.index("[[line]]") :]
    gateway = f'[gateway]\nsite = "xuwei"\nid = "gw-01"\ndata = "{tmp_path}/data"\n'
    site.write_text(gateway + added, encoding="utf-8")
    checked, _, problems = await verb("check", site)
    assert checked == 0, problems
    async with Running(site) as agent:
        await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
        _, probed, _ = await verb("probe", site, "tank-7", "t1_level", "t2_level_2", "--json")
        assert [each["value"] for each in json.loads(probed)["points"].values()] == [2.5, 7]
        assert (await agent.stop())[0] == 0


async def test_only_what_was_chosen_is_written(farm, tmp_path, monkeypatch):
    _, out, _ = await verb("scan", farm.url, "--write", tmp_path / "a.toml", "--choose", "1,3-4")
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n6\n"))
    _, asked, _ = await verb("scan", farm.url, "--write", tmp_path / "b.toml", "--choose")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    await verb("scan", farm.url, "--write", tmp_path / "c.toml", "--choose", "--filter", "T2")
    points = [tomllib.loads((tmp_path / f"{each}.toml").read_text())["points"] for each in "abc"]
    assert "2 points, 1 that are not supported" in out
    assert [*points[0]] == ["level", "temp"]
    assert points[1] == {"level": {"at": at("T2.Level"), "type": "double", "unit": "m", "range": [0, 15]}}
    assert "names no variables by their numbers" in asked
    assert asked.index("Objects") < asked.index("Which?")
    assert len(points[2]) == 4


async def test_a_file_that_is_there_is_not_replaced_unless_one_says_so(farm, tmp_path):
    file = tmp_path / "tank.toml"
    file.write_text("mine", encoding="utf-8")
    refused, out, err = await verb("scan", farm.url, "--write", file)
    assert (refused, out, file.read_text()) == (2, "", "mine")
    assert "--force" in err
    code, told = await document(farm.url, "--write", file, "--force")
    assert code == 0
    assert told["written"] == {
        "file": str(file), "points": 8, "unsupported": 2, "site": told["written"]["site"],
    }  # fmt: skip
    assert 'profile = "tank"' in told["written"]["site"]
    assert "[points]" in file.read_text()


async def test_where_nothing_can_be_written_no_file_is_left(farm, tmp_path):
    nothing, _, why = await verb("scan", farm.url, "--write", tmp_path / "a.toml", "--choose", "3")
    nowhere, _, where = await verb("scan", farm.url, "--write", tmp_path / "none/b.toml")
    assert (nothing, nowhere) == (1, 1)
    assert "nothing of what was chosen can be a point" in why
    assert "the profile cannot be written" in where
    assert list(tmp_path.glob("*.toml")) == []


async def test_more_than_one_instrument_can_have_is_refused(tmp_path):
    async with bare() as park:
        for number in range(700):
            await park.put(f"quantity-{number:04}", datavalue(1.0))
        code, told = await document(park.url, "--write", tmp_path / "all.toml")
        some, _ = await document(park.url, "--write", tmp_path / "some.toml", "--choose", "1-100")
    assert (code, some) == (1, 0)
    assert told["fault"]["what"] == "700 points are more than one instrument can have"
    assert len(told["variables"]) == 700
    assert [each.name for each in tmp_path.glob("*.toml")] == ["some.toml"]


@pytest.mark.xdist_group("agents")
async def test_the_line_of_a_running_agent_is_browsed_through_its_session_and_reading_goes_on(farm, tmp_path):
    site = site_file(tmp_path, farm.url)
    _, alone = await document(farm.url)
    async with Running(site) as agent:
        before = await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
        most, counting = 0, asyncio.Event()

        async def count():
            nonlocal most
            while not counting.is_set():
                most = max(most, farm.sessions)
                await asyncio.sleep(0)

        watching = asyncio.create_task(count())
        code, told = await document(site, "dcs")
        wrote, _, _ = await verb("scan", site, "--write", tmp_path / "all.toml")
        counting.set()
        await watching
        after = await agent.until(lambda told: told["instruments"][0]["reads"] > before["instruments"][0]["reads"])
    assert (code, wrote, most) == (0, 0, 1)
    volatile = {"source", "server"}
    plain = [
        [{k: v for k, v in each.items() if k not in volatile} for each in one["variables"]] for one in (told, alone)
    ]
    assert plain[0] == plain[1]
    assert after["instruments"][0]["failed"] == 0


async def test_a_sites_own_line_is_taken_with_what_it_says_of_security(tmp_path):
    async with tank_farm() as farm:
        site = site_file(tmp_path, farm.url)
        code, out, err = await verb("scan", site, "--write", tmp_path / "all.toml")
        wrong, _, why = await verb("scan", site, "--security", "none")
    assert (code, err.count("security")) == (0, 0)
    assert "[[line]]" not in out
    assert 'line = "dcs"' in out
    assert wrong == 2
    assert "the site file says how the line is secured" in why


async def test_a_certificate_that_nobody_trusted_is_refused_with_the_command_that_trusts_it_and_then_remembered():
    async with secured(GOOD, *POLICIES.values(), ua.SecurityPolicyType.NoSecurity) as park:
        refused, out, err = await verb("scan", park.url)
        words = err[err.index("parkgate scan") :].split(". ")[0].split()[1:]
        sessions = park.sessions
        trusted, told = await document(*words[1:])
        again, _ = await document(park.url)
        other, _, wrong = await verb("scan", park.url, "--fingerprint", "0" * 64)
        asked_for, plain = await document(park.url, "--security", "none")
    assert (refused, out, sessions) == (1, "", 0)
    assert "the server's certificate is not trusted" in err
    assert (trusted, again, other, asked_for) == (0, 0, 1, 0)
    assert told["security"] == "Aes256_Sha256_RsaPss/SignAndEncrypt"
    assert [each["value"] for each in told["variables"]] == [2.5]
    assert "does not have the fingerprint given" in wrong
    assert plain["remarks"] == ["Without security, as asked for."]


async def test_a_user_is_told_only_to_a_server_that_is_trusted_and_never_without_security(tmp_path, monkeypatch):
    (tmp_path / "password").write_text("secret\n")
    monkeypatch.setenv("DCS_PASSWORD", "secret")
    users = Users({"reader": "secret"})
    tokens = (ua.UserNameIdentityToken,)
    login = ("--user", "reader", "--password-file", tmp_path / "password")
    async with secured(GOOD, *POLICIES.values(), ua.SecurityPolicyType.NoSecurity, users=users, tokens=tokens) as park:
        before, _, _ = await verb("scan", park.url, *login)
        assert users.told == []
        plain, _, never = await verb("scan", park.url, *login, "--security", "none")
        assert users.told == []
        code, told = await document(park.url, *login, "--fingerprint", GOOD.facts.fingerprint)
        env, written = await document(
            park.url, "--user", "reader", "--password-env", "DCS_PASSWORD", "--write", tmp_path / "a.toml"
        )
    assert (before, plain, code, env) == (1, 1, 0, 0)
    assert 'would not be safe with security = "none"' in never
    assert told["variables"][0]["value"] == 2.5
    assert 'password = { env = "DCS_PASSWORD" }' in written["written"]["site"]
    assert "secret" not in json.dumps([told, written])


async def test_a_server_that_was_trusted_and_now_offers_no_security_is_not_read_unless_one_says_so():
    async with secured(GOOD) as park:
        trusted, _ = await document(park.url, "--fingerprint", GOOD.facts.fingerprint)
        port = int(park.url.split(":")[2].split("/")[0])
    async with secured(None, ua.SecurityPolicyType.NoSecurity, port=port) as park:
        refused, out, err = await verb("scan", park.url)
        compared, _, _ = await verb("scan", park.url, "--fingerprint", GOOD.facts.fingerprint)
        plain, _ = await document(park.url, "--security", "none")
    assert (trusted, refused, compared, plain, out) == (0, 1, 1, 0, "")
    assert "one was trusted here" in err


async def test_an_authority_vouches_for_a_server(tmp_path):
    authority = Shown(name="plant", ca=True)
    authority.write(tmp_path, "ca")
    async with secured(Shown(by=authority)) as park:
        code, told = await document(park.url, "--ca", tmp_path / "ca.pem", "--security", "Basic256Sha256/Sign")
    assert (code, told["security"]) == (0, "Basic256Sha256/Sign")


async def test_a_server_that_is_away_is_said_with_what_to_do():
    code, out, err = await verb("scan", "opc.tcp://127.0.0.1:1")
    machine, told = await document("opc.tcp://127.0.0.1:1")
    assert (code, out, machine) == (1, "", 1)
    assert "Check that the server runs, its address and port." in err
    assert told["fault"]["next"] == "Check that the server runs, its address and port."
    assert told["variables"] == []


async def test_a_server_that_is_lost_on_the_way_leaves_what_was_found_so_far(farm):
    async with Wire(farm.url) as wire:
        browsed = asyncio.Event()
        session = farm.server.iserver.attribute_service.read

        def read(parameters):
            if len(parameters.NodesToRead) > 20:  # it is the variables' turn
                wire.cut()
                browsed.set()
            return session(parameters)

        farm.server.iserver.attribute_service.read = read
        code, out, err = await verb("scan", wire.url, "--timeout", "300ms", "--security", "none")
    assert browsed.is_set()
    assert code == 1
    assert "13 nodes, 10 variables, 0 read" in out
    assert "the server has no answer to this: no answer in time" in err


@pytest.mark.xdist_group("agents")
async def test_ctrl_c_ends_it_with_what_was_found_so_far_and_closes_the_session(farm, tmp_path):
    async with Wire(farm.url) as wire:
        reached = asyncio.Event()
        read = farm.server.iserver.attribute_service.read

        def held(parameters):
            if len(parameters.NodesToRead) > 20:
                wire.hold()
                reached.set()
            return read(parameters)

        farm.server.iserver.attribute_service.read = held
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parkgate.gateway.commands.main", "scan", wire.url, "--security", "none",
            "--timeout", "30s", "--write", str(tmp_path / "tank.toml"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await asyncio.wait_for(reached.wait(), 60)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        await asyncio.wait_for(farm.until_no_client(), 30)
    assert process.returncode == 130
    assert "13 nodes, 10 variables, 0 read" in out.decode()
    assert "Traceback" not in err.decode()
    assert not (tmp_path / "tank.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("opc.tcp://h", "--units", "1-3"), "--units mean nothing"),
        (("opc.tcp://h", "--trace"), "--trace mean nothing"),
        (("modbus-tcp://h", "--filter", "x"), "--filter mean nothing"),
        (("modbus-tcp://h", "--security", "none"), "--security mean nothing"),
        (("modbus-tcp://h", "--from", "i=85"), "--from mean nothing"),
        (("opc.tcp://h", "--choose", "1"), "--choose needs --write"),
        (("opc.tcp://h", "--force"), "--force needs --write"),
        (("opc.tcp://h", "--filter", "/(/"), "no regular expression"),
        (("opc.tcp://h", "--from", "Tank"), "not an OPC UA node id"),
        (("opc.tcp://h", "--depth", "0"), "no number from 1"),
        (("opc.tcp://h", "--most", "many"), "no number from 1"),
        (("opc.tcp://h", "--write", "tank.csv"), "no name for a profile"),
        (("opc.tcp://h", "--write", "储罐.toml"), "no name for a profile"),
        (("opc.tcp://h", "--choose", "a-b", "--write", "a.toml"), "names no variables"),
        (("opc.tcp://h", "--security", "Basic128"), "invalid choice"),
        (("opc.tcp://h", "--fingerprint", "12"), "64 digits"),
        (("opc.tcp://",), "not whole"),
    ],
)
async def test_what_makes_no_sense_is_a_usage_error(words, said):
    code, out, err = await verb("scan", *words)
    assert (code, out) == (2, "")
    assert said in err


def shown(waits, *, terminal=True):
    """Give what a terminal, or something else, is shown while so much time passes between the questions."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        console, clock = Console(file=file, force_terminal=terminal, width=100), iter([0.0, *waits])
        with progress(console, lambda: next(clock)) as step:
            for done, _ in enumerate(waits, start=1):
                step("browsed", 100 * done, 50)
    with os.fdopen(read) as file:
        return file.read()


def test_a_bar_is_shown_on_a_terminal_once_it_takes_long():
    assert "browsed" in shown([0.1, PATIENCE])
    assert "200/250" in shown([0.1, PATIENCE])
    assert shown([0.1, PATIENCE - 0.1]) == ""
    assert shown([0.1, PATIENCE], terminal=False) == ""


@pytest.fixture(scope="module")
def others():
    with serving() as park:
        yield park


@pytest.mark.xdist_group("node-opcua")
async def test_of_a_server_that_others_wrote_a_profile_is_written_that_runs_as_it_is(others, tmp_path):
    """Show: a scan of an address space, and the profile of it in a running agent."""
    url, fingerprint = others.url, others.shown.facts.fingerprint
    refused, _, _ = await verb("scan", url)
    code, told = await document(
        url, "--fingerprint", fingerprint, "--filter", "Farm/T0*", "--write", tmp_path / "farm.toml"
    )
    assert (refused, code) == (1, 0)
    assert told["written"]["points"] == 45
    site = site_file(tmp_path, url, profile="farm")
    assert (await verb("check", site))[0] == 0
    async with Running(site) as agent:
        await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
        probed, out, _ = await verb("probe", site, "tank-1", "t01_level", "t09_volume", "--json")
        points = json.loads(out)["points"]
    assert probed == 0
    assert points["t01_level"]["at"] == node("Farm.T01.Level")
    assert (points["t01_level"]["value"], points["t09_volume"]["unit"]) == (1, "m³")
    assert URI not in out
