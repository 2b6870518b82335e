"""``scrapy genspider -t desk NAME``: what it writes, and whose tests fail until the family is built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crawl_fixtures import ROOT, clean_environment
from tests.spiders.page_table import PAGES

WRITTEN = (
    *("spiders/ma_ville.py", "guichets/sandbox/families/ma_ville.py"),
    *(f"tests/pages/ma_ville/{file}" for file in ("expected.toml", "none.html", "unknown.html")),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, so that what is written there stays there."""
    left_out = shutil.ignore_patterns("__pycache__", ".*_cache", "data")
    for name in ("guichets", "spiders", "pipelines", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out if name != "guichets" else None)
    for name in ("scrapy.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project,
        env={**clean_environment(), "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_new_family_has_its_files_and_its_tests_fail_until_it_is_built(project: Path) -> None:
    made = run(project, "scrapy", "genspider", "-t", "desk", "ma_ville")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[: len(WRITTEN)] == list(WRITTEN)
    for file in WRITTEN:
        assert "$" not in (project / file).read_text(encoding="utf-8"), file
    modules = [project / file for file in WRITTEN if file.endswith(".py")]
    assert run(project, "ruff", "check", *map(str, modules)).returncode == 0
    assert run(project, "ruff", "format", "--check", *map(str, modules)).returncode == 0
    found = run(
        project, "pytest", "-q", "-p", "no:cacheprovider", "tests/spiders/test_readers.py", "-k", "ma_ville"
    )
    assert found.returncode == 1, found.stdout
    failed = [line for line in found.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1, failed
    assert "none.html" in failed[0]  # the page that its author must write; all the others pass


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Ma-Ville"], "is no family's name"),
        ([], "name the family"),
        (["ezbooking"], "spiders/ezbooking.py exists"),
    ],
)
def test_mistake_writes_nothing(words: list[str], said: str) -> None:
    before = sorted(path.name for path in PAGES.iterdir())
    refused = run(ROOT, "scrapy", "genspider", "-t", "desk", *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(path.name for path in PAGES.iterdir()) == before
