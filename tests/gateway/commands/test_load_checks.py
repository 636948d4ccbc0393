"""`parkgate check` on a line that is overbooked: who does not fit, by how much, and what to do."""

import json

import pytest
from support.cabinet import site_file, verb

SITE = """\
[gateway]
site = "xuwei"
id = "gw-01"
data = "data"

[[uplink]]
name = "park"
url = "mqtt://127.0.0.1:1"

[[line]]
name = "rs485-1"
url = "{url}"
{line}
"""
INSTRUMENT = """
[[instrument]]
name = "meter-{n}"
line = "rs485-1"
unit = {n}
profile = "meter"
every = "{every}"
"""


def lay(folder, *every, url="modbus-rtu:///dev/ttyS1", line="", count=20):
    """A site of one line and an instrument of one request a period: 82.5 ms with 20 registers at 9600 baud."""
    rows = "\n".join(f'p{n} = {{ at = "input {n}", type = "uint16" }}' for n in range(count))
    (folder / "meter.toml").write_text(f'protocol = "modbus"\n[points]\n{rows}\n')
    text = SITE.format(url=url, line=line) + "".join(
        INSTRUMENT.format(n=n, every=each) for n, each in enumerate(every, 1)
    )
    (folder / "site.toml").write_text(text)
    return folder / "site.toml"


async def checked(site):
    code, out, err = await verb("check", site)
    return code, out.replace(f"{site.parent}/", ""), err.replace(f"{site.parent}/", "")


async def test_a_line_with_time_left_says_how_much_it_needs(tmp_path):
    code, out, err = await checked(lay(tmp_path, "200ms", "500ms"))
    assert (code, err) == (0, "")
    assert out.startswith("site.toml: no problems\n")
    assert out.endswith('\n  line "rs485-1": load 57.8 % at 9600 baud (2 instruments, 2 requests a cycle)\n')


async def test_the_instrument_that_does_not_fit_is_named_with_its_line_and_figures_and_check_fails(tmp_path):
    code, out, err = await checked(lay(tmp_path, "60s", "200ms", "200ms", "200ms"))
    told = err.splitlines()
    assert (code, len(told)) == (1, 2)
    assert told[0] == (
        'site.toml:36: instrument "meter-4": does not fit on line "rs485-1": its requests (1) take 82.5 ms every '
        "200 ms, that is 41.2 % of the time, and 82.5 % is taken by what is read as often or oftener; "
        "make every longer or the baudrate higher, read fewer points, or use a second line"
    )
    assert told[1].startswith('site.toml:15: instrument "meter-1": does not fit on line "rs485-1"')
    assert "and 123.8 % is taken" in told[1]
    assert out.startswith("site.toml: problems found: 2\n")
    assert 'line "rs485-1": load 123.9 % at 9600 baud (4 instruments, 4 requests a cycle)' in out


async def test_what_does_not_fit_at_9600_baud_does_at_115200(tmp_path):
    code, out, err = await checked(lay(tmp_path, "60s", "200ms", "200ms", "200ms", line="baudrate = 115200"))
    assert (code, err) == (0, "")
    assert "at 115200 baud" in out


async def test_a_line_that_is_nearly_full_is_a_warning(tmp_path):
    code, out, err = await checked(lay(tmp_path, "100ms", line='timeout = "300ms"'))
    assert code == 0
    assert err == (
        'warning: site.toml:10: line "rs485-1": its load is 82.5 %, and an instrument that does not answer costs up to '
        "300 ms more each turn; make every longer or the baudrate higher, read fewer points, or use a second line\n"
    )
    assert "no problems" in out


async def test_who_holds_up_another_with_one_request_is_a_warning(tmp_path):
    site = lay(tmp_path, "60s", count=125)
    (tmp_path / "quick.toml").write_text('protocol = "modbus"\n[points]\ngas = { at = "input 0", type = "uint16" }\n')
    quick = INSTRUMENT.format(n=2, every="250ms").replace('"meter"', '"quick"')
    site.write_text(site.read_text() + quick)
    code, _, err = await checked(site)
    assert code == 0
    assert err.startswith(
        'warning: site.toml:15: instrument "meter-1": one of its requests takes 301.3 ms, longer than the 250 ms in '
        'which instrument "meter-2" on line "rs485-1" is to be read; make every longer'
    )


async def test_as_json_it_is_a_number_for_each_line_and_instrument(tmp_path):
    code, out, _ = await verb("check", lay(tmp_path, "100ms", "200ms"), "--json")
    told = json.loads(out)
    assert (code, told["result"]) == (1, "problem")
    assert [(each["line"], each["subject"]) for each in told["problems"]] == [(22, 'instrument "meter-2"')]
    assert told["loads"] == [
        {
            "line": "rs485-1",
            "percent": 123.8,
            "fits": False,
            "instruments": {
                "meter-1": {"requests": 1, "ms": 82.5, "percent": 82.5, "fits": True},
                "meter-2": {"requests": 1, "ms": 82.5, "percent": 41.2, "fits": False},
            },
        }
    ]


async def test_an_overbooked_line_does_not_keep_the_commissioning_check_from_looking_at_the_rest(tmp_path):
    code, out, err = await verb("check", lay(tmp_path, "50ms", url="modbus-rtu-over-tcp://127.0.0.1:1"), "--online")
    assert code == 1
    assert 'instrument "meter-1": does not fit' in err
    assert "data folder" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [("", None), ('pause = "95ms"', 'line "rs485-1": load 100.0 % (1 instruments, 1 requests a cycle)')],
)
async def test_a_modbus_tcp_line_has_a_load_only_where_pauses_or_answers_are_told(tmp_path, line, said):
    code, out, err = await checked(lay(tmp_path, "105ms", url="modbus-tcp://127.0.0.1", line=line))
    assert code == 0
    assert ("load" in out) == (said is not None)
    if said:
        assert said in out
        assert err.endswith("; make every longer, read fewer points, or use a second line\n")


async def test_a_line_of_modbus_tcp_that_is_overbooked_is_not_told_of_a_baudrate(tmp_path):
    code, _, err = await checked(lay(tmp_path, "100ms", url="modbus-tcp://127.0.0.1", line='pause = "95ms"'))
    assert code == 1
    assert "does not fit" in err
    assert "baudrate" not in err


async def test_a_site_of_modbus_tcp_says_nothing_of_load(tmp_path):
    _, out, _ = await verb("check", site_file(tmp_path, units=(1, 2, 3)), "--json")
    assert json.loads(out)["loads"] == []
