"""The demo's site file with its real addresses is a site file that loads."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.load import load_site
from parkgate.simulator.demo_site import PASSWORD, demo_site

TEMPLATE = files("parkgate.config").joinpath("sites/demo.toml").read_text(encoding="utf-8")
LINES = {
    "cems": "modbus-tcp://127.0.0.1:41001",
    "gas": "modbus-tcp://127.0.0.1:41002",
    "water": "modbus-tcp://127.0.0.1:41003",
    "tanks": "opc.tcp://127.0.0.1:41004/parkgate",
}


def test_it_loads_with_the_addresses_that_were_given_and_is_otherwise_the_packaged_one(tmp_path):
    made = demo_site(TEMPLATE, LINES, "mqtt://127.0.0.1:41883", str(tmp_path / "data"))
    path = tmp_path / "demo.toml"
    path.write_text(made.text, encoding="utf-8")
    site = load_site(path)
    assert {line.name: line.url for line in site.lines} == LINES
    assert [uplink.url for uplink in site.uplinks] == ["mqtt://127.0.0.1:41883"]
    assert site.gateway.data == tmp_path / "data"
    before, after = tomllib.loads(TEMPLATE), tomllib.loads(made.text)
    assert after["instrument"] == before["instrument"]
    assert made.text.count("\n") == TEMPLATE.count("\n")


def test_it_says_whose_topics_to_listen_to():
    made = demo_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", "/tmp/data")
    assert (made.source, made.topics, made.secrets) == ("xuwei/gw-01", "park/v1/xuwei/gw-01/#", {})
    assert made.title.endswith("xuwei/gw-01")


def test_another_id_for_the_gateway_is_in_its_file_its_name_and_its_topics():
    made = demo_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", "/tmp/data", gateway_id="demo-1a2b3c")
    assert tomllib.loads(made.text)["gateway"]["id"] == "demo-1a2b3c"
    assert (made.source, made.topics) == ("xuwei/demo-1a2b3c", "park/v1/xuwei/demo-1a2b3c/#")
    assert made.title.endswith("xuwei/demo-1a2b3c")


def test_a_password_in_the_url_goes_through_the_environment_and_never_into_the_file(tmp_path):
    made = demo_site(TEMPLATE, LINES, "mqtts://me%40x:s%3Acret@broker.example:8884", str(tmp_path))
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
    site = tomllib.loads(demo_site(TEMPLATE, LINES, "mqtt://127.0.0.1:1", text).text)
    assert site["gateway"]["data"] == text


def test_a_line_that_the_park_did_not_open_is_an_error():
    with pytest.raises(KeyError, match="tanks"):
        demo_site(TEMPLATE, {name: url for name, url in LINES.items() if name != "tanks"}, "mqtt://h:1", "/tmp/x")
