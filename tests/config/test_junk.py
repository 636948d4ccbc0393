"""Whatever a file holds, reading it gives a site or problems with sentences, and nothing else."""

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.sites import PROFILE, SITE, edited

from parkgate.config.load import read_site
from parkgate.config.problem import Problems
from parkgate.config.site import Site

OWN = edited(edited(SITE, '"cems-generic"', '"own.toml"'), "points.co.enabled = false\n", "")
TABLE = "name,at,type,range,digits,invalid,enabled\nso2,input 0,float32,0..300,2,0xFFFF,yes\no2,input 4,uint16,,,,\n"
ODD = r"""
0|-1|1.5|1e999|nan|true|""|"a"|"徐圩"|"\u0000"|[]|[[]]|[1]|{}|{a=1}|99999999999999999999|1979-05-27|07:32:00|"5s"
"modbus-tcp://h"|"opc.tcp://["|"mqtt://h:x"|"//"|[{}]|"none"|".toml"|"{node}"|"{0}"|"../.."|[nan, inf]|[0, 1, 2]
{ so2 = { range = 3 } }|"/\u0000.toml"|-9223372036854775809|"int16"|"holding 0.3"|"ns=2;s={node}"|"1e999s"|"bcd16"
"""
VALUES = st.sampled_from(
    [*ODD.strip().replace("\n", "|").split("|"), f'"{"x" * 300}"', f'"{"y" * 5000}.toml"', "9" * 400]
)


def outcome(site: bytes, profile: bytes = PROFILE.encode(), table: bytes = TABLE.encode()) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "site.toml").write_bytes(site)
        (path / "own.toml").write_bytes(profile)
        (path / "points.csv").write_bytes(table)
        try:
            loaded = read_site(path / "site.toml", installed=path / "installed")
        except Problems as found:
            problems = found.problems
        else:
            assert isinstance(loaded.site, Site)
            return
    assert problems
    assert all(each.text and (each.line is None or each.line >= 1) for each in problems)


@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"a = " + b"[" * 2000)
def test_random_bytes_are_a_site_or_problems(junk):
    outcome(junk)


@given(st.binary(max_size=300))
def test_a_profile_of_random_bytes_is_a_site_or_problems(junk):
    outcome(OWN.encode(), profile=junk)


@given(st.binary(max_size=200) | st.text('name,at\n"0.5x\r', max_size=60).map(str.encode))
def test_a_table_of_random_bytes_is_a_site_or_problems(junk):
    outcome(OWN.encode(), b'protocol = "modbus"\npoints = "points.csv"\n', junk)
    outcome(OWN.encode(), b'protocol = "modbus"\npoints = "points.csv"\n', b"name,at,type,range,invalid\n" + junk)


@st.composite
def mutated(draw, text):
    """Change a few lines of a file that was right: other values, other keys, lines lost, doubled or cut."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        kind = draw(st.sampled_from(["value", "key", "lost", "doubled", "cut", "moved"]))
        if kind == "value" and "=" in line:
            lines[index] = line.split("=")[0] + "= " + draw(VALUES)
        elif kind == "key" and "=" in line:
            lines[index] = draw(st.text("abcd_.-\"'", max_size=4)) + line
        elif kind == "lost":
            lines[index] = ""
        elif kind == "doubled":
            lines.insert(index, line)
        elif kind == "cut":
            lines[index] = line[: draw(st.integers(0, len(line)))]
        else:
            lines.insert(draw(st.integers(0, len(lines))), line)
    return "\n".join(lines).encode()


@given(mutated(OWN))
@settings(max_examples=300, deadline=None)
def test_a_site_with_mistakes_is_a_site_or_problems(text):
    outcome(text)


@given(mutated(PROFILE))
@settings(max_examples=200, deadline=None)
def test_a_profile_with_mistakes_is_a_site_or_problems(text):
    outcome(OWN.encode(), profile=text)


@given(st.sampled_from([key for line in OWN.splitlines() if "=" in line for key in [line.split(" =")[0]]]), VALUES)
@settings(max_examples=300, deadline=None)
def test_any_value_of_any_key_is_a_site_or_problems(key, value):
    lines = [f"{key} = {value}" if line.startswith(f"{key} =") else line for line in OWN.splitlines()]
    outcome("\n".join(lines).encode())


@given(
    st.sampled_from(["at", "type", "scale", "range", "digits", "invalid", "order", "factor", "as", "unit", "name"]),
    VALUES,
)
@settings(max_examples=300, deadline=None)
def test_any_value_of_any_attribute_of_a_point_is_a_site_or_problems(attribute, value):
    outcome(edited(OWN, "points.so2.digits = 1", f"points.so2.{attribute} = {value}").encode())


@given(st.sampled_from(["at", "bits", "equals", "flag", "type", "points"]), VALUES)
@settings(max_examples=200, deadline=None)
def test_any_value_of_any_attribute_of_a_state_is_a_site_or_problems(attribute, value):
    lines = [line for line in PROFILE.splitlines() if not line.startswith(f"{attribute} =")]
    outcome(OWN.encode(), "\n".join([*lines, f"{attribute} = {value}"]).encode())
