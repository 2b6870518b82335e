"""The demonstration, as a stranger runs it: from an empty folder, twice, two at once, interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crawl_fixtures import ROOT, clean_environment

DESKS = 9
YEAR = ("--year-desks", "2")
FAMILIES = ("--family", "ezbooking", "--family", "rdv_prefecture")
DEMO_SECONDS = 150


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "guichets",
            "demo",
            "--desks",
            str(DESKS),
            "--departements",
            "3",
            *FAMILIES,
            *YEAR,
        ],
        cwd=ROOT,
        env={**clean_environment(), "GUICHETS_HOME": str(home), "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(demo: subprocess.Popen[str]) -> str:
    out, err = demo.communicate(timeout=DEMO_SECONDS)
    assert demo.returncode == 0, err
    return out


@pytest.fixture
def home() -> Iterator[Path]:
    # Not under pytest's base folder, which every session closes to the account root runs PostgreSQL under.
    folder = Path(tempfile.mkdtemp(prefix="guichets-demo-"))
    yield folder / "un dossier"
    shutil.rmtree(folder, ignore_errors=True)


def test_two_demonstrations_at_once_and_one_more_each_end_with_the_whole_table(home: Path) -> None:
    both = [start(home), start(home)]
    for demo in both:
        out = end(demo)
        assert f"{DESKS} guichets visités" in out
        assert "tous justes" in out
        assert "rdv_prefecture" in out  # in the table by platform
        assert "Requêtes interdites : 0" in out
        assert "À faire ensuite : " in out
        assert (ROOT / out.rpartition("Le site : ")[2].strip()).is_file()
    assert {path.name for path in home.iterdir()} >= {"demo", "demo-2"}
    assert f"{DESKS} guichets visités" in end(start(home))


def test_interrupted_demonstration_stops_its_children_and_can_be_run_again(home: Path) -> None:
    demo = start(home)
    ready = home / "demo" / "sandbox.json"
    deadline = time.monotonic() + DEMO_SECONDS
    while not ready.exists() and demo.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int(ready.read_text(encoding="utf-8").split('"pid": ')[1].split(",")[0])
    demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=DEMO_SECONDS)
    assert demo.returncode in {130, -signal.SIGINT}  # a shell shows both as 130
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert f"{DESKS} guichets visités" in end(start(home))
