"""A mairie from its probe to its evidence, on the sandbox's hub: signed or not, paced, shown, read again."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from guichets.evidence.layout import archive_folder
from guichets.sandbox.families.ants import TOKEN
from tests.crawl_fixtures import CRAWL_SECONDS, ROOT, Crawler, CrawlResult, Workshop
from tests.sandbox_fixtures import RunningSandbox

DELAY_SECONDS = 0.5
SLACK_SECONDS = 0.1  # what a request may wait to be read
SPREAD = 0.2  # of the delay's jitter


@dataclass
class Signed:
    """A crawl of one hub with the token, at a pace."""

    box: RunningSandbox
    crawler: Crawler
    result: CrawlResult

    def guichets(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, in the crawl's home, without the token."""
        environment = {name: value for name, value in self.crawler.environment.items() if "TOKEN" not in name}
        return subprocess.run(
            [sys.executable, "-m", "guichets", *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CRAWL_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def signed(module_workshop: Workshop) -> Signed:
    box = module_workshop.sandbox(desks=8, departements=1, mixture="some-full", family="ants", seed=3)
    crawler = module_workshop.crawler(box.catalogue)
    crawler.environment["GUICHETS_ANTS_TOKEN_FOR"] = f"http://{box.hosts[0]}"
    # as an option and in the environment: neither may be told
    crawler.environment["GUICHETS_ANTS_TOKEN"] = TOKEN
    settings = {"GUICHETS_HOST_DELAY": DELAY_SECONDS, "GUICHETS_ANTS_TOKEN": TOKEN, "LOG_LEVEL": "DEBUG"}
    return Signed(box, crawler, crawler.run("ants", settings=settings, due="all"))


def true_outcomes(box: RunningSandbox) -> dict[tuple[str, str | None], str]:
    truth = box.truth()
    desks: dict[tuple[str, str | None], str] = {
        (desk, None): found["outcome"] for desk, found in truth.items()
    }
    return desks | {
        (desk, key): counter["outcome"]
        for desk, found in truth.items()
        for key, counter in found["counters"].items()
    }


def test_signed_visits_establish_the_truth_without_a_conversation(signed: Signed) -> None:
    assert signed.result.status == 0, signed.result.log[-3000:]
    lines = {(line["desk"], line["counter"]): line["outcome"] for line in signed.result.lines}
    assert lines == true_outcomes(signed.box)
    paths = {entry["path"] for entry in signed.box.ledger()}
    assert paths == {
        "/robots.txt",
        "/api/MeetingPointsFromPosition",
        "/api/availableTimeSlots",
        "/api/status",
    }
    assert signed.box.tripwires() == []


def test_token_is_neither_logged_nor_archived(signed: Signed) -> None:
    assert TOKEN not in signed.result.log
    files = [path for path in signed.crawler.home.rglob("*") if path.is_file()]
    assert any(path.is_relative_to(archive_folder(signed.crawler.home)) for path in files)
    for path in files:
        data = path.read_bytes()
        assert TOKEN.encode() not in data, path
        if path.name.endswith(".warc.gz"):
            assert b"X-Hub-Rdv-Auth-Token: [withheld]" in gzip.decompress(data)
            assert TOKEN.encode() not in gzip.decompress(data)


def test_signed_visit_is_read_again_without_the_token(signed: Signed) -> None:
    again = signed.guichets("replay")
    assert again.returncode == 0, again.stderr
    assert again.stdout == "Rien ne change : les lecteurs d'aujourd'hui disent la même chose.\n"
    assert "aucune laissée de côté" in again.stderr


@pytest.fixture(scope="module")
def spoken(module_workshop: Workshop) -> Signed:
    """A crawl of one hub by its public search, at a pace."""
    box = module_workshop.sandbox(desks=6, departements=1, mixture="none", family="ants", seed=5)
    crawler = module_workshop.crawler(box.catalogue)
    settings = {"GUICHETS_HOST_DELAY": DELAY_SECONDS}
    return Signed(box, crawler, crawler.run("ants", settings=settings, due="all"))


def test_conversation_waits_for_its_turn_and_is_counted(spoken: Signed) -> None:
    entries: list[dict[str, Any]] = sorted(spoken.box.ledger(), key=lambda entry: entry["started_monotonic"])
    assert sum(entry["path"].endswith("Streaming") for entry in entries) == 6
    gaps = [later["started_monotonic"] - one["started_monotonic"] for one, later in pairwise(entries)]
    assert min(gaps) >= DELAY_SECONDS * (1 - SPREAD) - SLACK_SECONDS
    assert {line["requests"] for line in spoken.result.desks.values()} == {2}
    assert spoken.box.tripwires() == []


def test_message_of_a_search_is_in_the_ledger_as_it_was_sent(spoken: Signed) -> None:
    said = [dict(entry["fields"]) for entry in spoken.box.ledger() if entry["fields"]]
    assert len(said) == 6
    assert {(one["radius_km"], one["documents_number"]) for one in said} == {("20", "1")}
    assert all(one["address"].endswith(one["department_code"]) for one in said)


def test_conversation_is_evidence_that_is_shown_drawn_and_verified(spoken: Signed) -> None:
    line = next(iter(spoken.result.desks.values()))
    shown = spoken.guichets("evidence", "show", line["id"])
    assert shown.returncode == 0, shown.stderr
    assert "HTTP 101" in shown.stdout
    assert '"step": "end_of_search"' in shown.stdout
    picture = spoken.crawler.home / "conversation.png"
    drawn = spoken.guichets("evidence", "picture", line["id"], "--out", str(picture))
    assert drawn.returncode == 0, drawn.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    verified = spoken.guichets("evidence", "verify")
    assert verified.returncode == 0, verified.stdout
    assert "Breaks: 0." in verified.stderr


def test_probe_command_shows_a_conversation_and_tells_the_departement_from_the_postcode(
    workshop: Workshop,
) -> None:
    box = workshop.sandbox(desks=1, departements=1, mixture="offered", family="ants")
    crawler = workshop.crawler(box.catalogue)
    crawler.environment |= {"GUICHETS_HOST_DELAY": "0", "GUICHETS_CONTROL_URLS": ""}
    url = box.desks()[0]["url"]
    shown = Signed(box, crawler, CrawlResult(0, "")).guichets("probe", url, "--toml")
    assert shown.returncode == 0, shown.stderr
    assert "GET /api/SlotsFromPositionStreaming\n     101  ants.offered.search" in shown.stdout
    assert f'departement = "{url[-5:][:2]}"' in shown.stdout
