"""The pages say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from guichets.catalogue.families import FAMILIES
from guichets.cli import app
from guichets.cli.settings import render_settings
from guichets.configuration import SETTINGS
from guichets.outcomes import RATED, Outcome

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("guichets", "spiders", "pipelines", "monitoring")


def test_settings_page_is_what_the_command_prints() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == render_settings(), (
        "stale: .venv/bin/guichets settings > docs/settings.md"
    )


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_read_somewhere(setting: object) -> None:
    name = setting.name  # type: ignore[attr-defined]
    readers = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "configuration.py" and f'"{name}"' in path.read_text(encoding="utf-8")
    ]
    assert readers, f"{name} is declared and nothing reads it"


def test_outcomes_page_has_every_outcome_once_in_order() -> None:
    page = (ROOT / "docs/outcomes.md").read_text(encoding="utf-8")
    table = page.split("## Rules")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(outcome) for outcome in Outcome]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_outcomes_page_agrees_on_what_is_rated(outcome: Outcome) -> None:
    page = (ROOT / "docs/outcomes.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{outcome}` |"))
    assert (row.split("|")[-2].strip() in {"numerator", "denominator"}) == (outcome in RATED)


def test_every_logged_action_from_warning_up_is_explained() -> None:
    explained = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/logs.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    logged = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for call in re.split(r"logger\.(?=\w+\()", path.read_text(encoding="utf-8"))[1:]:
                if call.startswith(("warning", "error", "critical")):
                    found = re.search(r'"action": "(\w+)"', call[:600])
                    if found:
                        logged.add(found[1])
    assert logged - explained == set()
    assert explained - logged <= {"cannot_start", "schedule_failed"}  # reasons a spider closed for


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {name for name in commands if f"`guichets {name}" not in readme} == set()


def test_readme_tells_of_every_family_what_it_can_know() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", readme.split("## Ce que chaque plateforme")[1], re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(FAMILIES)
    assert all(len([cell for cell in cells.split("|") if cell.strip()]) == 4 for _, cells in rows)


def test_every_command_has_help() -> None:
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        found = subprocess.run(
            [sys.executable, "-m", "guichets", name, "--help"], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        assert len(found.stdout.split()) > 5


def test_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 90


def test_relative_links_of_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert missing == []


def test_pages_that_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"`(docs/[\w/.-]+)`", readme) if not (ROOT / name).exists()] == []
