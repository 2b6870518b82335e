"""The State's own hub as a peer: `ants` through the published server, before town softwares that we choose.

What is searched, filtered, counted, limited and refused is the code of France Titres; see decision 0055.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from warcio.archiveiterator import ArchiveIterator

from guichets.crawl.websocket import CLOSING
from guichets.evidence import ArchiveReader, EvidenceRef
from guichets.evidence.exchange import WITHHELD, Headers
from guichets.evidence.layout import archive_folder
from guichets.messages import split_messages
from guichets.page import Page
from spiders.ants import WINDOW, read_search
from tests.crawl_fixtures import ROOT, CrawlResult, Workshop, clean_environment, read_rows
from tests.database_fixtures import Database
from tests.hub.server import TOKEN
from tests.hub.town_software import Town, TownSoftwares

HUB_PYTHON = ROOT / ".venv" / "hub" / "bin" / "python"
ONE_DAY = timedelta(days=1)
MOST_A_MINUTE = 30  # questions of one kind from one address; of searches, one more is answered
GUADELOUPE = ZoneInfo("America/Guadeloupe")
PARIS = ZoneInfo("Europe/Paris")
TOKENED = {"GUICHETS_ANTS_TOKEN": TOKEN}
_opener = build_opener(ProxyHandler({}))  # a proxy of the environment must not see loopback


def today() -> date:
    return datetime.now(PARIS).date()


def calm_towns(day: date) -> list[Town]:
    """Towns whose softwares are well, with what they have free for a visit of that day."""
    soon, last = day + timedelta(days=20), day + WINDOW
    return [
        Town("seclin", "59113", (f"{soon}T10:20Z", f"{soon}T10:00Z", f"{last}T16:00Z")),
        Town("offset", "59001", (f"{soon}T09:00:00+00:00",)),
        Town("basseterre", "97100", (f"{soon}T08:30Z",)),
        Town("complet", "59002"),
        Town(
            "hors-periode",
            "59003",
            (f"{day - timedelta(days=1)}T09:00Z", f"{last + timedelta(days=1)}T09:00Z"),
        ),
    ]


def troubled_towns() -> list[Town]:
    return [Town("en-panne", "59011", status=500), Town("muet", "59012", hangs=True), Town("voisin", "59013")]


@dataclass(frozen=True)
class Hub:
    """A running hub: ``host`` is the whole of it, ``without_websocket`` the same behind another port."""

    process: subprocess.Popen[str]
    host: str
    without_websocket: str

    def get(self, path: str) -> int:
        """The status of an answer, for whoever wants to use up a limit."""
        try:
            with _opener.open(f"http://{self.host}{path}", timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code


def start_hub(editors: Mapping[str, str], folder: Path) -> Callable[[], Hub]:
    """Start a hub; what is returned waits until it answers."""
    if not HUB_PYTHON.exists():
        pytest.fail("the hub's environment is missing: make hub")
    log = folder / "hub.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [HUB_PYTHON, ROOT / "tests/hub/server.py", json.dumps(dict(editors))],
            cwd=folder,  # it reads a file .env, if there is one
            env={**clean_environment(), "TZ": "Europe/Paris"},  # it asks its own calendar what day it is
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )

    def wait() -> Hub:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the hub did not start: {log.read_text()[-3000:]}"
        whole, plain = json.loads(line)
        return Hub(process, f"127.0.0.1:{whole}", f"127.0.0.1:{plain}")

    return wait


def end_hub(hub: Hub) -> None:
    hub.process.kill()
    hub.process.communicate()


def entry(host: str, zip_code: str, town: str = "Ville", reason: str = "CNI") -> str:
    where = "longitude=3.0348&latitude=50.5491&radius_km=20"
    address = quote(f"{town} {zip_code}", safe="")
    return f"http://{host}/api/SlotsFromPosition?{where}&reason={reason}&documents_number=1&address={address}"


def write_catalogue(folder: Path, desks: Mapping[str, tuple[str, Mapping[str, str]]]) -> Path:
    """One file per département; ``desks``: address and params by id, which begins with the département."""
    files: dict[str, str] = {}
    for desk, (url, params) in desks.items():
        code = desk.partition("-")[0]
        more = "".join(f'{name} = "{value}"\n' for name, value in params.items())
        files[code] = files.get(code, "") + (
            f'[[desk]]\nid = "{desk}"\nfamily = "ants"\ndepartement = "{code}"\noffice = "Mairie"\n'
            f'procedure = "cni_passeport"\nlabel = "{desk}"\nurl = "{url}"\n[desk.params]\n{more}\n'
        )
    for code, text in files.items():
        (folder / f"{code}.toml").write_text(text, encoding="utf-8")
    return folder


@dataclass
class Peers:
    """Two hubs: every software of the first is well, those of the second are not."""

    workshop: Workshop
    day: date  # on which they were started
    towns: dict[str, Town]
    calm: Hub
    troubled: Hub

    def crawl(
        self, desks: Mapping[str, tuple[str, Mapping[str, str]]], **environment: str
    ) -> tuple[CrawlResult, Database, Path]:
        database = self.workshop.database()
        catalogue = write_catalogue(self.workshop.folder("catalogue"), desks)
        crawler = self.workshop.crawler(catalogue, database)
        crawler.environment |= environment
        result = crawler.run("ants", due="all")
        assert result.status == 0, result.log[-3000:]
        assert "Traceback" not in result.log
        assert set(result.desks) == set(desks)
        return result, database, crawler.home


@pytest.fixture(scope="module")
def peers(module_workshop: Workshop) -> Iterator[Peers]:
    with ExitStack() as stack:
        day = today()
        well = stack.enter_context(TownSoftwares(*calm_towns(day)))
        unwell = stack.enter_context(TownSoftwares(*troubled_towns()))
        stopped = stack.enter_context(TownSoftwares(Town("arrete", "59014")))
        first = start_hub(well.addresses, module_workshop.folder("calm"))
        second = start_hub({**unwell.addresses, **stopped.addresses}, module_workshop.folder("troubled"))
        calm, troubled = first(), second()
        stack.callback(end_hub, calm)
        stack.callback(end_hub, troubled)
        stopped.stop()
        yield Peers(module_workshop, day, {**well.towns, **unwell.towns}, calm, troubled)


@dataclass
class Search:
    """One crawl of all the towns by the public search, and what it left."""

    result: CrawlResult
    database: Database
    home: Path

    def said(self, desk: str) -> tuple[str, str]:
        line = self.result.desks[desk]
        return line["outcome"], line["rule"]


@pytest.fixture(scope="module")
def search(peers: Peers) -> Search:
    calm, troubled = peers.calm.host, peers.troubled.host
    desks: dict[str, tuple[str, Mapping[str, str]]] = {
        "59-seclin": (entry(calm, "59113", "Seclin"), {}),
        "59-offset": (entry(calm, "59001", reason="CNI-PASSPORT"), {}),
        "971-basseterre": (entry(calm, "97100", "Basse-Terre"), {}),
        "59-complet": (entry(calm, "59002", "L'Haÿ-les-Bains"), {}),
        "59-hors-periode": (entry(calm, "59003"), {}),
        "59-inconnue": (entry(calm, "59999"), {}),
        "59-mauvais-numero": (entry(calm, "59113"), {"meeting_point": "11TEST2111"}),
        "59-en-panne": (entry(troubled, "59011"), {}),
        "59-muet": (entry(troubled, "59012"), {"editor": "muet"}),
        "59-voisin": (entry(troubled, "59013"), {}),
        "59-arrete": (entry(troubled, "59014"), {}),
        "59-sans-websocket": (entry(peers.calm.without_websocket, "59113"), {}),
    }
    return Search(*peers.crawl(desks))


def at(day: date, hour: int, minute: int, zone: ZoneInfo) -> str:
    return datetime.combine(day, time(hour, minute), zone).isoformat()


def test_slots_are_read_in_the_town_s_own_clock(search: Search, peers: Peers) -> None:
    assert search.said("59-seclin") == ("offered", "ants.offered.search")
    soon = peers.day + timedelta(days=20)
    line = search.result.desks["59-seclin"]
    assert (line["first_slot"], line["second_slot"]) == (at(soon, 10, 0, PARIS), at(soon, 10, 20, PARIS))
    assert line["slot_count"] == 3
    assert search.result.desks["971-basseterre"]["first_slot"] == at(soon, 8, 30, GUADELOUPE)
    assert search.result.desks["59-offset"]["first_slot"] == at(soon, 9, 0, PARIS)


def test_software_that_answers_an_empty_list_has_none(search: Search) -> None:
    assert search.said("59-complet") == ("none", "ants.none.search")


def test_hub_widens_dates_to_whole_months_and_what_lies_beyond_is_no_offer(
    search: Search, peers: Peers
) -> None:
    last = peers.day + WINDOW
    next_month = last.replace(day=28) + timedelta(days=4)
    (asked,) = peers.towns["hors-periode"].asked
    assert asked["start_date"] == [peers.day.isoformat()]
    assert asked["end_date"] == [(next_month.replace(day=1) - timedelta(days=1)).isoformat()]
    assert search.said("59-hors-periode") == ("none", "ants.none.search")


def test_postcode_asks_the_town_s_own_software_alone(search: Search, peers: Peers) -> None:
    asked = {slug: len(town.asked) for slug, town in peers.towns.items()}
    assert asked == dict.fromkeys(peers.towns, 1)
    assert peers.towns["offset"].asked[0]["reason"] == ["CNI-PASSPORT"]


def test_unknown_town_and_bad_number_are_gone(search: Search) -> None:
    assert search.said("59-inconnue") == ("gone", "ants.gone.not-listed")
    assert search.said("59-mauvais-numero") == ("gone", "ants.gone.not-listed")


@pytest.mark.parametrize("desk", ["59-en-panne", "59-arrete"])
def test_software_that_fails_or_is_stopped_is_overloaded_not_none(search: Search, desk: str) -> None:
    assert search.said(desk) == ("overloaded", "ants.overloaded.search")


def test_software_that_does_not_answer_in_time_is_told_by_status_alone(search: Search) -> None:
    """The hub gives up after 15 seconds, says that nothing failed, and lists nothing."""
    assert search.said("59-muet") == ("overloaded", "ants.overloaded.editor")
    told = read_search(page_of(search, "59-muet", 1))
    assert (told.rule, told.asked, told.failed) == ("ants.search.nothing-listed", 1, 0)


def test_outage_of_the_neighbours_does_not_touch_a_town(search: Search) -> None:
    assert search.said("59-voisin") == ("none", "ants.none.search")


def test_handshake_that_is_refused_is_blocked_and_the_host_left_alone(search: Search, peers: Peers) -> None:
    assert search.said("59-sans-websocket") == ("blocked", "http.403")
    assert left_of_pause(search.database, peers.calm.without_websocket) > timedelta(minutes=30)


def left_of_pause(database: Database, host: str) -> timedelta:
    query = "SELECT paused_until - now() AS remaining FROM hosts WHERE host = %s"
    (row,) = read_rows(database, query, host)
    remaining: timedelta = row["remaining"]
    return remaining


def page_of(search: Search, desk: str, place: int) -> Page:
    """An archived answer of a visit, by its place."""
    archived = ArchiveReader(search.home).read_page(ref_of(search.result.desks[desk]["evidence"][place]))
    return Page(archived.url, archived.status, {}, archived.body())


def header(headers: Headers, wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name.lower() == wanted), None)


def ref_of(part: Mapping[str, Any]) -> EvidenceRef:
    return EvidenceRef(**{name: part[name] for name in EvidenceRef.__dataclass_fields__})


def test_conversations_are_archived_as_said_and_read_again(search: Search, peers: Peers) -> None:
    assert [part["status"] for part in search.result.desks["59-seclin"]["evidence"]] == [200, 101]
    archived = ArchiveReader(search.home).read_page(ref_of(search.result.desks["59-seclin"]["evidence"][1]))
    assert json.loads(archived.request_body)["address"] == "Seclin 59113"
    assert header(archived.headers, b"upgrade") == b"websocket"
    assert archived.url == f"http://{peers.calm.host}/api/SlotsFromPositionStreaming"
    for file in archive_folder(search.home).rglob("*.warc.gz"):  # a standard reader finds every digest right
        with file.open("rb") as opened:
            for record in ArchiveIterator(opened, check_digests="raise"):
                record.content_stream().read()
    towns, end = split_messages(archived.body()) or []
    assert json.loads(towns)[0]["city_name"] == "Seclin"
    assert json.loads(end)["editor_errors_number"] == 0
    environment = {**clean_environment(), "GUICHETS_DATABASE_URL": search.database.dsn}
    again = subprocess.run(
        [sys.executable, "-m", "guichets", "replay"],
        cwd=ROOT,
        env={**environment, "GUICHETS_HOME": str(search.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout == "Rien ne change : les lecteurs d'aujourd'hui disent la même chose.\n"
    assert f"{len(search.result.desks)} visites relue(s), aucune laissée de côté" in again.stderr


def test_with_the_token_slots_are_asked_by_number_and_the_archive_does_not_hold_it(peers: Peers) -> None:
    calm = peers.calm.host
    desks: dict[str, tuple[str, Mapping[str, str]]] = {
        "59-seclin": (entry(calm, "59113", "Seclin"), {}),
        "59-complet": (entry(calm, "59002"), {}),
        "59-mauvais-numero": (entry(calm, "59113"), {"meeting_point": "11TEST2111"}),
        "59-ailleurs": (entry(peers.troubled.host, "59013"), {}),
    }
    result, _, home = peers.crawl(desks, **TOKENED, GUICHETS_ANTS_TOKEN_FOR=f"http://{calm}")
    said = {desk: (line["outcome"], line["rule"]) for desk, line in result.desks.items()}
    assert said == {
        "59-seclin": ("offered", "ants.offered.time-slots"),
        "59-complet": ("none", "ants.none.status"),
        "59-mauvais-numero": ("gone", "ants.gone.unknown-meeting-point"),
        "59-ailleurs": ("none", "ants.none.search"),
    }
    assert TOKEN not in result.log
    reader = ArchiveReader(home)
    shown = {
        (desk, header(reader.read_page(ref_of(part)).request_headers, b"x-hub-rdv-auth-token"))
        for desk, line in result.desks.items()
        for part in line["evidence"]
    }
    assert shown == {(desk, WITHHELD if desk != "59-ailleurs" else None) for desk in desks}
    files = list(archive_folder(home).rglob("*.warc.gz"))
    assert files
    assert not any(TOKEN.encode() in gzip.decompress(file.read_bytes()) for file in files)


def test_wrong_token_is_blocked(peers: Peers) -> None:
    calm = peers.calm.host
    desks: dict[str, tuple[str, Mapping[str, str]]] = {"59-seclin": (entry(calm, "59113", "Seclin"), {})}
    result, _, _ = peers.crawl(desks, GUICHETS_ANTS_TOKEN="faux", GUICHETS_ANTS_TOKEN_FOR=f"http://{calm}")
    line = result.desks["59-seclin"]
    assert (line["outcome"], line["rule"], line["http_status"]) == ("blocked", "ants.blocked.token", 401)


# The limits are used up last: they hold for a minute, or for as long as the hub runs.


async def searches(host: str, count: int) -> str:
    """So many searches of a place without mairies, in one conversation; the last word of the last one."""
    said = {"longitude": -40.0, "latitude": 40.0, "start_date": "2027-01-01", "end_date": "2027-01-02"}
    said |= {"radius_km": 20, "reason": "CNI", "documents_number": 1, "address": "Atlantique 99999"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{host}/api/SlotsFromPositionStreaming", timeout=CLOSING) as socket,
    ):
        for _ in range(count):
            await socket.send_json(said)
            last = await socket.receive_str()
            if last == "end_of_search":
                break
    return last


def test_search_beyond_the_limit_is_blocked_not_none(peers: Peers) -> None:
    host = peers.troubled.host
    last = asyncio.run(searches(host, MOST_A_MINUTE + 5))
    assert last == "end_of_search"
    desks: dict[str, tuple[str, Mapping[str, str]]] = {"59-voisin": (entry(host, "59013"), {})}
    result, database, _ = peers.crawl(desks)
    line = result.desks["59-voisin"]
    assert (line["outcome"], line["rule"]) == ("blocked", "ants.blocked.search-limit")
    assert left_of_pause(database, host) > timedelta(minutes=30)


def test_429_is_blocked_and_its_wait_is_kept(peers: Peers) -> None:
    host = peers.calm.host
    where = "/api/MeetingPointsFromPosition?longitude=-40&latitude=40&radius_km=20"
    statuses = [peers.calm.get(where) for _ in range(MOST_A_MINUTE + 1)]
    assert statuses[-1] == 429
    desks: dict[str, tuple[str, Mapping[str, str]]] = {"59-seclin": (entry(host, "59113"), {})}
    result, database, home = peers.crawl(desks)
    line = result.desks["59-seclin"]
    assert (line["outcome"], line["rule"], line["http_status"]) == ("blocked", "http.429", 429)
    archived = ArchiveReader(home).read_page(ref_of(line["evidence"][-1]))
    assert 0 <= int(header(archived.headers, b"retry-after") or -1) <= 60
    assert left_of_pause(database, host) > timedelta(minutes=30)
