"""`parkgate trust`: a person sees a server's certificate and decides; a script knows its fingerprint."""

import asyncio
import io
import json
import stat
from datetime import timedelta

import pytest
from asyncua import ua
from support.cabinet import Running, verb
from support.opcua_secured import OURS, POLICIES, Shown, Users, gateway, secured

from parkgate.drivers.opcua import certificates
from parkgate.drivers.opcua.trust import grouped

GOOD = Shown(host="plc-7")
OTHER = Shown()
PROFILE = 'protocol = "opcua"\n[points]\nlevel = { at = "nsu=urn:test:park;s=level", type = "double" }\n'


@pytest.fixture
def site(tmp_path):
    """Write a site whose line "dcs" is at a URL; its gateway has its key already."""

    def write(url, security="Basic256Sha256/SignAndEncrypt", more=""):
        (tmp_path / "data").mkdir(exist_ok=True)
        gateway(tmp_path / "data")
        (tmp_path / "tank.toml").write_text(PROFILE, encoding="utf-8")
        path = tmp_path / "site.toml"
        path.write_text(
            f'[gateway]\nsite = "xuwei"\nid = "gw-01"\ndata = "{tmp_path}/data"\n'
            f'[[line]]\nname = "dcs"\nurl = "{url}"\nsecurity = "{security}"\ntimeout = "5s"\n{more}\n'
            '[[instrument]]\nname = "tank-1"\nline = "dcs"\nprofile = "tank"\nevery = "1s"\n',
            encoding="utf-8",
        )
        return path

    return write


@pytest.fixture
def says(monkeypatch):
    """Let a person answer the question."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def pinned(tmp_path):
    return certificates.pinned(gateway(tmp_path / "data"), "dcs")


async def online(site):
    """Give what the commissioning check says of the line and of the instrument."""
    _, out, _ = await verb("check", site, "--online", "--json")
    said = {each["what"]: each for each in json.loads(out)["online"]}
    return said["line"], said["instrument"]


@pytest.mark.parametrize("answer", ["y\n", "YES\n", "是\n"])
async def test_a_person_who_compared_the_fingerprint_says_yes_and_it_is_trusted(site, says, answer, tmp_path):
    says(answer)
    async with secured(GOOD) as park:
        path = site(park.url)
        code, out, err = await verb("trust", path, "dcs")
        assert park.sessions == 0
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert f"SHA-256 {grouped(GOOD.facts.fingerprint)}" in words
    assert f"SHA-1 {grouped(GOOD.facts.thumbprint)}" in words
    assert "subject CN=test server" in words
    assert f"valid {GOOD.facts.begins:%Y-%m-%d} to {GOOD.facts.ends:%Y-%m-%d}" in words
    assert "application urn:test:server" in words
    assert "note: the server's certificate is for plc-7, not for 127.0.0.1" in words
    assert "Trust it? (y/N)" in words
    own = certificates.facts(certificates.own(gateway(tmp_path / "data"), "h")[0])
    assert f"this gateway too: {tmp_path}/data/opcua/own.der, SHA-256 {grouped(own.fingerprint)}" in words
    assert pinned(tmp_path) == GOOD.facts


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yo\n"])
async def test_whoever_does_not_say_yes_trusts_nothing(site, says, answer, tmp_path):
    says(answer)
    async with secured(GOOD) as park:
        code, out, err = await verb("trust", site(park.url), "dcs")
    assert (code, err) == (1, "not trusted\n")
    assert "Trust it?" in out
    assert pinned(tmp_path) is None


async def test_it_speaks_chinese(site, says, monkeypatch, tmp_path):
    monkeypatch.setenv("PARKGATE_LANG", "zh")
    says("y\n")
    async with secured(GOOD) as park:
        path = site(park.url)
        _, before, _ = await verb("trust", path)
        code, out, _ = await verb("trust", path, "dcs")
    assert "尚未信任任何服务器：parkgate trust SITE dcs" in before
    assert code == 0
    assert "请与服务器上显示的指纹核对。信任它吗？(y/N)" in out
    assert "已为通道 dcs 信任" in out
    assert "有效期" in out


async def test_a_refused_line_says_the_command_and_after_it_reads(site, says, tmp_path):
    says("y\n")
    async with secured(GOOD) as park:
        path = site(park.url)
        refused, _ = await online(path)
        await verb("trust", path, "dcs")
        _, reads = await online(path)
    assert grouped(GOOD.facts.fingerprint) in refused["found"]
    assert "parkgate trust SITE dcs" in refused["next"]
    assert reads["points"]["level"]["value"] == 2.5


async def test_a_script_trusts_by_the_fingerprint_it_knows_however_it_is_grouped(site, tmp_path):
    digest = GOOD.facts.fingerprint.lower()
    with_colons = ":".join(digest[place : place + 2] for place in range(0, 64, 2))
    async with secured(GOOD) as park:
        path = site(park.url)
        wrong, out, err = await verb("trust", path, "dcs", "--fingerprint", OTHER.facts.fingerprint)
        assert (wrong, pinned(tmp_path)) == (1, None)
        right, said, _ = await verb("trust", path, "dcs", "--fingerprint", with_colons)
        again, _, _ = await verb("trust", path, "dcs", "--fingerprint", grouped(digest))
        asked, already, _ = await verb("trust", path, "dcs")
    assert f"does not have the fingerprint given, {grouped(OTHER.facts.fingerprint)}" in err
    assert "Trust it?" not in out + said + already
    assert (right, again, asked) == (0, 0, 0)
    assert "it is trusted already" in already
    assert pinned(tmp_path) == GOOD.facts


async def test_a_renewed_certificate_is_shown_beside_the_trusted_one_and_replaces_it_only_with_a_yes(
    site, says, tmp_path
):
    async with secured(OTHER) as park:
        path = site(park.url)
        certificates.pin(gateway(tmp_path / "data"), "dcs", GOOD.certificate)
        says("n\n")
        _, out, _ = await verb("trust", path, "dcs")
        assert pinned(tmp_path) == GOOD.facts
        says("y\n")
        await verb("trust", path, "dcs")
    assert f"another one: SHA-256 {grouped(GOOD.facts.fingerprint)}" in out
    assert pinned(tmp_path) == OTHER.facts


async def test_an_expired_certificate_says_so_before_the_question(site, says, tmp_path):
    old = Shown(begins=timedelta(days=-400), ends=timedelta(days=-35))
    says("y\n")
    async with secured(old) as park:
        code, out, _ = await verb("trust", site(park.url), "dcs")
    assert f"note: the server's certificate expired on {old.facts.ends:%Y-%m-%d}" in out
    assert out.index("note:") < out.index("Trust it?")
    assert (code, pinned(tmp_path)) == (0, old.facts)


async def test_what_is_trusted_can_be_taken_back(site, tmp_path):
    path = site("opc.tcp://127.0.0.1:1")
    certificates.pin(gateway(tmp_path / "data"), "dcs", GOOD.certificate)
    code, out, _ = await verb("trust", path, "dcs", "--remove")
    again, _, err = await verb("trust", path, "dcs", "--remove")
    assert (code, again, pinned(tmp_path)) == (0, 1, None)
    assert "no longer trusted for line dcs" in out
    assert "no certificate was trusted for line dcs" in err


async def test_the_list_shows_our_own_certificate_and_each_lines_trust_and_never_a_key(site, tmp_path):
    more = 'ca = "plant.pem"\n[[line]]\nname = "mirror"\nurl = "opc.tcp://h"\nsecurity = "Aes128_Sha256_RsaOaep/Sign"\n'
    more += '[[line]]\nname = "open"\nurl = "opc.tcp://h2"\nsecurity = "none"\n'
    path = site("opc.tcp://127.0.0.1:1", more=more)
    own = gateway(tmp_path / "data")
    certificates.pin(own, "dcs", GOOD.certificate)
    code, out, err = await verb("trust", path)
    machine, told, _ = await verb("trust", path, "--json")
    assert (code, machine, err) == (0, 0, "")
    words = " ".join(out.split())
    assert f"{tmp_path}/data/opcua/own.der" in words
    assert "application urn:parkgate:xuwei:gw-01" in words
    assert f"trusted: servers that {tmp_path}/plant.pem vouches for trusted: this certificate" in words
    assert grouped(GOOD.facts.fingerprint) in words
    assert "no server is trusted yet: parkgate trust SITE mirror" in words
    assert "open" not in words.split()
    document = json.loads(told)
    assert document["own"]["applications"] == ["urn:parkgate:xuwei:gw-01"]
    assert [(each["line"], each["trusted"] and each["trusted"]["sha256"]) for each in document["lines"]] == [
        ("dcs", GOOD.facts.fingerprint),
        ("mirror", None),
    ]
    secret = OURS.pem.decode().splitlines()[1]
    assert "PRIVATE" not in out + told
    assert secret not in out + told


async def test_the_first_use_makes_the_key_for_the_agent_alone_and_the_list_shows_the_same_ever_after(site, tmp_path):
    path = site("opc.tcp://127.0.0.1:1")
    key = tmp_path / "data/opcua/own.key"
    key.unlink()
    (_, first, _), (_, second, _) = await verb("trust", path, "--json"), await verb("trust", path, "--json")
    assert json.loads(first) == json.loads(second)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


async def test_json_asks_nobody_and_tells_whether_it_is_trusted(site, tmp_path):
    async with secured(GOOD) as park:
        path = site(park.url)
        before, out, _ = await verb("trust", path, "dcs", "--json")
        after, told, _ = await verb("trust", path, "dcs", "--json", "--fingerprint", GOOD.facts.fingerprint)
    assert (before, after) == (1, 0)
    assert [(json.loads(each)["trusted"], json.loads(each)["before"]) for each in (out, told)] == [
        (False, None),
        (True, None),
    ]
    assert json.loads(out)["certificate"]["sha256"] == GOOD.facts.fingerprint


async def test_a_server_that_is_away_or_does_not_offer_it_is_said_and_nothing_trusted(site, tmp_path):
    away, _, err = await verb("trust", site("opc.tcp://127.0.0.1:1"), "dcs")
    machine, out, _ = await verb("trust", site("opc.tcp://127.0.0.1:1"), "dcs", "--json")
    async with secured(GOOD, POLICIES["Basic256Sha256/Sign"], ua.SecurityPolicyType.NoSecurity) as park:
        lesser, _, said = await verb("trust", site(park.url), "dcs")
    assert (away, machine, lesser) == (1, 1, 1)
    assert "the server does not answer" in err
    assert json.loads(out)["fault"]["next"] == "Check that the server runs, its address and port."
    assert "does not offer Basic256Sha256/SignAndEncrypt, but Basic256Sha256/Sign, none" in said


async def test_where_there_is_no_security_there_is_nothing_to_trust(site):
    path = site("opc.tcp://127.0.0.1:1", security="none")
    listed, out, _ = await verb("trust", path)
    asked, _, err = await verb("trust", path, "dcs")
    assert (listed, asked) == (0, 1)
    assert "nothing to trust" in out
    assert "it has no security" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], 'there is no line "nowhere"'),
        (["--remove"], "name the line"),
        (["--fingerprint", "0" * 64], "name the line"),
        (["dcs", "--fingerprint", "12 34"], "64 digits"),
        (["dcs", "--fingerprint", "G" * 64], "64 digits"),
        (["dcs", "--remove", "--fingerprint", "0" * 64], "not allowed with"),
    ],
)
async def test_what_makes_no_sense_is_a_usage_error(site, words, said):
    code, _, err = await verb("trust", site("opc.tcp://127.0.0.1:1"), *words)
    assert code == 2
    assert said in err


async def test_a_folder_that_may_not_be_written_says_as_whom_to_run(site, tmp_path):
    async with secured(GOOD) as park:
        path = site(park.url)
        (tmp_path / "data/opcua/trusted").write_text("a file")
        code, _, err = await verb("trust", path, "dcs", "--fingerprint", GOOD.facts.fingerprint)
    assert code == 1
    assert "sudo -u parkgate parkgate trust" in err


async def test_the_agent_reads_once_a_person_has_trusted_the_server(site, says, tmp_path):
    says("y\n")
    async with secured(GOOD, users=Users()) as park:
        path = site(park.url)
        async with Running(path) as agent:
            told = await agent.until(lambda told: told["lines"][0]["fault"])
            assert "parkgate trust SITE dcs" in told["lines"][0]["fault"]
            await verb("trust", path, "dcs")
            await agent.until(lambda told: told["instruments"][0]["state"] == "answering")
            await asyncio.wait_for(agent.stop(), 30)
