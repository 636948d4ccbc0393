"""Answers are in English here, whatever the machine's locale says."""

import pytest


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")
