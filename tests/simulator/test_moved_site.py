"""Any site file moved to a test's addresses, and written as TOML that means the same."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.load import load_site
from parkgate.simulator.moved_site import PASSWORD, moved_site, toml

SITE = """
gateway = { site = "s", id = 'g', title = "T", data = "/d", labels = { "a b" = "c" } }
uplink = [{ name = "a", url = "mqtt://a", nobody = "hold", key = "k.pem" }, { name = "b", url = "mqtt://b" }]
line = [{ name = "l", url = "opc.tcp://h:1/x", security = "none" }]
outbox.max_size = "1GiB"
[[instrument]]
name = "i"
line = "l"
profile = "p"
points.so2.alarms = [{ above = 35.5, delay = "1s" }]
points.co.enabled = false
"""
KEYS = st.text(st.characters(codec="utf-8"), min_size=1)
TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.datetimes()
VALUES = st.recursive(SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=3))
TABLES = st.dictionaries(KEYS, VALUES, max_size=3)
NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@given(st.dictionaries(NAMES, TABLES | st.lists(TABLES, min_size=1, max_size=3), max_size=3))
def test_what_is_written_is_read_the_same(tables):
    assert tomllib.loads(toml(tables)) == tables


def test_addresses_are_replaced_and_everything_else_stays():
    moved = moved_site(SITE, {"l": "opc.tcp://127.0.0.1:5"}, "mqtt://h:7", "/t/data", profile=lambda name: f"/x/{name}")
    before, after = tomllib.loads(SITE), tomllib.loads(moved.text)
    assert after["gateway"] == before["gateway"] | {"data": "/t/data"}
    assert after["uplink"] == [{"name": "a", "url": "mqtt://h:7", "nobody": "hold"}]
    assert after["line"] == [{"name": "l", "url": "opc.tcp://127.0.0.1:5", "security": "none"}]
    assert after["instrument"] == [before["instrument"][0] | {"profile": "/x/p"}]
    assert after["outbox"] == before["outbox"]
    assert (moved.source, moved.topics, moved.title) == ("s/g", "park/v1/s/g/#", "T s/g")


def test_a_password_stands_in_the_environment_and_not_in_the_file():
    moved = moved_site(SITE, {"l": "x"}, "mqtts://me%40x:s%2Fcret@h", "/d", gateway_id="other")
    (uplink,) = tomllib.loads(moved.text)["uplink"]
    (variable,) = moved.secrets
    assert moved.secrets[variable] == "s/cret"
    assert (uplink["url"], uplink["username"], uplink["password"]) == ("mqtts://h", "me@x", {"env": variable})
    assert "cret" not in moved.text
    assert moved.source == "s/other"


def test_a_secured_line_is_simulated_without_and_its_user_and_certificates_stay_behind():
    secured = 'security = "Basic256Sha256/Sign", username = "u", password = { env = "P" }, ca = "ca.pem"'
    moved = moved_site(SITE.replace('security = "none"', secured), {"l": "opc.tcp://127.0.0.1:5"}, "mqtt://h", "/d")
    (line,) = tomllib.loads(moved.text)["line"]
    assert line == {"name": "l", "url": "opc.tcp://127.0.0.1:5", "security": "none"}


TEMPLATE = files("parkgate.config").joinpath("sites/demo.toml").read_text(encoding="utf-8")
LINES = {
    "cems": "modbus-tcp://127.0.0.1:41001",
    "gas": "modbus-tcp://127.0.0.1:41002",
    "water": "modbus-tcp://127.0.0.1:41003",
    "tanks": "opc.tcp://127.0.0.1:41004/parkgate",
}


def test_it_loads_with_the_addresses_that_were_given_and_is_otherwise_the_packaged_one(tmp_path):
    made = moved_site(TEMPLATE, LINES, "mqtt://127.0.0.1:41883", str(tmp_path / "data"))
    path = tmp_path / "demo.toml"
    path.write_text(made.text, encoding="utf-8")
    site = load_site(path)
    assert {line.name: line.url for line in site.lines} == LINES
    assert [uplink.url for uplink in site.uplinks] == ["mqtt://127.0.0.1:41883"]
    assert site.gateway.data == tmp_path / "data"
    assert tomllib.loads(made.text)["instrument"] == tomllib.loads(TEMPLATE)["instrument"]


def test_it_says_whose_topics_to_listen_to():
    made = moved_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", "/tmp/data")
    assert (made.source, made.topics, made.secrets) == ("xuwei/gw-01", "park/v1/xuwei/gw-01/#", {})
    assert made.title.endswith("xuwei/gw-01")


def test_another_id_for_the_gateway_is_in_its_file_its_name_and_its_topics():
    made = moved_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", "/tmp/data", gateway_id="demo-1a2b3c")
    assert tomllib.loads(made.text)["gateway"]["id"] == "demo-1a2b3c"
    assert (made.source, made.topics) == ("xuwei/demo-1a2b3c", "park/v1/xuwei/demo-1a2b3c/#")
    assert made.title.endswith("xuwei/demo-1a2b3c")


def test_a_password_in_the_url_goes_through_the_environment_and_never_into_the_file(tmp_path):
    made = moved_site(TEMPLATE, LINES, "mqtts://me%40x:s%3Acret@broker.example:8884", str(tmp_path))
    assert made.secrets == {PASSWORD: "s:cret"}
    assert "cret" not in made.text
    path = tmp_path / "demo.toml"
    path.write_text(made.text, encoding="utf-8")
    (uplink,) = load_site(path).uplinks
    assert (uplink.url, uplink.username) == ("mqtts://broker.example:8884", "me@x")
    assert uplink.password is not None
    assert uplink.password.env == PASSWORD


@given(st.text(st.characters(exclude_categories=("C",)), min_size=1))
def test_any_data_folder_and_any_user_survive_the_writing(text):
    site = tomllib.loads(moved_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", text).text)
    assert site["gateway"]["data"] == text


def test_a_line_that_the_park_did_not_open_is_an_error():
    with pytest.raises(KeyError, match="tanks"):
        moved_site(TEMPLATE, {name: url for name, url in LINES.items() if name != "tanks"}, "mqtt://h:1", "/tmp/x")
