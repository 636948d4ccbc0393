"""Profiles: found, read once, made an instrument's, and what is said about one that is wrong."""

from pathlib import Path

import pytest
from support.sites import PROFILE, SITE, cases, edited

from parkgate.config.flag import Flag
from parkgate.config.load import load_site, read_site

OWN = edited(edited(SITE, '"cems-generic"', '"own.toml"'), "points.co.enabled = false\n", "")

MISTAKES = cases("profile-mistakes")


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES, ids=[new or old for old, new, _ in MISTAKES])
def test_each_mistake_in_a_profile_is_named_with_the_profiles_own_line(said, old, new, expected):
    profile = edited(PROFILE, old, new)
    if "SO2" in new:
        profile = edited(profile, 'points = ["so2"]', "")
    site = edited(OWN, "points.so2.digits = 1\n", "")
    assert said(site, own_toml=profile) == ([expected] if expected else [])


@pytest.mark.parametrize("points", ["", "[points]\n", "points = []\n"])
def test_a_profile_without_points_asks_for_them(said, points):
    (sentence,) = said(edited(OWN, "points.so2.digits = 1\n", ""), own_toml=f'protocol = "modbus"\n{points}')
    assert sentence.endswith('points: needs its points: a table [points], or points = "points.csv"')


def test_everything_wrong_with_a_profile_is_said_at_once_and_once_for_all_its_instruments(said):
    profile = edited(PROFILE, "base = 0", "base = 3")
    profile = edited(profile, '"float32"', '"float33"')
    profile = edited(profile, "scale = 0.01", 'scale = "x"')
    profile = edited(profile, '"maintenance"', '"away"')
    second = OWN[OWN.index("[[instrument]]") : OWN.index('[[instrument]]\nname = "tank-7"')].replace(
        "stack-1", "stack-2"
    )
    assert [each.split(": ")[0] for each in said(OWN + "\n" + second, own_toml=profile)] == [
        "own.toml:4",
        "own.toml:7",
        "own.toml:8",
        "own.toml:14",
    ]


def test_a_single_state_table_asks_for_two_brackets(said):
    profile = edited(PROFILE, "[[state]]", "[state]")
    assert said(OWN, own_toml=profile) == ["own.toml:10: state: must be written with two brackets: [[state]]"]


def loaded(folder: Path, site: str = OWN, profile: str = PROFILE, name: str = "own.toml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(profile, encoding="utf-8")
    (folder / "site.toml").write_text(site, encoding="utf-8")
    return load_site(folder / "site.toml").instruments[0]


def test_a_name_is_looked_for_beside_the_site_then_where_installed_then_among_the_shipped(tmp_path):
    site = edited(edited(SITE, "points.so2.digits = 1\n", ""), "points.co.enabled = false\n", "")
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    installed = tmp_path / "installed"
    installed.mkdir()

    def title() -> str:
        return read_site(tmp_path / "site.toml", installed=installed).site.instruments[0].manual

    assert title().startswith("Parkgate's generic map")
    (installed / "cems-generic.toml").write_text(f'manual = "installed"\n{PROFILE}', encoding="utf-8")
    assert title() == "installed"
    (tmp_path / "cems-generic.toml").write_text(f'manual = "beside"\n{PROFILE}', encoding="utf-8")
    assert title() == "beside"


def test_a_file_ending_toml_is_seen_from_the_site_file(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "mine.toml").write_text(PROFILE, encoding="utf-8")
    assert loaded(tmp_path, edited(OWN, '"own.toml"', '"maps/mine.toml"')).profile == "mine"


def test_a_profile_that_looks_like_toml_but_is_a_picture_is_one_problem(said, tmp_path):
    (tmp_path / "own.toml").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert said(OWN) == ["own.toml:1: this is not UTF-8 text; save the file as UTF-8"]


def test_an_override_replaces_what_it_names_and_keeps_the_rest(tmp_path):
    site = edited(OWN, "points.so2.digits = 1", 'points.so2 = { type = "int32", scale = 0.1, range = [-1, 1] }')
    so2, o2 = loaded(tmp_path, site).points
    assert (so2.type, so2.scale, so2.range, so2.at, so2.factor, so2.digits) == (
        "int32",
        0.1,
        (-1, 1),
        "input 0",
        "a21026",
        2,
    )
    assert (o2.type, o2.invalid) == ("uint16", (0xFFFF,))


def test_an_override_can_break_what_fits_in_the_profile_and_is_told_where_it_did(said):
    site = edited(OWN, "points.so2.digits = 1", 'points.o2.type = "int16"')
    assert said(site, own_toml=PROFILE) == [
        (
            'site.toml:34: instrument "stack-1", points.o2.invalid: 65535 never comes as int16, '
            "which reaches from -32768 to 32767; compare with the manual"
        )
    ]


def test_a_disabled_point_is_gone_and_a_state_that_judged_it_alone_goes_with_it(tmp_path):
    stack = loaded(tmp_path, edited(OWN, "points.so2.digits = 1", "points.so2.enabled = false"))
    assert [point.name for point in stack.points] == ["o2"]
    assert stack.states == ()


def test_a_state_keeps_those_of_its_points_that_are_enabled(tmp_path):
    profile = edited(PROFILE, '["so2"]', '["o2", "so2"]')
    stack = loaded(tmp_path, edited(OWN, "points.so2.digits = 1", "points.so2.enabled = false"), profile)
    assert [(state.points, state.flag) for state in stack.states] == [(("o2",), Flag.MAINTENANCE)]


def test_a_site_can_enable_what_a_profile_disables(tmp_path):
    profile = edited(PROFILE, 'at = "input 0"', 'enabled = false, at = "input 0"')
    assert [
        point.name for point in loaded(tmp_path / "a", edited(OWN, "points.so2.digits = 1\n", ""), profile).points
    ] == ["o2"]
    enabled = loaded(tmp_path / "b", edited(OWN, "points.so2.digits = 1", "points.so2.enabled = true"), profile)
    assert [point.name for point in enabled.points] == ["so2", "o2"]


def test_an_instrument_without_any_point_left_is_a_problem(said):
    site = edited(OWN, "points.so2.digits = 1", "points.so2.enabled = false\npoints.o2.enabled = false")
    assert said(site, own_toml=PROFILE) == [
        'site.toml:34: instrument "stack-1", points: every point is disabled; leave one enabled'
    ]


def test_instruments_of_one_profile_share_the_points_that_nobody_changed(tmp_path):
    second = OWN[OWN.index("[[instrument]]") : OWN.index('[[instrument]]\nname = "tank-7"')].replace(
        "stack-1", "stack-2"
    )
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(f"{OWN}\n{second}".replace("points.so2.digits = 1\n", "", 1), encoding="utf-8")
    first, _, other = load_site(tmp_path / "site.toml").instruments
    assert first.points[1] is other.points[1]
    assert first.points[0] is not other.points[0]
    assert (first.points[0].digits, other.points[0].digits) == (2, 1)
    assert first.states[0] is other.states[0]


def test_the_node_of_an_instrument_fills_the_addresses_of_its_points_and_states(tmp_path):
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    tank = load_site(tmp_path / "site.toml").instruments[1]
    assert tank.points[0].at == "nsu=urn:parkgate:park;s=T7.Level"
    assert {state.at for state in tank.states} == {"nsu=urn:parkgate:park;s=T7.Health"}


def test_a_node_that_makes_no_node_id_is_a_problem(said):
    profile = 'protocol = "opcua"\n[points]\nlevel = { at = "ns=2;i={node}", type = "double" }\n'
    site = edited(SITE, '"tank-opcua"', '"own.toml"')
    assert said(site, own_toml=profile) == [
        (
            'site.toml:40: instrument "tank-7", node: "ns=2;i=T7" is not a node id; '
            'write it like "nsu=urn:tank;s=T1.Level", "ns=2;i=5" or "i=84"'
        )
    ]
    assert said(edited(site, '"T7"', '"7"'), own_toml=profile) == []


def test_a_heartbeat_is_read_as_the_last_of_the_states_and_sets_no_flag_by_itself(tmp_path):
    profile = edited(PROFILE, "base = 0", 'heartbeat = { at = "holding 40", bits = [11, 11], limit = "30s" }')
    stack = loaded(tmp_path, edited(OWN, "points.so2.digits = 1", "points.so2.enabled = false"), profile)
    (beat,) = stack.states
    assert (beat.at, beat.bits, beat.type, beat.equals, beat.points) == ("holding 40", (11, 11), None, (), ())
    assert stack.heartbeat == 30_000
    assert loaded(tmp_path / "without").heartbeat is None


def test_the_node_of_an_instrument_fills_the_address_of_its_heartbeat(tmp_path):
    profile = (
        'protocol = "opcua"\nheartbeat = { at = "ns=2;s={node}.Beat", limit = "10s" }\n'
        '[points]\nlevel = { at = "ns=2;s={node}.Level", type = "double" }\n'
    )
    site = edited(edited(SITE, '"tank-opcua"', '"own.toml"'), "points.co.enabled = false\n", "")
    (tmp_path / "own.toml").write_text(profile, encoding="utf-8")
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    assert load_site(tmp_path / "site.toml").instruments[1].states[-1].at == "ns=2;s=T7.Beat"


def test_a_site_says_for_itself_how_long_a_value_may_stand(tmp_path):
    profile = edited(PROFILE, "digits = 2", 'digits = 2, unchanged = "15min"')
    so2 = loaded(tmp_path / "a", OWN, profile).points[0]
    assert (so2.unchanged, so2.digits) == (900_000, 1)  # a site that says something else keeps it
    site = edited(OWN, "points.so2.digits = 1", 'points.so2.unchanged = "1h"')
    assert loaded(tmp_path / "b", site, profile).points[0].unchanged == 3_600_000


def test_an_opcua_instrument_is_followed_unless_it_is_to_be_read_and_a_modbus_one_is_read(tmp_path):
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    modbus, opcua = load_site(tmp_path / "site.toml").instruments
    assert (modbus.acquisition, opcua.acquisition, opcua.sampling) == ("read", "subscription", None)
    read = edited(SITE, 'node = "T7"', 'node = "T7"\nacquisition = "read"')
    longest = edited(SITE, 'node = "T7"', 'node = "T7"\nsampling = "1s"')
    (tmp_path / "site.toml").write_text(longest, encoding="utf-8")
    assert load_site(tmp_path / "site.toml").instruments[1].sampling == 1_000
    (tmp_path / "site.toml").write_text(read, encoding="utf-8")
    assert load_site(tmp_path / "site.toml").instruments[1].acquisition == "read"


@pytest.mark.parametrize(("written", "meant"), [("0.5", 0.5), ("2", 2.0), ('"2 %"', "2 %"), ('"0.5%"', "0.5 %")])
def test_a_deadband_is_in_the_unit_of_its_point_or_a_part_of_its_range(tmp_path, written, meant):
    site = edited(SITE, 'node = "T7"', f'node = "T7"\npoints.level.deadband = {written}\npoints.level.digits = 1')
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    level = load_site(tmp_path / "site.toml").instruments[1].points[0]
    assert (level.deadband, level.digits) == (meant, 1)


def test_labels_of_the_profile_stand_unless_the_instrument_has_its_own(tmp_path):
    profile = 'labels = { vendor = "X", model = "Y" }\n' + PROFILE
    site = edited(OWN, "unit = 3", 'unit = 3\nlabels = { model = "Z", outlet = "DA001" }')
    assert loaded(tmp_path, site, profile).labels == {"vendor": "X", "model": "Z", "outlet": "DA001"}


def test_a_truth_value_may_stand_for_1_and_0_in_equals(tmp_path):
    profile = edited(edited(PROFILE, "equals = [2, 3]", "equals = true"), "bits = [0, 3]\n", "")
    assert loaded(tmp_path, OWN, edited(profile, "holding 1", "coil 1")).states[0].equals == (1,)


@pytest.mark.parametrize("at", ["input 0", "holding 65535", "input 0x1F", "30001", "365536", "400001", "40041"])
def test_addresses_of_registers_as_people_write_them_are_accepted(tmp_path, at):
    assert loaded(tmp_path, OWN, edited(PROFILE, "input 0", at)).points[0].at == at


@pytest.mark.parametrize("at", ["holding 40.3", "input 0.15", "coil 5", "discrete 0", "10001", "00001", "40041.3"])
def test_addresses_of_bits_as_people_write_them_are_accepted(tmp_path, at):
    profile = edited(edited(PROFILE, "input 0", at), '"float32"', '"bool"')
    assert loaded(tmp_path, OWN, profile).points[0].at == at


NODE_IDS = [
    "i=84",
    "ns=2;i=5",
    "ns=3;s=A;b=c",
    "nsu=urn:tank;s=T1.Level",
    "g=09087e75-8e5e-499b-954f-f2a9603db28a",
    "ns=1;b=M/RbKBsR==",
]


@pytest.mark.parametrize("at", NODE_IDS)
def test_node_ids_of_every_kind_are_accepted(said, at):
    profile = f'protocol = "opcua"\n[points]\nlevel = {{ at = "{at}", type = "string" }}\n'
    site = edited(edited(SITE, '"tank-opcua"', '"own.toml"'), 'node = "T7"\n', "")
    assert said(site, own_toml=profile) == []


@pytest.mark.parametrize("at", ["", "T1.Level", "ns=x;i=1", "i=", "s=", "nsu=;s=a", "x=1", "ns=2", "g=1", "input 0"])
def test_what_is_no_node_id_is_a_problem(said, at):
    profile = f'protocol = "opcua"\n[points]\nlevel = {{ at = "{at}", type = "double" }}\n'
    site = edited(edited(SITE, '"tank-opcua"', '"own.toml"'), 'node = "T7"\n', "")
    (sentence,) = said(site, own_toml=profile)
    assert sentence.startswith(f'own.toml:3: points.level.at: "{at}" is not a node id; write it like')


@pytest.mark.parametrize("attribute", ["scale = 2", "offset = 1", "digits = 1", "range = [0, 1]", "invalid = [1]"])
def test_a_text_has_nothing_of_a_number(said, attribute):
    profile = edited(
        PROFILE, 'type = "uint16", scale = 0.01, unit = "%", invalid = [0xFFFF]', f'type = "string:4", {attribute}'
    )
    key = attribute.split(" ", maxsplit=1)[0]
    assert said(OWN, own_toml=profile) == [f"own.toml:8: points.o2.{key}: does not go with a text; leave it out"]


@pytest.mark.parametrize("kind", ["string", "string:126", "string:999"])
def test_a_text_in_registers_says_how_many(said, kind):
    profile = f'protocol = "modbus"\n[points]\nmodel = {{ at = "input 0", type = "{kind}" }}\n'
    assert said(edited(OWN, "points.so2.digits = 1\n", ""), own_toml=profile) == [
        'own.toml:3: points.model.type: a text needs its length in registers, 1 to 125, as "string:8"'
    ]


def test_bcd_is_no_type_of_opc_ua(said):
    profile = 'protocol = "opcua"\n[points]\nlevel = { at = "i=84", type = "bcd16" }\n'
    site = edited(edited(SITE, '"tank-opcua"', '"own.toml"'), 'node = "T7"\n', "")
    (sentence,) = said(site, own_toml=profile)
    assert sentence.startswith('own.toml:3: points.level.type: unknown type "bcd16"')
