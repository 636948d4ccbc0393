"""Site files in a folder of their own, read in English."""

from collections.abc import Callable

import pytest
from support.sites import problems_of

Said = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("PARKGATE_LANG", "en")


@pytest.fixture
def said(tmp_path) -> Said:
    """Write files into a folder and give what reading its site.toml says, the folder left out."""

    def read(site: str, **files: str) -> list[str]:
        (tmp_path / "site.toml").write_text(site, encoding="utf-8")
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return problems_of(tmp_path / "site.toml")

    return read
