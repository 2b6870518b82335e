"""``scrapy`` as a user meets it: mistakes told in one line before any request, and Scrapy's own habits."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from guichets.database import embedded
from guichets.items import EXPORT_FIELDS
from tests.crawl_fixtures import Crawler, Workshop, read_rows
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox

BAD_DESK = """[[desk]]
id = "x"
family = "ezbookin"
departement = "92"
office = "Préfecture"
procedure = "aes"
label = "AES"
url = "http://127.0.0.1:9/booking/create/1"
"""


@dataclass(frozen=True)
class Mistake:
    """What was asked, and what the last line on stderr says of it."""

    name: str
    says: tuple[str, ...]
    arguments: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    spider: str = "ezbooking"


def asked(says: str, **arguments: str) -> Mistake:
    name = ",".join(f"{key}={value}" for key, value in arguments.items())
    return Mistake(name, tuple(says.split("|")), arguments=arguments)


def setting(says: str, **settings: str) -> Mistake:
    name = ",".join(f"{key}={value}" for key, value in settings.items())
    return Mistake(name, tuple(says.split("|")), settings=settings)


MISTAKES = (
    asked("departements='96'|unknown département", departements="96"),
    asked("departements='XX'|unknown département", departements="01,xx"),
    asked("departements=|separated by commas", departements=","),
    asked("desks='nowhere'|unknown desk", desks="nowhere"),
    asked("desks='{family-other}'|rdv_prefecture", desks="{family-other}"),
    asked("minutes='soon'|number of minutes", minutes="soon"),
    asked("minutes='0'|above 0", minutes="0"),
    asked("minutes='-3'|above 0", minutes="-3"),
    asked("minutes='nan'|above 0", minutes="nan"),
    asked("due='later'|due|all", due="later"),
    asked("-a departement|unknown argument|departements", departement="92"),
    setting("GUICHETS_HOST_DELAI|Did you mean GUICHETS_HOST_DELAY", GUICHETS_HOST_DELAI="3"),
    setting("GUICHETS_HOST_DELAY='fast'|number of seconds", GUICHETS_HOST_DELAY="fast"),
    setting("GUICHETS_HOST_DELAY='-1'|number of seconds", GUICHETS_HOST_DELAY="-1"),
    setting("GUICHETS_MAX_HOSTS='0'|whole number", GUICHETS_MAX_HOSTS="0"),
    setting("GUICHETS_STORE='paper'|postgres", GUICHETS_STORE="paper"),
    setting("GUICHETS_CONTROL_URLS='ftp://x'|http", GUICHETS_CONTROL_URLS="ftp://x"),
    setting("GUICHETS_CONTACT|mail address", GUICHETS_CONTACT="me (you)"),
    Mistake("an unknown name in the environment", ("GUICHETS_CATALOG ", "GUICHETS_CATALOGUE"),
            environment={"GUICHETS_CATALOG": "x"}),
    Mistake("no catalogue folder", ("/nowhere/at/all", "no such folder"),
            environment={"GUICHETS_CATALOGUE": "/nowhere/at/all"}),
    Mistake("a bad catalogue and no version before it", ("92.toml", "ezbookin"),
            environment={"GUICHETS_CATALOGUE": "{bad}"}),
    Mistake("an unreachable PostgreSQL", ("127.0.0.1:9", "cannot be reached"),
            environment={"GUICHETS_DATABASE_URL": "postgresql://me:secret@127.0.0.1:9/guichets"}),
    Mistake("a DSN that is none", ("GUICHETS_DATABASE_URL", "cannot be read"),
            environment={"GUICHETS_DATABASE_URL": "postgresql://me:secret@[/x"}),
    Mistake("a schema not upgraded", ("guichets db upgrade",),
            environment={"GUICHETS_DATABASE_URL": "{empty}"}),
    Mistake("an unknown spider", ("unknown spider 'ezboking'", "ezbooking"), spider="ezboking"),
)  # fmt: skip


@dataclass
class Answers:
    box: RunningSandbox
    given: dict[str, CompletedProcess[str]]


@pytest.fixture(scope="module")
def empty_dsn(database_server: str, module_workshop: Workshop) -> str:
    return module_workshop.empty_database().dsn


@pytest.fixture(scope="module")
def answers(module_workshop: Workshop, empty_dsn: str) -> Answers:
    """Every mistake made once, two at a time."""
    box = module_workshop.sandbox(desks=4, departements=2, mixture="none")
    catalogue = module_workshop.folder("catalogue") / "copy"
    shutil.copytree(box.catalogue, catalogue)
    other = "75-another-family"
    (catalogue / "75.toml").write_text(
        f'[[desk]]\nid = "{other}"\nfamily = "rdv_prefecture"\ndepartement = "75"\noffice = "Préfecture"\n'
        'procedure = "aes"\nlabel = "AES"\n'
        'url = "https://www.rdv-prefecture.interieur.gouv.fr/rdvpref/reservation/demarche/1234/"\n'
    )
    bad = module_workshop.folder("bad")
    (bad / "92.toml").write_text(BAD_DESK)
    crawler = module_workshop.crawler(catalogue)
    holes = {"{family-other}": other, "{bad}": str(bad), "{empty}": empty_dsn}

    def make(mistake: Mistake) -> CompletedProcess[str]:
        words = ["crawl", mistake.spider]
        for flag, values in (("-a", mistake.arguments), ("-s", mistake.settings)):
            for name, value in values.items():
                words += [flag, f"{name}={holes.get(value, value)}"]
        environment = {name: holes.get(value, value) for name, value in mistake.environment.items()}
        # a refused catalogue is a mistake only where no version came before it
        asks = module_workshop.crawler(catalogue) if "GUICHETS_CATALOGUE" in environment else crawler
        return asks.scrapy(*words, **environment)

    with ThreadPoolExecutor(2) as pool:
        return Answers(box, dict(zip([m.name for m in MISTAKES], pool.map(make, MISTAKES), strict=True)))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_told_in_one_line(answers: Answers, mistake: Mistake) -> None:
    answer = answers.given[mistake.name]
    assert answer.returncode != 0
    assert "Traceback" not in answer.stderr
    last = answer.stderr.strip().splitlines()[-1]
    for part in mistake.says:
        assert part.replace("{family-other}", "75-another-family") in last
    assert "secret" not in answer.stderr
    assert answer.stdout == ""


def test_no_mistake_asks_anything_of_a_site(answers: Answers) -> None:
    assert answers.given
    assert answers.box.ledger() == []


def test_a_bad_catalogue_leaves_the_previous_version_serving(workshop: Workshop) -> None:
    box = workshop.sandbox(desks=4, departements=2, mixture="none")
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    assert len(crawler.run().desks) == 4
    bad = workshop.folder("bad")
    shutil.copytree(box.catalogue, bad, dirs_exist_ok=True)
    (bad / "92.toml").write_text(BAD_DESK)
    crawler.environment["GUICHETS_CATALOGUE"] = str(bad)
    result = crawler.run(due="all")
    assert result.status == 0
    assert len(result.desks) == 4
    assert "92.toml" in result.log
    assert "the previous version goes on serving" in result.log
    assert "Traceback" not in result.log


@dataclass
class Shop:
    box: RunningSandbox
    crawler: Crawler
    database: Database


@pytest.fixture(scope="module")
def shop(module_workshop: Workshop) -> Shop:
    box = module_workshop.sandbox(desks=6, departements=3, mixture="offered")
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    crawler.home.mkdir(parents=True, exist_ok=True)
    return Shop(box, crawler, database)


def test_scrapy_list_names_the_families(shop: Shop) -> None:
    answer = shop.crawler.scrapy("list")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "ezbooking" in answer.stdout.split()


def test_scrapy_check_finds_nothing_wrong_and_asks_nothing(shop: Shop) -> None:
    before = len(shop.box.ledger())
    answer = shop.crawler.scrapy("check")
    assert answer.returncode == 0, answer.stderr
    assert len(shop.box.ledger()) == before


def test_every_export_format_holds_the_same_lines(shop: Shop) -> None:
    """One crawl, three files; columns in the order of the data dictionary."""
    before = {row["id"] for row in read_rows(shop.database, "SELECT id FROM observations")}
    files = {kind: shop.crawler.home / f"out.{kind}" for kind in ("jsonl", "json", "csv")}
    words = [word for file in files.values() for word in ("-O", str(file))]
    answer = shop.crawler.scrapy(
        "crawl", "ezbooking", "-a", "due=all", "-s", "GUICHETS_HOST_DELAY=0",
        "-s", "GUICHETS_FORM_INTERVAL=0", *words,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert json.loads(files["json"].read_text()) == lines
    with files["csv"].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(EXPORT_FIELDS) == list(lines[0])
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert [json.loads(row["evidence"]) for row in rows] == [line["evidence"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert row["first_slot"] == (line["first_slot"] or "")
        assert row["slot_count"] == ("" if line["slot_count"] is None else str(line["slot_count"]))
    written = {row["id"] for row in read_rows(shop.database, "SELECT id FROM observations")} - before
    assert {line["id"] for line in lines} == {str(known) for known in written}


def test_a_page_can_be_read_from_a_file_and_from_an_address(shop: Shop) -> None:
    file = shop.crawler.home / "page.html"
    file.write_text("<html><body><h1>Service surchargé</h1></body></html>")
    url = shop.box.desks()[0]["url"].removesuffix("/0")
    quick = ("-s", "GUICHETS_HOST_DELAY=0")
    read_file = shop.crawler.scrapy("parse", "--spider=ezbooking", "--nolinks", file.as_uri())
    assert "ezbooking.overloaded.service-surcharge" in read_file.stdout
    read_page = shop.crawler.scrapy("parse", *quick, "--spider=ezbooking", "--nolinks", url)
    assert "'rule': 'ezbooking.step0'" in read_page.stdout, read_page.stderr[-2000:]
    for answer in (read_file, read_page):
        assert answer.returncode == 0
        assert "Traceback" not in answer.stderr


def test_the_shell_opens_files_and_addresses_of_a_family_and_no_other(shop: Shop) -> None:
    file = shop.crawler.home / "page.html"
    file.write_text("<html><body><h1>Service surchargé</h1></body></html>")
    url = shop.box.desks()[0]["url"].removesuffix("/0")
    quick = ("-s", "GUICHETS_HOST_DELAY=0")
    of_file = shop.crawler.scrapy("shell", *quick, "-c", "response.css('h1::text').get()", str(file))
    assert of_file.stdout.strip() == "Service surchargé", of_file.stderr[-2000:]
    of_page = shop.crawler.scrapy("shell", *quick, "-c", "(response.status, spider.name)", url)
    assert of_page.stdout.strip() == "(200, 'ezbooking')", of_page.stderr[-2000:]
    before = len(shop.box.ledger())
    beyond = shop.crawler.scrapy("shell", *quick, "-c", "response", f"{url}/5/1/1893456000")
    assert beyond.stdout.strip() == "None"
    assert "the gate refused a request" in beyond.stderr
    assert {line["path"] for line in shop.box.ledger(since=before)} <= {"/robots.txt"}
    assert shop.box.tripwires() == []


def test_a_crawl_of_some_minutes_ends_by_itself(shop: Shop) -> None:
    """Six seconds; what is due again meanwhile is visited again."""
    result = shop.crawler.run(minutes="0.1", settings={"GUICHETS_MAX_HOSTS": 1})
    assert result.status == 0, result.log[-3000:]
    assert "finish_reason': 'finished'" in result.log


def test_only_the_desks_asked_for_are_visited(shop: Shop) -> None:
    first, second, *_ = sorted(shop.box.truth())
    before = len(shop.box.ledger())
    result = shop.crawler.run(due="all", desks=f"{first}, {second.upper()}")
    assert set(result.desks) == {first, second}
    asked_desks = {line["desk"] for line in shop.box.ledger(since=before)} - {None}
    assert asked_desks == {first, second}
    code = first.partition("-")[0].upper()
    result = shop.crawler.run(due="all", departements=code.lower())
    assert set(result.desks) == {desk["id"] for desk in shop.box.desks() if desk["departement"] == code}


def test_without_a_database_of_ones_own_a_crawl_makes_one(workshop: Workshop) -> None:
    """GUICHETS_DATABASE_URL unset: the embedded server is started, upgraded and stopped again."""
    box = workshop.sandbox(desks=4, departements=2, mixture="none")
    crawler = workshop.crawler(box.catalogue)
    del crawler.environment["GUICHETS_DATABASE_URL"]
    # not under pytest's folder, which is closed to the account that serves when root asks
    home = Path(tempfile.mkdtemp(prefix="guichets-tests-"))
    crawler.environment["GUICHETS_HOME"] = str(home)
    try:
        result = crawler.run()
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)
    assert result.status == 0, result.log[-3000:]
    assert len(result.desks) == 4
    assert "Traceback" not in result.log
