"""Policy over every spider that exists: names, gates, prose, rules with their pages, politeness."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.test import get_crawler

from guichets.catalogue import load
from guichets.catalogue.families import FAMILIES
from guichets.errors import ArgumentError
from guichets.gate import NOTHING, Ask
from guichets.page import Page
from guichets.sandbox.families import families
from spiders.base import DeskSpider
from tests.crawl_fixtures import CRAWL_SECONDS, ROOT, Workshop, read_lines
from tests.sandbox_fixtures import RunningSandbox
from tests.spiders.page_table import PAGES, expected_pages

NAMES = sorted(SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]})).list())
EVERY_SPIDER = pytest.mark.parametrize("name", NAMES)

TERMS = (
    *("Who", "Address", "Funnel", "Full", "Closed", "Failing", "Refusing"),
    *("Stops at", "Counters", "Params", "Caveats", "Unknown", "Sources"),
)
OPTIONAL_TERMS = {"Closed", "Failing", "Refusing", "Counters", "Unknown"}

RULES_WITHOUT_A_PAGE = {  # a walk decides these from several pages; the crawl tests reach them
    "ants.fault.entry-url": "the catalogue refuses such an address first",
    "ants.gone.not-listed": "mairies without the desk's, and a status in which every software is up",
    "ants.none.search": "nothing listed for a mairie that is known, in a search that was quick",
    "ants.none.status": "nothing listed, and a status afterwards",
    "ants.overloaded.editor": "a status after an answer without the mairie",
    "ants.overloaded.search": "a search all of whose softwares failed",
    "ants.unrecognised.nobody-asked": "a search that asked no software, for a mairie that is known",
    "ants.unrecognised.not-listed": "mairies without the desk's, and a status in which a software is down",
    "ants.unrecognised.past-slots": "slots against the day of the visit",
    "ants.unrecognised.renumbered": "a number that is known, and not to the mairies around",
    "ants.unrecognised.which-editor": "a search that does not tell, and a status that does not either",
    "eappointment.fault.entry-url": "no entry of the catalogue's is one",
    "eappointment.none.all-days-closed": "closed days against the months shown and the day of the visit",
    "eappointment.offered.free-day": "the hours of a day that is not closed",
    "eappointment.unrecognised.days-end-early": "closed days that end before the months shown do",
    "eappointment.unrecognised.free-days-without-hours": "free days, each with an empty list of hours",
    "eappointment.unrecognised.which-service": "several services, and nothing that names one",
    "eappointment.unrecognised.which-site": "several sites, and nothing that names one",
    "ezbooking.fault.entry-url": "the catalogue refuses such an address first",
    "ezbooking.unrecognised.conditions-again": "the conditions came twice",
    "ezbooking.unrecognised.counters-again": "the counters came twice",
    "ezbooking.unrecognised.out-of-order": "a page that is fine by itself came at the wrong moment",
    "demarche_numerique.fault.entry-url": "the catalogue refuses such an address first",
    "orion.none.empty-and-message": "an empty list, and a message that can be seen",
    "orion.offered.days": "a list of days, and a page without a message",
    "orion.overloaded.error-message": "a message of failure on a page that was told nothing",
    "orion.unrecognised.answers-differ": "two answers that differ",
    "orion.unrecognised.days-beside-message": "a list of days, and a message",
    "orion.unrecognised.empty-beside-error": "an empty list, and a message of failure",
    "orion.unrecognised.empty-without-message": "an empty list, and no message",
    "orion.unrecognised.never-asked": "a page that never asked for its slots",
    "orion.unrecognised.part-missing": "a part of the page that its host does not have",
    "rdv_prefecture.fault.entry-url": "the catalogue refuses such an address first",
    "rdv_prefecture.moved.other-demarche": "told by the address that answered, whatever its page",
    "rdv_prefecture.unrecognised.out-of-order": "a page that is fine by itself came at the wrong moment",
    "rdv_service_public.fault.entry-url": "the catalogue refuses such an address first",
    "rdv_service_public.unrecognised.choice-again": "the services or motives came twice",
    "troov.closed.every-service": "a team none of whose services is open",
    "troov.closed.service": "the desk's service among those of its team",
    "troov.fault.entry-url": "no entry of the catalogue's is one",
    "troov.unrecognised.service-not-listed": "a team without the desk's service",
}

WITHOUT_ANCHOR = {  # rule: why its page bears no anchor
    "ezbooking.closed.link-retired": "the site's own page, in place of the form",
    "ezbooking.closed.switched-off": "the site's own page, in place of the form",
    "ezbooking.closed.no-other-dates": "written by hand in place of the form",
}

ALL_AT_ONCE = """
import json, sys
from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

settings = get_project_settings()
for name, value in json.loads(sys.argv[1]).items():
    settings.set(name, value, priority="cmdline")
process = CrawlerProcess(settings)
for name in sys.argv[2:]:
    process.crawl(name, due="all")
process.start()
"""

LOWERED_BY_NO_SPIDER = {
    *("AUTOTHROTTLE_ENABLED", "AUTOTHROTTLE_TARGET_CONCURRENCY", "CONCURRENT_REQUESTS_PER_DOMAIN"),
    *("CONCURRENT_REQUESTS_PER_IP", "CONCURRENT_REQUESTS", "DOWNLOAD_DELAY", "DOWNLOAD_SLOTS"),
    *("RANDOMIZE_DOWNLOAD_DELAY", "ROBOTSTXT_OBEY", "ROBOTSTXT_USER_AGENT", "USER_AGENT"),
    *("DOWNLOADER_MIDDLEWARES", "DOWNLOADER_MIDDLEWARES_BASE", "RETRY_ENABLED", "REDIRECT_ENABLED"),
    *("HTTPPROXY_ENABLED", "DEFAULT_REQUEST_HEADERS", "GUICHETS_HOST_DELAY", "GUICHETS_FORM_INTERVAL"),
    *("GUICHETS_CONTACT", "DOWNLOAD_VERIFY_CERTIFICATES", "DOWNLOAD_FAIL_ON_DATALOSS"),
}
LOWERED_WITH_A_REASON: dict[tuple[str, str], str] = {}  # (spider, setting): why it must


@dataclass
class Drained:
    """Every spider started in one process against one sandbox, and what came out of each."""

    box: RunningSandbox
    lines: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def drained(module_workshop: Workshop) -> Drained:
    box = module_workshop.sandbox(
        desks=4 * len(NAMES), departements=len(NAMES), mixture="lives", family="all"
    )
    crawler = module_workshop.crawler(box.catalogue)
    out = crawler.home / "lines"
    settings = {"GUICHETS_HOST_DELAY": 0, "GUICHETS_FORM_INTERVAL": 0, "GUICHETS_CONTROL_URLS": ""}
    settings |= {"GUICHETS_STORE": "none", "FEEDS": {f"{out}/%(name)s.jsonl": {"format": "jsonlines"}}}
    ended = subprocess.run(
        [sys.executable, "-c", ALL_AT_ONCE, json.dumps(settings), *NAMES],
        cwd=ROOT,
        env=crawler.environment,
        capture_output=True,
        text=True,
        timeout=CRAWL_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Traceback" not in ended.stderr
    return Drained(box, {name: read_lines(out / f"{name}.jsonl") for name in NAMES})


def spider_class(name: str) -> type[DeskSpider]:
    loader = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]}))
    found = loader.load(name)
    assert issubclass(found, DeskSpider), f"{name}: a family's spider is a DeskSpider"
    return found


def module_of(name: str) -> ModuleType:
    return import_module(spider_class(name).__module__)


def rule_ids(name: str) -> set[str]:
    """The rule ids a family's module writes, in its tables or its walk."""
    tree = ast.parse(inspect.getsource(module_of(name)))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(rf"{name}\.[a-z0-9]+([.-][a-z0-9]+)*", node.value)
    }


def prose_terms(name: str) -> list[str]:
    """The terms a module's docstring opens its lines with, in their order."""
    known = "|".join(sorted(map(re.escape, TERMS), key=len, reverse=True))
    return re.findall(rf"^({known})\s{{2,}}\S", module_of(name).__doc__ or "", re.MULTILINE)


def test_scrapy_finds_the_spiders() -> None:
    assert "ezbooking" in NAMES


@EVERY_SPIDER
def test_family_is_spider_module_catalogue_value_and_folder_of_pages(name: str) -> None:
    cls = spider_class(name)
    assert cls.name == name
    assert cls.__module__ == f"spiders.{name}"
    assert cls.__name__ == "".join(part.capitalize() for part in name.split("_")) + "Spider"
    assert name in FAMILIES
    assert (PAGES / name / "expected.toml").is_file()


def test_folder_of_pages_belongs_to_a_spider() -> None:
    assert {path.name for path in PAGES.iterdir() if (path / "expected.toml").is_file()} <= set(NAMES)


@EVERY_SPIDER
def test_module_opens_with_prose_in_the_fixed_terms(name: str) -> None:
    found = prose_terms(name)
    assert found == [term for term in TERMS if term in found], "each term once, in the usual order"
    assert set(TERMS) - set(found) <= OPTIONAL_TERMS


@EVERY_SPIDER
def test_prose_says_where_the_gate_stops(name: str) -> None:
    gate = spider_class(name).gate
    prose = module_of(name).__doc__ or ""
    (stops,) = re.findall(r"^Stops at\s+(.*)$", prose, re.MULTILINE)
    assert gate.stops_at
    assert gate.stops_at in stops


@EVERY_SPIDER
def test_gate_is_declared_and_exact(name: str) -> None:
    gate = spider_class(name).gate
    assert gate is not NOTHING
    assert gate.rows
    for row in gate.rows:
        assert row.method in {"GET", "HEAD", "POST"}
        assert ".*" not in row.path, f"{row.path}: lets anything through"
        assert ".+" not in row.path, f"{row.path}: lets anything through"
        if row.method == "POST":
            assert row.fields or row.body or row.json, f"{row.path}: a POST says what it sends"
        else:
            sent = (row.fields, row.body, row.json)
            assert sent == (None, None, None), f"{row.path}: a {row.method} has no body"
        assert ".*" not in (row.body or ""), f"{row.path}: the body may hold anything"
        for named in (row.fields, row.json, row.message, row.query, row.optional):
            for field, value in (named or {}).items():
                assert value not in {".*", ".+"}, f"{row.path}: {field} may hold anything"


@EVERY_SPIDER
def test_gate_refuses_in_a_stable_word(name: str) -> None:
    gate = spider_class(name).gate
    site = "https://www.example.fr"
    for ask, word in (
        (Ask("GET", f"{site}/nothing/of/ours", host="www.example.fr"), "not-allowed"),
        (Ask("DELETE", f"{site}/", host="www.example.fr"), "not-allowed"),
        (Ask("GET", f"{site}/", host="www.example.org"), "off-host"),
        (Ask("GET", "gopher://www.example.fr/", host="www.example.fr"), "bad-url"),
    ):
        assert gate.refusal(ask) == word


@EVERY_SPIDER
def test_every_rule_has_a_page_or_a_reason(name: str) -> None:
    shown = {expected.row["rule"] for expected in expected_pages(name)}
    rules = rule_ids(name)
    assert rules
    assert rules - shown - set(RULES_WITHOUT_A_PAGE) == set()
    assert not shown & set(RULES_WITHOUT_A_PAGE), "the reason is out of date"


def test_no_reason_outlives_its_rule() -> None:
    known = {rule for name in NAMES for rule in rule_ids(name)}
    assert set(RULES_WITHOUT_A_PAGE) <= known


@EVERY_SPIDER
def test_every_rule_of_the_pages_is_the_family_s_or_the_transport_s(name: str) -> None:
    known = rule_ids(name) | {f"{name}.unrecognised.{what}" for what in ("not-html", "not-its-kind")}
    for expected in expected_pages(name):
        rule = expected.row["rule"]
        assert rule in known or re.fullmatch(r"http\.[a-z0-9-]+", rule), rule


@EVERY_SPIDER
def test_rule_id_says_its_outcome(name: str) -> None:
    for expected in expected_pages(name):
        rule, outcome = expected.row["rule"], expected.row.get("outcome")
        if rule.startswith(f"{name}.") and outcome is not None:
            assert rule.split(".")[1] == outcome, rule


@EVERY_SPIDER
@pytest.mark.parametrize("url", ["", "//[", "https://www.example.fr/"])
def test_reader_answers_anything(name: str, url: str) -> None:
    spider = spider_class(name)()
    for body in (b"", b"\x00", b"<html", b"\xff" * 50, b"{}", b"<html></html>"):
        assert spider.read(Page(url, 200, {}, body)).rule


@EVERY_SPIDER
def test_family_s_own_entries_are_known_by_their_address(name: str) -> None:
    entry = re.compile(spider_class(name).entry)
    desks = [desk for desk in load().desks if desk.family == name]
    assert desks, "no desk of the family in the bundled catalogue"
    for desk in desks:
        parts = urlsplit(desk.url)
        address = f"{parts.path}?{parts.query}" if parts.query else parts.path
        assert entry.fullmatch(address), desk.url
        others = [other for other in NAMES if other != name]
        known = [other for other in others if re.fullmatch(spider_class(other).entry, address)]
        assert known == [], desk.url


@EVERY_SPIDER
def test_family_has_its_twin_in_the_sandbox(name: str) -> None:
    assert families()[name].name == name


@EVERY_SPIDER
def test_anchor_stands_on_every_page_that_proves_something(name: str) -> None:
    """Pages that the transport or the edge answers in the platform's place have none."""
    proving = {"offered", "none", "open", "closed", "moved", "captcha"}
    for expected in expected_pages(name):
        if expected.row.get("outcome") in proving and expected.row["rule"] not in WITHOUT_ANCHOR:
            assert spider_class(name).has_anchor(expected.page), expected.id


@EVERY_SPIDER
def test_start_is_drained_and_observes_each_desk_once(name: str, drained: Drained) -> None:
    lines = drained.lines[name]
    assert {line["family"] for line in lines} == {name}
    desks = [line["desk"] for line in lines if line["counter"] is None]
    assert sorted(desks) == sorted(desk["id"] for desk in drained.box.desks() if desk["family"] == name)
    assert drained.box.tripwires() == []


@EVERY_SPIDER
def test_readers_have_a_version(name: str) -> None:
    assert spider_class(name).parser_version >= 1


@EVERY_SPIDER
def test_no_spider_is_less_polite_than_the_settings(name: str) -> None:
    custom = spider_class(name).custom_settings or {}
    lowered = {key for key in custom if key in LOWERED_BY_NO_SPIDER}
    assert lowered <= {setting for spider, setting in LOWERED_WITH_A_REASON if spider == name}


@EVERY_SPIDER
def test_settings_a_crawl_ends_up_with_are_the_project_s(name: str) -> None:
    project = Settings()
    project.setmodule("guichets.settings", priority="project")
    settings = project.copy()
    spider_class(name).update_settings(settings)
    for setting in LOWERED_BY_NO_SPIDER - {"USER_AGENT"}:
        if (name, setting) not in LOWERED_WITH_A_REASON:
            assert settings.get(setting) == project.get(setting), setting
    assert settings["USER_AGENT"].startswith("Guichets/")


@EVERY_SPIDER
def test_spider_is_built_from_a_crawler_and_refuses_wrong_arguments(name: str) -> None:
    crawler = get_crawler(spider_class(name))
    assert spider_class(name).from_crawler(crawler, departements="92").arguments.selection.family == name
    with pytest.raises(ArgumentError, match="unknown argument"):
        spider_class(name).from_crawler(crawler, departement="92")


@EVERY_SPIDER
def test_spider_opens_no_file_and_sends_nothing_by_itself(name: str) -> None:
    tree = ast.parse(inspect.getsource(module_of(name)))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    forbidden = {
        "os",
        "pathlib",
        "io",
        "socket",
        "aiohttp",
        "httpx",
        "requests",
        "urllib3",
        "time",
        "psycopg",
    }
    assert not imported & forbidden
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "Request", "FormRequest", "eval", "exec"}


def test_no_spider_knows_the_sandbox() -> None:
    for name in NAMES:
        source = Path(inspect.getfile(sys.modules[spider_class(name).__module__])).read_text(encoding="utf-8")
        assert "sandbox" not in source.lower()
        assert "127.0.0" not in source
