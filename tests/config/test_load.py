"""A site file read: the models it becomes, and the sentence for each mistake."""

from pathlib import Path

import pytest
from support.sites import PROFILE, SITE, cases, edited, problems_of

from parkgate.config.load import Loaded, load_site, read_site
from parkgate.config.problem import Problem, Problems
from parkgate.config.site import Site

NAMES = "will not do; use letters, digits, - and _, 1 to 32 of them"

MISTAKES = cases("site-mistakes")


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES, ids=[new or old for old, new, _ in MISTAKES])
def test_each_mistake_has_its_own_sentence_with_its_line(said, old, new, expected):
    assert said(edited(SITE, old, new)) == [expected]


def test_the_site_without_mistakes_has_none(said):
    assert said(SITE) == []


def test_two_lines_of_one_name_are_one_problem_and_the_line_nobody_has_another(said):
    assert said(edited(SITE, 'name = "dcs"', 'name = "cems"')) == [
        'site.toml:24: line "cems", name: "cems" stands there twice; names must differ',
        'site.toml:39: instrument "tank-7", line: there is no line "dcs"; known: cems',
    ]


def test_an_instrument_on_a_line_of_another_protocol_is_a_problem(said):
    (sentence,) = said(edited(SITE, 'line = "dcs"', 'line = "cems"'))
    assert sentence.startswith('site.toml:41: instrument "tank-7", profile: profile "tank-opcua" is for opcua, ')
    assert sentence.endswith('but line "cems" speaks modbus; choose another of either')


def test_five_different_mistakes_give_five_sentences_at_once(said):
    text = edited(SITE, 'site = "xuwei"', 'site = "xu wei"')
    text = edited(text, "mqtts://broker", "mqtss://broker")
    text = edited(text, 'timeout = "1s"', 'timeout = "soon"')
    text = edited(text, 'line = "cems"', 'line = "cesm"')
    text = edited(text, "points.so2.digits = 1", 'points.so2.factor = "a21206"')
    assert [each.split(": ")[:2] for each in said(text)] == [
        ["site.toml:2", "gateway.site"],
        ["site.toml:9", 'uplink "park", url'],
        ["site.toml:21", 'line "cems", timeout'],
        ["site.toml:30", 'instrument "stack-1", line'],
        ["site.toml:34", 'instrument "stack-1", points.so2.factor'],
    ]


def test_a_wrong_key_does_not_hide_what_else_is_wrong_with_the_same_thing(said):
    text = edited(SITE, 'id = "gw-01"', "id = 7")
    text = edited(text, '"Asia/Shanghai"', '"Mars"')
    text = edited(text, "unit = 3", "unit = 300")
    text = edited(text, 'every = "5s"', 'every = "2h"')
    text = edited(text, "points.co.enabled = false", 'points.co = { enabled = "no", range = [3, 3] }')
    assert [each.split(": ")[1] for each in said(text)] == [
        "gateway.id",
        "gateway.timezone",
        'instrument "stack-1", unit',
        'instrument "stack-1", every',
        'instrument "stack-1", points.co.enabled',
        'instrument "stack-1", points.co.range',
    ]


def test_a_missing_key_is_reported_once_and_nothing_is_said_about_what_stands_for_it(said):
    text = edited(SITE, 'line = "cems"\n', "")
    text = edited(text, 'profile = "cems-generic"\n', "")
    text = edited(text, 'url = "modbus-tcp://192.168.1.10:502"\n', "")
    assert said(text) == [
        'site.toml:18: line "cems", url: is missing; add it',
        'site.toml:27: instrument "stack-1", line: is missing; add it',
        'site.toml:27: instrument "stack-1", profile: is missing; add it',
    ]


BROKEN = [
    ("[gateway", "site.toml:1: this is not TOML: the closing ] of [table] is missing; the line is: [gateway"),
    (f"a = {'[' * 5000}", "site.toml: this is nested too deeply; use fewer brackets in brackets"),
    (f"a = {'9' * 5000}", "site.toml: a number in this file has too many digits; shorten it"),
    (
        "\x00",
        r"site.toml:1: this is not TOML: a line must be key = value, [table] or [[table]]; the line is: \x00",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_file_that_cannot_be_used_at_all_says_why(said, text, expected):
    assert said(text) == [expected]


NO_LINE = "site.toml: line: there is no [[line]]; add one with name and url"
NO_INSTRUMENT = "site.toml: instrument: there is no [[instrument]]; add one with name, line, profile and every"


def test_a_file_without_anything_says_all_that_it_needs(said):
    gateway = "site.toml: the table [gateway] is missing; it needs site, id and data"
    assert sorted(said("")) == sorted([gateway, NO_LINE, NO_INSTRUMENT])
    assert 'site.toml:1: gateway: must be a table, as { key = "value" }' in said("gateway = 5\n")


def test_a_site_without_instruments_or_lines_is_a_problem(said):
    gateway = '[gateway]\nsite = "a"\nid = "b"\ndata = "/d"\n'
    assert said(gateway) == [NO_LINE, NO_INSTRUMENT]
    assert said(f'{gateway}[[line]]\nname = "x"\nurl = "modbus-tcp://h"\n') == [NO_INSTRUMENT]
    assert said(f"line = []\ninstrument = []\n{gateway}") == [
        NO_LINE.replace("toml:", "toml:1:"),
        NO_INSTRUMENT.replace("toml:", "toml:2:"),
    ]


@pytest.mark.parametrize("value", ['"hunter2"', '["hunter2"]', "hunter2", "“hunter2”", '"hunter2'])
def test_a_password_written_out_is_told_where_it_belongs_and_never_shown(said, value):
    (sentence,) = said(edited(SITE, '{ credential = "park-password" }', value))
    assert "hunter2" not in sentence
    assert sentence.startswith("site.toml:11: ")


@pytest.mark.parametrize("key", ["line", "uplink", "instrument"])
def test_a_single_table_where_several_belong_asks_for_two_brackets(said, key):
    text = f'[gateway]\nsite = "a"\nid = "b"\ndata = "/d"\n[{key}]\nname = "x"\n'
    assert f"site.toml:5: {key}: must be written with two brackets: [[{key}]]" in said(text)


def test_bytes_that_are_not_utf_8_are_named_with_their_line(tmp_path):
    (tmp_path / "site.toml").write_bytes('[gateway]\nsite = "a"\ntitle = "徐圩"\n'.encode("gb18030"))
    assert problems_of(tmp_path / "site.toml") == ["site.toml:3: this is not UTF-8 text; save the file as UTF-8"]


def test_a_file_that_is_not_there_and_a_folder_are_problems(tmp_path):
    assert problems_of(tmp_path / "none.toml") == ["none.toml: there is no such file; check the path"]
    (tmp_path / "folder.toml").mkdir()
    assert problems_of(tmp_path / "folder.toml") == [
        "folder.toml: cannot read the file (Is a directory); check the path and its rights"
    ]


def test_a_path_that_cannot_be_a_path_is_a_problem():
    assert problems_of(Path("a\0b")) == [
        "a\0b: cannot read the file (embedded null byte); check the path and its rights"
    ]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    (tmp_path / "site.toml").write_bytes(b"\xef\xbb\xbf" + SITE.replace("\n", "\r\n").encode())
    assert problems_of(tmp_path / "site.toml") == []
    (tmp_path / "site.toml").write_bytes(SITE.replace("unit = 3", "unit = -1").replace("\n", "\r\n").encode())
    assert problems_of(tmp_path / "site.toml") == ['site.toml:31: instrument "stack-1", unit: must be at least 0']


def write(folder: Path, text: str = SITE) -> Path:
    (folder / "site.toml").write_text(text, encoding="utf-8")
    return folder / "site.toml"


def test_a_site_becomes_the_models_that_other_rooms_use(tmp_path):
    site = load_site(write(tmp_path))
    assert isinstance(site, Site)
    assert (site.gateway.site, site.gateway.id, site.gateway.data) == ("xuwei", "gw-01", Path("/var/lib/parkgate"))
    assert [line.name for line in site.lines] == ["cems", "dcs"]
    assert [each.name for each in site.on(site.lines[1])] == ["tank-7"]
    stack = site.instruments[0]
    assert (stack.unit, stack.every, stack.protocol, stack.order, stack.profile) == (
        3,
        5000,
        "modbus",
        "ABCD",
        "cems-generic",
    )
    assert "co" not in [point.name for point in stack.points]
    assert next(point.digits for point in stack.points if point.name == "so2") == 1
    assert (site.lines[0].timeout, site.lines[1].timeout) == (1000, 1000)
    assert (site.outbox.commit, site.outbox.max_size, site.outbox.keep.data) == ("auto", 2 * 1024**3, 30 * 86_400_000)


def test_relative_paths_are_seen_from_the_site_file_and_need_not_exist(tmp_path, monkeypatch):
    text = edited(SITE, '{ credential = "park-password" }', '{ file = "secrets/park" }')
    text = edited(text, 'ca = "ca.pem"', 'ca = "ca.pem"\ncert = "/etc/gw.pem"\nkey = "gw.key"')
    text = edited(text, 'data = "/var/lib/parkgate"', 'data = "data"')
    path = write(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    for each in (path, Path("site.toml")):
        site = load_site(each)
        uplink = site.uplinks[0]
        assert (uplink.ca, uplink.cert, uplink.key) == (tmp_path / "ca.pem", Path("/etc/gw.pem"), tmp_path / "gw.key")
        assert uplink.password is not None
        assert uplink.password.file == tmp_path / "secrets/park"
        assert site.gateway.data == tmp_path / "data"


def test_the_longest_data_path_that_fits_the_socket_is_accepted(tmp_path):
    path = write(tmp_path, edited(SITE, '"/var/lib/parkgate"', f'"/{"d" * 86}"'))
    assert len(f"{load_site(path).gateway.data}/control.sock") == 100


def test_two_instruments_of_one_unit_are_a_warning_and_the_site_is_usable(tmp_path):
    second = '[[instrument]]\nname = "stack-2"\nline = "cems"\nunit = 3\nprofile = "cems-generic"\nevery = "5s"\n'
    loaded = read_site(write(tmp_path, SITE + second))
    assert isinstance(loaded, Loaded)
    assert loaded.warnings == (
        Problem(
            tmp_path / "site.toml",
            46,
            'instrument "stack-2", unit',
            'instrument "stack-1" on line "cems" has unit 3 too; check the unit if they are two devices',
        ),
    )


def test_what_is_allowed_but_odd_is_a_warning(tmp_path):
    text = SITE[: SITE.index("[[uplink]]")] + SITE[SITE.index("[outbox]") :]
    text += '[[line]]\nname = "x"\nurl = "modbus-tcp://h"\n'
    loaded = read_site(write(tmp_path, text))
    assert [str(each).removeprefix(f"{tmp_path}/") for each in loaded.warnings] == [
        "site.toml: there is no [[uplink]]: values are kept here and sent nowhere",
        'site.toml:36: line "x": no instrument is on this line',
    ]


def test_problems_print_one_a_line_and_keep_their_parts(tmp_path):
    with pytest.raises(Problems) as caught:
        load_site(write(tmp_path, edited(SITE, "unit = 3", "unit = 300\nutin = 1")))
    first, second = caught.value.problems
    assert (first.file, first.line, first.subject) == (tmp_path / "site.toml", 31, 'instrument "stack-1", unit')
    assert str(caught.value) == f"{first}\n{second}"
    assert str(second).startswith(f"{tmp_path}/site.toml:32: ")


def test_sentences_come_in_chinese_too(said, monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    (sentence,) = said(edited(SITE, 'every = "5s"', 'every = "9h"'))
    assert sentence == 'site.toml:33: 仪表 "stack-1", every: 应在 5 ms 到 1 h 之间'


def test_what_cannot_be_printed_is_shown_escaped_and_long_values_are_cut(said):
    escape = r"\u001b[31m"
    (sentence,) = said(edited(SITE, 'line = "cems"', f'line = "{escape}{"x" * 100}"'))
    assert "\x1b" not in sentence
    assert sentence == f'site.toml:30: instrument "stack-1", line: "\\x1b[31m{"x" * 51}…" {NAMES}'


def test_a_line_that_is_open_already_is_not_opened_again_unless_the_profiles_allow_it(said):
    site = edited(
        SITE,
        'profile = "cems-generic"\nevery = "5s"\npoints.so2.digits = 1\npoints.co.enabled = false\n',
        'profile = "own"\nevery = "5s"\n',
    )
    site += '\n[[line]]\nname = "again"\nurl = "modbus-tcp://192.168.1.10"\n'
    (sentence,) = said(site, own_toml=PROFILE)
    assert sentence == (
        'site.toml:44: line "again", url: line "cems" opens 192.168.1.10:502 already; put the instruments on that '
        "line, or say connections = 2 in the profile if the manual allows so many"
    )
    assert said(site, own_toml=f"connections = 2\n{PROFILE}") == []


def test_a_serial_port_is_opened_by_one_line(said):
    serial = edited(SITE, "modbus-tcp://192.168.1.10:502", "modbus-rtu:///dev/ttyS1")
    serial += '\n[[line]]\nname = "again"\nurl = "modbus-rtu:///dev/ttyS1"\n'
    (sentence,) = said(serial)
    assert sentence.endswith('url: line "cems" opens /dev/ttyS1 already; put the instruments on that line')


def test_the_statistics_of_a_site_and_of_an_instrument_are_read_and_have_the_figures_of_hj_212_and_hj_76(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(edited(SITE, "points.co.enabled = false", 'statistics = ["1h", "5min"]') +
                    '\n[statistics]\nperiod = "5min"\n')  # fmt: skip
    site = load_site(path)
    assert [each.statistics for each in site.instruments] == [("1h", "5min"), True]
    rules = site.statistics
    assert (rules.samples, rules.minutes, rules.hours, rules.period) == (12, 45, 20, 300_000)
    path.write_text(edited(SITE, "points.co.enabled = false", "statistics = false"))
    assert load_site(path).instruments[0].statistics is False
