"""What a real crawl leaves in the archive: every exchange, as sent and as received, before its row."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from guichets.evidence import ArchiveReader, repair
from guichets.evidence import verify as verify_archive
from guichets.evidence.layout import name_parts
from guichets.evidence.reader import ArchivedPage
from guichets.note import Note, parse_note
from guichets.proof import Check, check_rows
from guichets.spool import waiting_ids
from tests.crawl_fixtures import ROOT, Crawler, CrawlResult, Workshop, read_rows, wait_until, write_desks
from tests.database_fixtures import Database
from tests.hostile_server import HostileServer, page
from tests.sandbox_fixtures import RunningSandbox

KILLS = int(os.environ.get("GUICHETS_TEST_KILLS", "12"))  # the 50 takes some four minutes


@dataclass(frozen=True)
class Archived:
    """Two crawls of one sandbox, the second of unchanged pages."""

    box: RunningSandbox
    database: Database
    crawler: Crawler
    results: tuple[CrawlResult, CrawlResult]

    @property
    def home(self) -> Path:
        return self.crawler.home


@pytest.fixture(scope="module")
def archived(module_workshop: Workshop) -> Archived:
    box = module_workshop.sandbox(desks=24, departements=4, mixture="states", seed=5)
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    settings = {"DOWNLOAD_TIMEOUT": 5}
    first, second = (crawler.run(settings=settings, due="all") for _ in range(2))
    assert (first.status, second.status) == (0, 0), first.log[-2000:] + second.log[-2000:]
    return Archived(box, database, crawler, (first, second))


def warc_files(home: Path) -> list[Path]:
    return sorted(home.glob("archive/*/*/*/*.warc.gz"))


def pages(home: Path) -> list[ArchivedPage]:
    reader = ArchiveReader(home)
    return [found for path in warc_files(home) for _, _, found in reader.pages(path)]


def notes(home: Path) -> dict[str, Note]:
    reader = ArchiveReader(home)
    return {
        record.record_id.removeprefix("urn:uuid:"): note
        for path in warc_files(home)
        for _, _, record in reader.records(path)
        if record.type == "metadata" and (note := parse_note(record.block)) is not None
    }


def breaks(home: Path, database: Database) -> tuple[list[str], Check]:
    """Every break of archive and rows."""
    found = Check()
    with database.connect("reader") as connection:
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        told = [str(one) for one in verify_archive(home)]
        rows = check_rows(connection, home, found, spooled=lambda: waiting_ids(home / "spool"))
        return told + [str(one) for one in rows], found


def warcio(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "warcio.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_answered_request_is_archived_and_no_other(archived: Archived) -> None:
    answered = Counter(
        (entry["host"], entry["method"], entry["path"], entry["status"])
        for entry in archived.box.ledger()
        if entry["status"] and entry["delivery"] in {"whole", "plain", "gzip", "chunked"}
    )
    kept = Counter(
        (urlsplit(one.url).netloc, one.method, urlsplit(one.url).path, one.status)
        for one in pages(archived.home)
    )
    ledger = {
        (entry["host"], entry["method"], entry["path"], entry["status"]) for entry in archived.box.ledger()
    }
    assert answered
    missing = answered - kept
    assert all(is_large(archived, key) for key in missing), missing
    assert kept.keys() <= ledger
    assert sum(path == "/robots.txt" for _, _, path, _ in kept) == len(archived.box.hosts)


def is_large(archived: Archived, key: tuple[Any, ...]) -> bool:
    return any(
        entry["bytes"] > 4_000_000
        for entry in archived.box.ledger()
        if (entry["host"], entry["method"], entry["path"], entry["status"]) == key
    )


def test_requests_stand_as_they_were_sent(archived: Archived) -> None:
    sessions = 0
    for one in pages(archived.home):
        headers = {name.decode().lower(): value.decode() for name, value in one.request_headers}
        assert headers["host"] == urlsplit(one.url).netloc
        assert headers["user-agent"].startswith("Guichets/")
        assert headers["accept-encoding"] == "gzip, deflate, br"
        if one.method == "POST":
            assert headers["content-length"] == str(len(one.request_body))
        sessions += "eZSESSID=" in headers.get("cookie", "")
        assert one.finished_at >= one.started_at
        assert one.ip is not None
    assert sessions > 20


def test_bodies_stay_compressed_and_hashes_are_of_what_was_read(archived: Archived) -> None:
    compressed = [one for one in pages(archived.home) if (b"Content-Encoding", b"gzip") in one.headers]
    assert all(one.raw_body[:2] == b"\x1f\x8b" or not one.raw_body for one in compressed)


def test_warcio_checks_every_file(archived: Archived) -> None:
    for path in warc_files(archived.home):
        done = warcio("check", "-v", path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "digest pass" in done.stdout
        assert "digest failed" not in done.stdout


def test_a_standard_index_finds_the_very_records_the_rows_name(archived: Archived) -> None:
    indexed = set()
    for path in warc_files(archived.home):
        done = warcio("index", "-f", "offset,length,warc-type,warc-record-id", path)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            entry = json.loads(line)
            if entry["warc-type"] in ("response", "revisit"):
                place = (entry["offset"], entry["length"], entry["warc-record-id"].strip("<>"))
                indexed.add((path.relative_to(archived.home).as_posix(), *place))
    named = {
        (part["file"], str(part["offset"]), str(part["length"]), part["record_id"])
        for row in read_rows(archived.database, "SELECT evidence FROM observations")
        for part in row["evidence"]
    }
    assert len(named) > 100
    assert named <= indexed


def test_rows_and_archive_agree_both_ways(archived: Archived) -> None:
    told, found = breaks(archived.home, archived.database)
    assert told == []
    assert found.rows == {"proved": len(notes(archived.home))}
    assert found.pages > 100


def test_each_observation_has_one_note_that_says_its_outcome(archived: Archived) -> None:
    query = "SELECT id, desk_id, counter_key, outcome::text, rule FROM observations"
    rows = read_rows(archived.database, query)
    found = notes(archived.home)
    assert len(rows) == len(found) == sum(len(result.lines) for result in archived.results)
    for row in rows:
        note = found[str(row["id"])]
        assert (note.desk, note.counter) == (row["desk_id"], row["counter_key"])
        assert (note.outcome, note.rule) == (row["outcome"], row["rule"])


def test_exported_evidence_leads_to_the_page(archived: Archived) -> None:
    from guichets.proof.holds import refs_of

    reader = ArchiveReader(archived.home)
    lines = [line for line in archived.results[1].lines if line["evidence"]]
    assert lines
    for line in lines:
        last = refs_of(line["evidence"])[-1]
        found = reader.read_page(last)
        assert found.url == line["evidence"][-1]["url"]
        assert found.status == line["http_status"]


def test_unchanged_pages_are_revisits(archived: Archived) -> None:
    files = warc_files(archived.home)
    firsts = name_parts(files[0].name)[0]  # the worker's; an hour that ends meanwhile gives it a second file
    reader = ArchiveReader(archived.home)
    again = [
        one.is_revisit
        for path in files
        if name_parts(path.name)[0] != firsts
        for _, _, one in reader.pages(path)
    ]
    assert sum(again) > 0.9 * len(again)


def test_control_pages_are_archived_and_are_no_observations_evidence(workshop: Workshop) -> None:
    with HostileServer() as server:
        control = server.add(page("<html><body>control</body></html>"))
        closed = server.add(page("x"))
        port = closed.rpartition(":")[2]
        catalogue = write_desks(
            workshop.folder("catalogue"), {"92-none": "http://127.0.0.1:9/booking/create/100"}
        )
        assert port
        crawler = workshop.crawler(catalogue)
        result = crawler.run(settings={"GUICHETS_CONTROL_URLS": f"http://{control}/"})
    assert result.desks["92-none"]["outcome"] == "unreachable", result.log[-2000:]
    assert result.desks["92-none"]["evidence"] == []
    assert [one.url for one in pages(crawler.home)] == [f"http://{control}/"]
    assert len(notes(crawler.home)) == 1


def test_what_robots_forbids_never_appears(workshop: Workshop) -> None:
    with HostileServer() as server:
        rules = page("User-agent: *\nDisallow: /booking/\n", headers="X-Kind: robots\r\n")
        host = server.add(page("never"), robots=rules)
        catalogue = write_desks(
            workshop.folder("catalogue"), {"92-shut": f"http://{host}/booking/create/100"}
        )
        crawler = workshop.crawler(catalogue)
        result = crawler.run()
    assert (result.desks["92-shut"]["outcome"], result.desks["92-shut"]["rule"]) == ("blocked", "robots")
    assert [urlsplit(one.url).path for one in pages(crawler.home)] == ["/robots.txt"]
    assert [note.outcome for note in notes(crawler.home).values()] == ["blocked"]


def test_scrapy_shell_writes_nothing(archived: Archived, tmp_path: Path) -> None:
    host = archived.box.hosts[0]
    crawler = Crawler(tmp_path / "home", {})
    url = f"http://{host}/booking/create/100"
    done = crawler.scrapy(
        "shell", url, "-c", "print(response.status)", "-s", "GUICHETS_HOST_DELAY=0", "-s", "LOG_LEVEL=ERROR"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("404")
    assert not (tmp_path / "home" / "archive").exists()


def test_switched_off_nothing_is_archived_and_rows_say_so(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=4, departements=1, mixture="lives")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    result = crawler.run(settings={"GUICHETS_ARCHIVE": "false"})
    assert result.status == 0
    parts = [part for line in result.lines for part in line["evidence"]]
    assert parts
    assert {part["file"] for part in parts} == {None}
    assert all(len(part["sha256"]) == 64 for part in parts)
    assert not (crawler.home / "archive").exists()
    told, found = breaks(crawler.home, database)
    assert (told, dict(found.rows)) == ([], {"never archived": len(result.lines)})


def test_files_are_closed_at_their_size_and_all_of_them_hold(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=12, departements=3, mixture="lives")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    assert crawler.run(settings={"GUICHETS_ARCHIVE_FILE_SIZE": 30_000}).status == 0
    files = warc_files(crawler.home)
    assert len(files) > 2
    assert list(crawler.home.glob("archive/*/*/*/*.open")) == []
    assert all(path.stat().st_size < 60_000 for path in files)
    assert breaks(crawler.home, database)[0] == []


def test_a_disk_that_fills_up_ends_the_crawl_and_proves_nothing_it_has_not(workshop: Workshop) -> None:
    """Writing fails beyond 150 kB per file, as on a full disk."""
    box = workshop.sandbox(desks=60, departements=12, mixture="lives", latency=5)
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    crawler.home.mkdir(parents=True, exist_ok=True)
    out = crawler.home / "out.jsonl"
    process = subprocess.Popen(
        crawler.command("ezbooking", {}, {}, out),
        cwd=ROOT,
        env=crawler.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
    )
    result = crawler.finish(process, out)
    assert result.status == 1
    told = [line for line in result.mistakes if "archive" in line]
    assert len(told) == 1, result.mistakes
    assert "the archive cannot be written, the crawl ends" in told[0]
    assert "Traceback" not in result.log
    faults = [line for line in result.lines if line["rule"] == "observer.archive"]
    assert faults
    assert {line["outcome"] for line in faults} == {"observer_fault"}
    assert len(result.desks) < 60
    repair(crawler.home)
    told_breaks, found = breaks(crawler.home, database)
    assert told_breaks == []
    assert found.rows["proved"] == len(result.lines)


def test_an_archive_that_cannot_be_opened_asks_one_page_at_most(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=6, departements=1, mixture="lives")
    crawler = workshop.crawler(box.catalogue)
    crawler.home.mkdir(parents=True, exist_ok=True)
    (crawler.home / "archive").write_text("a file stands where the folder should")
    result = crawler.run()
    assert result.status == 1
    assert len(box.ledger()) == 1
    assert {line["rule"] for line in result.lines} == {"observer.archive"}
    assert "Traceback" not in result.log


@pytest.fixture(scope="module")
def slow_box(module_workshop: Workshop) -> RunningSandbox:
    return module_workshop.sandbox(desks=30, departements=6, mixture="lives", latency=10)


@pytest.mark.timeout(1200)
def test_killed_at_random_moments_no_observation_is_without_its_proof(
    workshop: Workshop, slow_box: RunningSandbox
) -> None:
    """One home, one database, one kill after another; in the end a crawl finishes the work."""
    dice = random.Random(20250513)
    database = workshop.database()
    crawler = workshop.crawler(slow_box.catalogue, database)
    settings = {"GUICHETS_LEASE": 2, "GUICHETS_ARCHIVE_FILE_SIZE": 100_000}
    torn = 0
    for number in range(KILLS):
        before = len(warc_files(crawler.home))
        process, _ = crawler.start(settings=settings, due="all")
        if number % 4:  # else killed wherever it is, start-up included
            wait_until(lambda: len(warc_files(crawler.home)) > before or process.poll() is not None, "a file")  # noqa: B023
        time.sleep(dice.uniform(0, 0.8))
        crawler.kill(process)
        torn += sum(done.torn_bytes > 0 for done in repair(crawler.home))
        assert list(crawler.home.glob("archive/*/*/*/*.open")) == []
        told, _ = breaks(crawler.home, database)
        assert told == [], f"after kill {number + 1}"
        waiting = waiting_ids(crawler.home / "spool")
        assert waiting <= notes(crawler.home).keys(), f"after kill {number + 1}"
    result = crawler.run(settings=settings, due="all")
    assert result.status == 0, result.log[-2000:]
    told, found = breaks(crawler.home, database)
    assert told == []
    assert found.rows["proved"] >= len(result.lines)
    for path in warc_files(crawler.home):
        assert warcio("check", path).returncode == 0, path
