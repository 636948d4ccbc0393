"""Any site file moved to a test's addresses, and written as TOML that means the same."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from parkgate.simulator.moved_site import moved_site, toml

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
