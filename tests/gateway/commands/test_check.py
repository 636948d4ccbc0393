"""`parkgate check SITE` as a technician meets it: every mistake at once, with its file and line."""

import json
import re

import pytest
from support.cabinet import PROFILE, site_file, verb


def lines_of(text, folder):
    return [line.replace(f"{folder}/", "") for line in text.splitlines()]


async def test_a_good_site_file_passes_and_says_what_is_in_it(tmp_path):
    code, out, err = await verb("check", site_file(tmp_path, units=(1, 2, 3)))
    assert (code, err) == (0, "")
    assert lines_of(out, tmp_path) == [
        "site.toml: no problems",
        "  1 lines, 3 instruments, 6 points, 6 requests a cycle",
        '  largest snapshot 285 of 60000 bytes (instrument "stack-1")',
        out.splitlines()[-1],
    ]
    assert re.fullmatch(
        r"  max_size 2048 MiB lasts for an outage of \d+\.\d days \(\d+\.\d MiB a day\)", out.splitlines()[-1]
    )


async def test_it_says_how_much_longer_a_full_disk_lasts_for_safety_instruments(tmp_path):
    more = (
        '\n[[instrument]]\nname = "gas"\nline = "cems"\nunit = 9\nprofile = "stack"\nevery = "100ms"\nsafety = true\n'
    )
    _, out, _ = await verb("check", site_file(tmp_path, units=(1, 2, 3), more=more))
    every, safety = re.findall(r"([\d.]+) days", out.splitlines()[-1])
    assert float(safety) == pytest.approx(4 * float(every), rel=0.1)


FIVE = """
[gateway]
site = "xu wei"
id = "gw-01"
data = "data"

[[line]]
name = "cems"
url = "modbus-tcp://127.0.0.1"
timeout = "1 fortnight"

[[instrument]]
name = "stack-1"
line = "cens"
profile = "stack"
every = "5s"
evry = "6s"

[[instrument]]
name = "stack-2"
line = "cems"
profile = "stack"
every = "5s"
points.so2.type = "flaot32"
"""


async def test_five_mistakes_are_five_messages_with_their_lines(tmp_path):
    (tmp_path / "site.toml").write_text(FIVE)
    (tmp_path / "stack.toml").write_text(PROFILE)
    code, out, err = await verb("check", tmp_path / "site.toml")
    said = lines_of(err, tmp_path)
    assert (code, out, len(said)) == (1, "", 6)
    places = [line.partition(": ")[0] for line in said[:5]]
    assert sorted(places) == [f"site.toml:{line}" for line in (10, 14, 17, 24, 3)]
    assert any('instrument "stack-2", points.so2.type' in line and 'did you mean "float32"?' in line for line in said)
    assert said[5] == "site.toml: problems found: 5"


async def test_what_no_request_can_read_is_told_where_the_profile_says_it(tmp_path):
    site = site_file(tmp_path, units=(1, 2), more='points.so2.at = "input 65535"\n')
    profile = PROFILE.replace('"input 2", type = "uint16"', '"input 65535", type = "uint32"')
    (tmp_path / "stack.toml").write_text(profile.replace("equals = 1\n", 'equals = 1\ntype = "bool"\n'))
    code, _, err = await verb("check", site)
    assert code == 1
    said = lines_of(err, tmp_path)
    end = "the value runs over the end of the table."
    assert said[0].startswith(f'stack.toml:5: instrument "stack-1", points.o2: {end}')
    assert said[1].startswith('stack.toml:7: instrument "stack-1", state: a state cannot be of type "bool".')
    assert said[2].startswith(f'site.toml:29: instrument "stack-2", points.so2: {end}')
    assert said[3:] == ["site.toml: problems found: 3"]  # what the profile says is told once


async def test_a_heartbeat_that_no_request_can_read_is_told_where_the_profile_says_it(tmp_path):
    site = site_file(tmp_path)
    beat = 'heartbeat = { at = "holding 65535", type = "uint32", limit = "30s" }\n'
    (tmp_path / "stack.toml").write_text(beat + PROFILE)
    code, _, err = await verb("check", site)
    assert code == 1
    end = "the value runs over the end of the table."
    assert lines_of(err, tmp_path)[0].startswith(f'stack.toml:1: instrument "stack-1", heartbeat: {end}')


async def test_a_node_id_that_no_server_can_have_is_told_too(tmp_path):
    site = site_file(tmp_path, units=())
    opc = (
        '[[line]]\nname = "dcs"\nurl = "opc.tcp://127.0.0.1"\nsecurity = "none"\n'
        '[[instrument]]\nname = "tank-1"\nline = "dcs"\nprofile = "tank"\nevery = "1s"\n'
    )
    site.write_text(site.read_text() + opc)
    (tmp_path / "tank.toml").write_text(
        'protocol = "opcua"\n[points]\n'
        'level = { at = "ns=70000;s=Level", type = "double" }\nflow = { at = "ns=1;s=Flow", type = "double" }\n'
        '[[state]]\nat = "i=9999999999"\nequals = 1\nflag = "fault"\n'
    )
    code, _, err = await verb("check", site)
    said = lines_of(err, tmp_path)
    assert (code, len(said)) == (1, 3)
    assert said[0].startswith('tank.toml:3: instrument "tank-1", points.level: "ns=70000;s=Level" is not an OPC UA')
    assert said[1].startswith('tank.toml:5: instrument "tank-1", state: "i=9999999999" is not an OPC UA node id')


def profile_of(count):
    rows = (f'{"p" * 28}{place:04d} = {{ at = "input {2 * place}", type = "float32" }}' for place in range(count))
    return 'protocol = "modbus"\n[points]\n' + "\n".join(rows)


async def test_an_instrument_whose_snapshot_might_not_fit_a_message_is_refused(tmp_path):
    site = site_file(tmp_path)
    (tmp_path / "stack.toml").write_text(profile_of(700))
    code, _, err = await verb("check", site)
    assert code == 1
    assert 'site.toml:16: instrument "stack-1": its largest snapshot would be 64' in err
    (tmp_path / "stack.toml").write_text(profile_of(600))
    code, out, err = await verb("check", site)
    assert (code, err) == (0, "")
    assert " of 60000 bytes" in out


async def test_an_instrument_whose_description_does_not_fit_a_message_is_refused(tmp_path):
    site = site_file(tmp_path, more=f'title = "{"烟" * 20_000}"\n')
    code, _, err = await verb("check", site)
    assert code == 1
    assert 'site.toml:16: instrument "stack-1": its description (titles, labels, manual) is 60' in err


async def test_warnings_are_shown_and_do_not_fail(tmp_path):
    site = site_file(tmp_path, more='\n[[line]]\nname = "spare"\nurl = "modbus-tcp://127.0.0.2"\n')
    code, out, err = await verb("check", site)
    assert code == 0
    assert lines_of(err, tmp_path) == ['warning: site.toml:23: line "spare": no instrument is on this line']
    assert "2 lines, 1 instruments" in out


async def test_as_json_it_says_the_same(tmp_path):
    site = site_file(tmp_path, more='\n[[line]]\nname = "spare"\nurl = "modbus-tcp://127.0.0.2"\n')
    code, out, err = await verb("check", site, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["result"], told["problems"], told["online"]) == ("ok", [], [])
    assert told["warnings"] == [
        {"file": str(site), "line": 23, "subject": 'line "spare"', "text": "no instrument is on this line"}
    ]
    assert (told["lines"], told["instruments"], told["points"], told["requests"]) == (2, 1, 2, 2)
    assert told["largest"] == {"instrument": "stack-1", "bytes": 285, "allowed": 60_000}

    site.write_text(FIVE)
    code, out, err = await verb("check", site, "--json")
    told = json.loads(out)
    assert (code, err, told["result"], len(told["problems"])) == (1, "", "problem", 5)
    assert {each["file"] for each in told["problems"]} == {str(site)}


@pytest.mark.parametrize("words", [(), ("a.toml", "b.toml"), ("a.toml", "--offline")])
async def test_a_command_that_makes_no_sense_exits_with_2(words):
    code, out, err = await verb("check", *words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: parkgate ")


async def test_a_site_file_that_is_not_there_is_a_problem(tmp_path):
    code, _, err = await verb("check", tmp_path / "gone.toml", "--online")
    assert code == 1
    assert lines_of(err, tmp_path)[0] == "gone.toml: there is no such file; check the path"


async def test_nothing_is_opened_while_the_file_has_problems(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text(FIVE)
    (tmp_path / "stack.toml").write_text(PROFILE)
    monkeypatch.setattr("parkgate.gateway.commands.check.commission", None)
    code, _, _ = await verb("check", tmp_path / "site.toml", "--online")
    assert code == 1


async def test_the_shipped_site_files_pass():
    for name in ("minimal", "everything", "demo"):
        code, _, err = await verb("check", f"config/sites/{name}.toml")
        assert (code, err) == (0, ""), name
