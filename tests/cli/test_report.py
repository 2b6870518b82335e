from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guichets.cli import app
from guichets.errors import ArgumentError
from tests.database_fixtures import Database


def run(*words: str) -> tuple[int, str, BaseException | None]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, found.stdout, found.exception


@pytest.fixture(autouse=True)
def _settings(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)


def test_report_on_an_empty_database_builds_pages_that_say_so(tmp_path: Path) -> None:
    status, said, _ = run("report", "--out", str(tmp_path / "site"))
    assert status == 0
    assert "index.html" in said
    assert "0 removed" in said
    assert "Aucune observation" in (tmp_path / "site/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["report", "--period", "2026"], "is not a quarter: write 2026-Q3"),
        (["report", "--period", "2026-Q3"], "no day of it is published; nothing is published yet"),
        (["report", "--replies", "/nowhere/at/all"], "is not a folder"),
        (["export", "--public"], "name it with --out"),
        (["export", "--public", "--out", "x", "--since", "2026-01-01"], "no dates, desks or form"),
    ],
    ids=["no-quarter", "unknown-quarter", "no-replies", "no-folder", "a-choice"],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, error = run(*words)
    assert isinstance(error, ArgumentError)
    assert reason in str(error)
    assert "\n" not in str(error)


def test_public_export_of_an_empty_database_is_a_whole_package(tmp_path: Path) -> None:
    status, said, _ = run("export", "--public", "--out", str(tmp_path / "open"))
    assert status == 0, said
    described = json.loads((tmp_path / "open/datapackage.json").read_text(encoding="utf-8"))
    assert described["version"] == "0"
    assert (tmp_path / "open/data/guichets-jours.csv").read_text().count("\n") == 1


def test_public_dictionary_is_printed() -> None:
    status, said, _ = run("export", "--public", "--dictionary")
    assert status == 0
    page = Path(__file__).resolve().parents[2] / "docs/open-data.md"
    assert said == page.read_text(encoding="utf-8"), (
        "stale: .venv/bin/guichets export --public --dictionary > docs/open-data.md"
    )


def test_the_delay_is_never_under_a_day(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GUICHETS_PUBLICATION_DELAY", "2")
    _, _, error = run("report", "--out", str(tmp_path / "site"))
    assert "24 or more" in str(error)
