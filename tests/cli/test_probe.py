"""``guichets probe URL``: one visit of one address, shown page by page, that enters no figure."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crawl_fixtures import CRAWL_SECONDS, ROOT, Workshop, clean_environment, read_rows
from tests.sandbox_fixtures import RunningSandbox

Probe = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def box(module_workshop: Workshop) -> RunningSandbox:
    return module_workshop.sandbox(desks=4, departements=4, mixture="none")


@pytest.fixture(scope="module")
def probe(module_workshop: Workshop) -> Probe:
    """Runs the command in a home that keeps its pace from one call to the next, as a volunteer's does."""
    home = module_workshop.folder("home")

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        unpaced = {"GUICHETS_HOST_DELAY": "0", "GUICHETS_CONTROL_URLS": "", "GUICHETS_HOME": str(home)}
        return subprocess.run(
            [sys.executable, "-m", "guichets", "probe", *words],
            cwd=ROOT,
            env={**clean_environment(), **unpaced, **environment},
            capture_output=True,
            text=True,
            timeout=CRAWL_SECONDS,
            check=False,
        )

    return run


def test_each_page_and_the_outcome_are_shown_and_the_entry_can_be_pasted(
    box: RunningSandbox, probe: Probe, tmp_path: Path
) -> None:
    desk = box.desks()[0]
    shown = probe(desk["url"], "--departement", "92", "--toml")
    assert shown.returncode == 0, shown.stderr
    asked = box.ledger(desk=desk["id"])
    assert len(asked) == sum(f"{line['method']} {line['path']}" in shown.stdout for line in asked)
    assert "Guichet : la plateforme dit qu'aucun rendez-vous n'est libre  (ezbooking.none." in shown.stdout
    assert "Pages gardées : " in shown.stdout
    (entry,) = tomllib.loads(shown.stdout[shown.stdout.index("[[desk]]") :])["desk"]
    assert (entry["family"], entry["departement"], entry["url"]) == ("ezbooking", "92", desk["url"])
    assert entry["label"] == ""  # nobody knows it yet; the catalogue's check asks for it

    again = probe(desk["url"])
    assert again.returncode == 2
    assert "less than a quarter of an hour ago" in again.stderr
    assert box.ledger(desk=desk["id"]) == asked, "the same form twice within a quarter of an hour"


def test_host_that_the_observatory_leaves_alone_is_left_alone(
    box: RunningSandbox, probe: Probe, module_workshop: Workshop
) -> None:
    desk = box.desks()[1]
    database = module_workshop.database()
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO hosts (host, forbidden, forbidden_by, forbidden_why)"
            " VALUES (%s, true, 'operator', 'asked')",
            (desk["host"],),
        )
    refused = probe(desk["url"], GUICHETS_DATABASE_URL=database.dsn)
    assert refused.returncode == 2
    assert "forbidden (asked)" in refused.stderr
    assert box.ledger(desk=desk["id"]) == []
    assert read_rows(database, "SELECT * FROM observations") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["https://www.example.fr/"], "looks like no family's first page; say which with --family"),
        (["https://www.example.fr/booking/create/12", "--family", "ezbookin"], 'Did you mean "ezbooking"'),
        (
            ["https://www.example.fr/booking/create/12", "--departement", "200"],
            '--departement "200" is unknown',
        ),
        (["https://www.example.fr/booking/create/12", "--param", "site=1"], "ezbooking takes none"),
        (["https://www.example.fr/booking/create/12", "--param", "site"], "write NAME=VALUE"),
        (["https://me:secret@www.example.fr/booking/create/12"], "user name or password"),
        (["https://www.example.fr/booking/create/12/4"], "booking/create"),
        (["nothing"], "https://"),
    ],
)
def test_mistake_is_one_line(probe: Probe, words: list[str], said: str) -> None:
    refused = probe(*words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""


def test_page_that_runs_in_a_browser_is_shown_in_two_steps(module_workshop: Workshop, probe: Probe) -> None:
    box = module_workshop.sandbox(desks=1, departements=1, mixture="none", family="orion")
    (desk,) = box.desks()
    shown = probe(desk["url"], "--departement", "35")
    assert shown.returncode == 0, shown.stderr
    assert f"1  GET {desk['url'].partition(desk['host'])[2]}" in shown.stdout
    assert "2  NAVIGATEUR /orion-reservation/slots" in shown.stdout
    assert "orion.none.empty-and-message" in shown.stdout
    assert "messages : Il n'y a pas de rendez-vous disponible" in shown.stdout
    assert box.tripwires() == []
