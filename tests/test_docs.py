"""The documents are true: their files load, their messages fit the schemas, their commands exist, their code runs."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkgate.config import profile, site
from parkgate.config.flag import Flag
from parkgate.config.load import load_site
from parkgate.config.resolve import Entry
from parkgate.gateway.messages import models
from parkgate.gateway.messages.schema import SCHEMAS, asyncapi

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERBS = PROJECT["entry-points"]["parkgate.commands"]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
READMES = ("README.md", "README.zh-CN.md")
TRANSLATED = (
    READMES,
    ("docs/technician.md", "docs/technician.zh-CN.md"),
    ("docs/developer.md", "docs/developer.zh-CN.md"),
    ("docs/simulator.md", "docs/simulator.zh-CN.md"),
    ("docs/instruments.md", "docs/instruments.zh-CN.md"),
)
RECORDS = sorted((ROOT / "docs/decisions").glob("*.md"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """Give the code blocks of a document that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def rows(name):
    """Give the rows of all tables of a document, as lists of cells."""
    lines = [line for line in text(name).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def label(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_a_link_leads_to_a_file(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_a_file_of_ours_that_is_named_is_there(document):
    rooms = r"(?:config|drivers|gateway|simulator|systemd|tests|benchmarks|docs)/[\w./-]*\w"
    for name in re.findall(rf"`({rooms})`", document.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or name == "benchmarks/results.json", name


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_a_make_target_that_is_named_is_there(document):
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert named - targets == set()


@pytest.mark.parametrize("names", TRANSLATED, ids=lambda names: names[0])
def test_a_translation_has_the_same_sections_and_code(names):
    def outline(name):
        prose = re.sub(r"^```.*?^```$", "", text(name), flags=re.MULTILINE | re.DOTALL)
        return [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]

    def code(name):
        """Give all code, comments left out: those are translated."""
        return [re.sub(r"(?:^|\s+)# ?.*$", "", block, flags=re.MULTILINE)
                for block in re.findall(r"^```\w+\n.*?^```$", text(name), re.MULTILINE | re.DOTALL)]  # fmt: skip

    original, translation = names
    assert outline(original) == outline(translation)
    assert code(original) == code(translation)
    assert [len(row) for row in rows(original)] == [len(row) for row in rows(translation)]


@pytest.mark.parametrize("name", READMES)
def test_every_dependency_has_a_reason(name):
    extras = [each for extra in PROJECT["optional-dependencies"].values() for each in extra]
    wanted = {re.match(r"[\w-]+", each)[0] for each in [*PROJECT["dependencies"], *extras]} - {"parkgate"}
    table = {row[0]: row for row in rows(name) if len(row) == 3}
    assert wanted <= set(table)
    assert all(all(table[package]) for package in wanted)


@pytest.mark.parametrize("name", READMES)
def test_every_verb_is_described(name):
    described = {row[0].split()[1].strip("`") for row in rows(name) if row[0].startswith("`parkgate ")}
    assert described == set(VERBS)


def parser():
    """Give the parser of all verbs of this checkout, whatever is installed."""
    whole = argparse.ArgumentParser(prog="parkgate")
    verbs = whole.add_subparsers(required=True)
    for name, module in VERBS.items():
        importlib.import_module(module).add_arguments(verbs.add_parser(name))
    return whole


def commands():
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if "parkgate" in words and words[0] in {"parkgate", "sudo"} and "usermod" not in words:
                    yield pytest.param(words[words.index("parkgate") + 1 :], id=f"{label(document)}: {line}")


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_is_one_that_the_program_takes(words):
    words = words[1:] if words[0] == "parkgate" else words  # sudo -u parkgate parkgate …
    assert parser().parse_args(words)


@pytest.mark.parametrize("name", READMES)
def test_the_files_of_the_first_screen_are_a_site(name, tmp_path):
    first, second = blocks(name, "toml")
    (tmp_path / "site.toml").write_text(first, encoding="utf-8")
    (tmp_path / "my-meter.toml").write_text(second, encoding="utf-8")
    loaded = load_site(tmp_path / "site.toml")
    assert [point.name for point in loaded.instruments[0].points] == ["flow", "total"]


@pytest.mark.parametrize("name", TRANSLATED[1])
def test_the_profile_of_the_technicians_document_is_one(name, tmp_path):
    (tmp_path / "my-meter.toml").write_text(blocks(name, "toml")[0], encoding="utf-8")
    (tmp_path / "site.toml").write_text(blocks("README.md", "toml")[0], encoding="utf-8")
    assert len(load_site(tmp_path / "site.toml").instruments[0].points) == 3


@pytest.mark.parametrize("name", TRANSLATED[1])
def test_every_key_of_the_site_file_is_explained(name):
    explained = {key for row in rows(name) for key in re.findall(r"`(\w+)`", row[0])}
    sections = (site.Gateway, site.Uplink, site.Outbox, site.Line, Entry)
    assert {key for section in sections for key in section.model_fields} - explained == set()


def test_everything_toml_shows_every_key():
    everything = text("config/sites/everything.toml")
    sections = (site.Gateway, site.Uplink, site.Outbox, site.Keep, site.Secret, site.Line, Entry)
    for key in {key for section in sections for key in section.model_fields}:
        assert re.search(rf"\b{key}\b", everything), key


@pytest.mark.parametrize("name", TRANSLATED[1])
def test_every_type_is_named(name):
    assert {kind for kind in profile.TYPES if f"`{kind}`" not in text(name)} <= {"double"}  # another name of float64


@pytest.mark.parametrize("name", [*READMES, "docs/platform.md"])
def test_every_topic_is_listed(name):
    listed = {topic for row in rows(name) for topic in re.findall(r"`([\w/{}]+)`", row[0])}
    published = {channel["address"].removeprefix("{prefix}/v1/{site}/{gateway}/")
                 for channel in asyncapi("0")["channels"].values()}  # fmt: skip
    assert published <= listed


def test_every_message_that_is_shown_fits_its_schema():
    shown = [json.loads(block) for name in (*READMES, "docs/platform.md") for block in blocks(name, "json")]
    kinds = {"values": "data", "points": "meta", "state": "status", "event": "event"}
    found = []
    for message in (each for each in shown if isinstance(each, dict)):
        (kind,) = [kinds[key] for key in kinds if key in message]
        SCHEMAS[kind].model_validate_json(json.dumps(message))
        found.append(kind)
    assert set(found) == set(kinds.values())


@pytest.mark.parametrize(
    "model", [models.Snapshot, models.Invalid, models.Meta, models.PointMeta, models.Status, models.Event]
)
def test_every_field_of_a_message_is_explained(model):
    explained = text("docs/platform.md")
    for name, field in model.model_fields.items():
        assert re.search(rf'[`"]{field.alias or name}[`"]', explained), name


def test_every_flag_is_explained():
    assert {row[0].strip("`") for row in rows("docs/platform.md")} >= set(Flag)


def test_every_event_is_explained():
    told = {name for path in (ROOT / "gateway").rglob("*.py")
            for name in re.findall(r"tell\(\s*\"([a-z-]+)\"", path.read_text(encoding="utf-8"))}  # fmt: skip
    explained = {name for row in rows("docs/platform.md") for name in re.findall(r"`([a-z-]+)`", row[0])}
    assert told
    assert told - explained == set()


def test_the_snippets_of_other_tools_are_well_formed():
    (telegraf,) = blocks("docs/platform.md", "toml")
    assert tomllib.loads(telegraf)["inputs"]["mqtt_consumer"][0]["qos"] == 1
    (flow,) = [each for block in blocks("docs/platform.md", "json") if isinstance(each := json.loads(block), list)]
    ids = {node["id"] for node in flow}
    assert all(wire in ids for node in flow for wires in node.get("wires", []) for wire in wires)


def account(first=None):
    """Give the account of docs/platform.md."""
    names = {}
    exec(blocks("docs/platform.md", "python")[0], names)
    return names["Account"](first)


@pytest.mark.xdist_group("agents")
def test_the_test_that_the_developers_document_shows_passes(tmp_path):
    consumer, _ = blocks("docs/developer.md", "python")
    (tmp_path / "test_consumer.py").write_text(consumer, encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_fixture_of_the_plugin_is_described():
    told = {name for row in rows("docs/developer.md") for name in re.findall(r"`(parkgate_\w+)`", row[0])}
    fixtures = set(re.findall(r"^def (parkgate_\w+)", text("simulator/plugin.py"), re.MULTILINE))
    assert told == fixtures


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.randoms(use_true_random=False)), min_size=1, max_size=30),
    drops=st.sets(st.integers(1, 30)),
)
def test_the_account_calls_lost_what_was_confirmed_and_did_not_come_and_nothing_else(steps, drops):
    """A gateway stores one record a step, then has some of those that wait confirmed, in any order."""
    receiver, waiting, lost = account(first=1), {}, set()
    for seq, (count, rng) in enumerate(steps, start=1):
        waiting[seq] = {"seq": seq, "low": min(waiting, default=seq)}
        for sent in rng.sample(sorted(waiting), min(count, len(waiting))):
            record = waiting.pop(sent)
            if sent in drops:
                lost.add(sent)
            else:
                receiver.take(record)
        verdict, missing = receiver.judge()
        assert verdict != "LOST" or set(missing) <= lost
    newest = {"seq": len(steps) + 1, "low": min(waiting, default=len(steps) + 1)}
    receiver.take(newest)
    verdict, missing = receiver.judge()
    below = {seq for seq in lost if seq < newest["low"]}
    assert (verdict, set(missing)) == ("LOST", below) if below else verdict != "LOST"
    assert verdict != "COMPLETE" or not (waiting or lost)


def test_the_account_knows_a_duplicate_and_a_declared_hole():
    receiver = account(first=1)
    assert receiver.judge() == ("PENDING", [])
    assert receiver.take({"seq": 1, "low": 1})
    assert not receiver.take({"seq": 1, "low": 1})
    assert receiver.judge() == ("COMPLETE", [])
    receiver.take({"seq": 4, "low": 3})
    assert receiver.judge() == ("LOST", [2])
    receiver.declare({"from": 2, "to": 2})
    assert receiver.judge() == ("PENDING", [3])


def test_a_receiver_that_came_late_expects_nothing_of_before():
    receiver = account()
    receiver.take({"seq": 1041, "low": 1040})
    assert receiver.judge() == ("COMPLETE", [])
    receiver.take({"seq": 1043, "low": 1040})
    assert receiver.judge() == ("PENDING", [1042])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_record_says_status_context_decision_and_consequences(record):
    content = record.read_text(encoding="utf-8")
    number = record.stem.partition("-")[0]
    assert content.startswith(f"# {number}: ")
    assert re.search(r"^Status: (accepted|superseded by \d{4})", content, re.MULTILINE)
    assert re.findall(r"^## (.*)$", content, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decision_records_are_numbered_without_a_hole():
    numbers = [int(record.stem.partition("-")[0]) for record in RECORDS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_version_that_is_being_made_is_in_the_changelog():
    assert "## [Unreleased]" in text("CHANGELOG.md")


def test_the_licence_is_the_one_that_the_package_names():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text("LICENSE")
    assert "The Parkgate authors" in text("LICENSE")
