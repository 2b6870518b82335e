"""ANTS, the State's search for a mairie that issues identity cards and passports, and the API behind it.

Who         Mairies that issue identity cards and passports, through the hub of France Titres (ex ANTS): it
            asks the booking software of each town (an « éditeur », some fifty of them); 2022-2026.
Address     …/api/SlotsFromPosition?longitude=&latitude=&radius_km=20&reason=&documents_number=&address=, a
            search as the API's documentation writes it: where, for what, and the town with its postcode. It
            is never asked itself: it brings every town of 20 km, and an outage looks there like an empty
            list.
Funnel      MeetingPointsFromPosition, the mairies around -> the slots of those of the postcode, over the
            WebSocket SlotsFromPositionStreaming, or by availableTimeSlots where we hold a token -> status,
            where nothing is listed and the search does not tell by itself whether the town's software
            answered.
Full        a mairie that is not listed in a search that every software answered: its end says how many
            failed, and each one asked sends a list. A time-out of 15 s is no failure there, so that a search
            which took that long proves nothing before status has said that no software is down, or was just
            now.
Failing     every software that was asked failed; status says that the desk's is down; 5xx.
Refusing    401 without a token, on newer versions of the hub; 429 beyond 30 requests a minute, and a bare «
            end_of_search » beyond 30 searches; « Captcha invalide », or what else names a captcha or antibot.
Stops at    slots, read only. The address that comes with each is the town's own form: it is not opened.
Counters    the mairies of the postcode, where there are several and the desk names none.
Params      meeting_point: the API's number of the mairie, where a town has several; its postcode must be the
            address's. editor: slug of the town's software in status; absent, all of them must be up.
Caveats     dates are the town's wall clock with a false suffix of UTC, as the API's documentation says: they
            are never converted. Some versions deal the numbers of mairies anew each day, so the postcode is
            the desk, and the number a param. The hub asks towns by whole months; days before today are left
            out.
Unknown     what the public search answers to a visitor without its captcha's token; who is given a token.
            Newer versions show status to their own site alone, 401: the public search is then asked where a
            token's answer is empty, and one that does not tell is `blocked`.
Sources     platform dossier on other platforms, §5 and §10 (public package of the hub, read in its versions
            2.33.0 and 3.4.1, run in the former); nothing checked on a live site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from guichets.catalogue.families import param_of
from guichets.catalogue.mairies import departement_of_postcode
from guichets.catalogue.model import Desk
from guichets.catalogue.urls import ANTS_SEARCH
from guichets.crawl.credentials import Credential
from guichets.dates import day_of, read_machine_date, wall_of
from guichets.gate import Allow, Gate
from guichets.items import DESK_TIME, Slot
from guichets.messages import split_messages
from guichets.outcomes import Outcome
from guichets.page import JSON, CounterChoice, Page, Reading, fold, is_maintenance, read_transport
from guichets.visit import Asking
from spiders.base import DeskSpider, Probe

DAY = r"\d{4}-\d\d-\d\d"
POSITION = {name: ANTS_SEARCH[name] for name in ("longitude", "latitude", "radius_km")}
ASKED = {name: ANTS_SEARCH[name] for name in ("reason", "documents_number")}
DATED = {**ASKED, "start_date": DAY, "end_date": DAY}

GATE = Gate(
    rows=(
        Allow("GET", "/api/MeetingPointsFromPosition", query=POSITION),
        Allow("GET", "/api/availableTimeSlots", query={"meeting_point_ids": r"[\w-]{1,40}", **DATED}),
        Allow("GET", "/api/status"),
        Allow(
            "GET",
            "/api/SlotsFromPositionStreaming",
            message={**ANTS_SEARCH, **DATED, "department_code": r"\d{5}"},
        ),
    ),
    stops_at="slots",
)

WINDOW = timedelta(days=150)  # what the hub itself looks ahead where nobody says how far
QUICK_SECONDS = 12.0  # the hub gives a town's software 15 s, and does not count a time-out as a failure
STEADY = timedelta(minutes=15)  # a software that was down this lately may have been so when it was asked
MOST_MAIRIES = 5_000  # there are some 3,500 in France
END_OF_SEARCH = "end_of_search"
VERDICT = r"(?s)\s*[^\[\s].*"  # lists come while the search lasts; what is no list is its last word

_ENTRY = re.compile(r"(/api)/SlotsFromPosition")
_HUMAN_CHECK = re.compile(r"captcha|antibot", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mairie:
    """One « meeting point »: a place that receives people."""

    id: str
    name: str
    zip_code: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What one mairie has free."""

    mairie: str  # its number
    slots: tuple[Slot, ...]
    software: str  # host of the town's forms; empty where they differ


@dataclass(frozen=True, slots=True)
class Editor:
    """One town software, as the hub knows it."""

    slug: str
    is_up: bool
    down_at: datetime | None  # aware; when it was last seen to go down


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Reading):
    """A reading, and what else the walk goes on with."""

    mairies: tuple[Mairie, ...] = ()
    offers: tuple[Offer, ...] = ()
    editors: tuple[Editor, ...] = ()
    asked: int | None = None  # how many softwares took part; None: not told
    failed: int = 0


def _unrecognised(rule: str, step: str, note: str | None = None) -> Told:
    return Told(outcome=Outcome.UNRECOGNISED, rule=rule, step=step, note=note)


# The answers


def read_whereabouts(page: Page) -> Told:
    """The mairies around a position, whether or not they have anything free. Never raises."""
    refusal = _refusal(page, "whereabouts")
    if refusal is not None:
        return refusal
    listed = page.json
    mairies = [_read_mairie(entry) for entry in listed] if isinstance(listed, list) else [None]
    known = tuple(mairie for mairie in mairies if mairie is not None)
    if len(known) != len(mairies) or len(known) > MOST_MAIRIES:
        return _unrecognised("ants.unrecognised.whereabouts", "whereabouts")
    return Told(rule="ants.whereabouts", step="whereabouts", mairies=known)


def _read_mairie(entry: Any) -> Mairie | None:
    if not isinstance(entry, dict):
        return None
    number, name, zip_code = entry.get("id"), entry.get("name"), entry.get("zip_code")
    if not isinstance(number, str) or not isinstance(name, str) or not isinstance(zip_code, str):
        return None
    return Mairie(number, fold(name)[:200], zip_code.strip())


def read_time_slots(page: Page) -> Told:
    """What the mairies that the address names have free. An empty answer says nothing: see the header."""
    refusal = _refusal(page, "slots")
    if refusal is not None:
        return refusal
    listed = page.json
    if not isinstance(listed, dict) or not listed.keys() <= _numbers_of(page.url):
        return _unrecognised("ants.unrecognised.time-slots", "slots")
    offers = [_read_offer(number, slots) for number, slots in listed.items() if slots != []]
    return _offered(offers, "ants.offered.time-slots", "ants.time-slots.nothing-listed")


def read_search(page: Page) -> Told:
    """What was heard of a search: a list of each software that was asked, and how many failed."""
    if page.status != 101:
        refusal = _refusal(page, "slots")
        return refusal or _unrecognised("ants.unrecognised.no-conversation", "slots")
    messages = split_messages(page.body)
    if not messages:
        return Told(outcome=Outcome.UNREACHABLE, rule="http.truncated", step="slots")
    lists = [_json_of(message) for message in messages[:-1]]
    last = messages[-1].decode("utf-8", "replace").strip()
    end = _json_of(messages[-1])
    if last == END_OF_SEARCH:  # no object: more than 30 searches a minute came from our address
        return Told(outcome=Outcome.BLOCKED, rule="ants.blocked.search-limit", step="slots", is_wall=True)
    if isinstance(end, list):
        return Told(outcome=Outcome.UNREACHABLE, rule="http.truncated", step="slots")
    failed = _failures(end)
    if failed is None and _HUMAN_CHECK.search(last[:2000]):
        return Told(outcome=Outcome.CAPTCHA, rule="ants.captcha.search", step="slots", note=last[:300])
    if failed is None or failed > len(lists) or not all(isinstance(one, list) for one in lists):
        return _unrecognised("ants.unrecognised.search", "slots", last[:300])
    offers = [
        _read_offer(entry.get("id"), entry.get("available_slots")) if isinstance(entry, dict) else None
        for one in lists
        for entry in one
    ]
    told = _offered(offers, "ants.offered.search", "ants.search.nothing-listed")
    return replace(told, asked=len(lists), failed=failed)


def _failures(end: Any) -> int | None:
    """How many softwares failed, by the last word of a search; None for what is not its last word."""
    failed = end.get("editor_errors_number") if isinstance(end, dict) else None
    is_count = isinstance(failed, int) and not isinstance(failed, bool) and failed >= 0
    return failed if is_count and end.get("step") == END_OF_SEARCH else None


def _json_of(message: bytes) -> Any:
    """A message as JSON; None when it is none."""
    return Page("", 200, body=message).json


def _offered(offers: Sequence[Offer | None], rule: str, nothing: str) -> Told:
    known = tuple(offer for offer in offers if offer is not None)
    if len(known) != len(offers):
        return _unrecognised("ants.unrecognised.slot", "slots")
    if not known:
        return Told(rule=nothing, step="slots")
    slots = tuple(slot for offer in known for slot in offer.slots)
    count = len(set(slots))
    return Told(outcome=Outcome.OFFERED, rule=rule, step="slots", slots=slots, slot_count=count, offers=known)


def _read_offer(number: Any, entries: Any) -> Offer | None:
    """The slots of a mairie, by its wall clock; None for what is none."""
    if not isinstance(number, str) or not isinstance(entries, list) or not entries:
        return None
    slots = [_read_slot(entry) for entry in entries]
    known = tuple(slot for slot in slots if slot is not None)
    if len(known) != len(slots):
        return None
    hosts = {_host_of(entry.get("callback_url")) for entry in entries}
    return Offer(number, known, hosts.pop() if len(hosts) == 1 else "")


def _read_slot(entry: Any) -> Slot | None:
    written = entry.get("datetime") if isinstance(entry, dict) else None
    slot = read_machine_date(written) if isinstance(written, str) else None
    wall = wall_of(slot) if slot is not None else None
    return Slot(wall.replace(tzinfo=DESK_TIME)) if wall is not None else None


def _host_of(address: Any) -> str:
    """Whose form a slot leads to; nothing more of its address is kept."""
    try:
        return (urlsplit(address).hostname or "")[:100] if isinstance(address, str) else ""
    except ValueError:
        return ""


def read_status(page: Page) -> Told:
    """Every software the hub knows, up or down. Never raises."""
    refusal = _refusal(page, "status")
    if refusal is not None:
        return refusal
    listed = page.json.get("editors") if isinstance(page.json, dict) else None
    editors = [_read_editor(entry) for entry in listed] if isinstance(listed, list) else []
    known = tuple(editor for editor in editors if editor is not None)
    if not known or len(known) != len(editors):
        return _unrecognised("ants.unrecognised.status", "status")
    return Told(rule="ants.status", step="status", editors=known)


def _read_editor(entry: Any) -> Editor | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("slug"), str):
        return None
    is_up, down = entry.get("status"), entry.get("api_down_datetime")
    if not isinstance(is_up, bool) or not (down is None or isinstance(down, str)):
        return None
    try:
        down_at = datetime.fromisoformat(down) if down else None
    except ValueError:
        return None
    if down_at is not None and down_at.tzinfo is None:
        return None
    return Editor(entry["slug"], is_up, down_at)


def _refusal(page: Page, step: str) -> Told | None:
    """What stands in place of the JSON that was asked for; None when it is there."""
    said = page.json if isinstance(page.json, dict) else {}
    error, detail = said.get("Erreur"), said.get("detail")
    if isinstance(error, str) and _HUMAN_CHECK.search(error):
        return Told(outcome=Outcome.CAPTCHA, rule="ants.captcha.refused", step=step, note=fold(error)[:300])
    if page.status == 401 and isinstance(detail, str) and "AUTH-TOKEN" in detail:
        return Told(outcome=Outcome.BLOCKED, rule="ants.blocked.token", step=step)
    if page.status == 404 and isinstance(detail, str) and detail.startswith("Unknown Meeting Point ID"):
        return Told(outcome=Outcome.GONE, rule="ants.gone.unknown-meeting-point", step=step)
    if 200 <= page.status <= 299 and page.media_type == "text/html" and is_maintenance(page):
        return Told(outcome=Outcome.OVERLOADED, rule="ants.overloaded.maintenance", step=step)
    transport = read_transport(page, family="ants", kinds=JSON)
    if transport is not None:
        return Told(outcome=transport.outcome, rule=transport.rule, step=step, note=transport.note)
    if page.json is None:
        return _unrecognised("ants.unrecognised.not-json", step)
    return None


def _numbers_of(url: str) -> frozenset[str]:
    """The mairies that a request names."""
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:
        return frozenset()
    return frozenset(value for name, value in pairs if name == "meeting_point_ids")


# The walk


@dataclass(frozen=True, slots=True)
class Search:
    """What a desk's address asks for."""

    api: str  # up to its /api
    longitude: str
    latitude: str
    radius_km: str
    reason: str
    documents_number: str
    address: str  # of the town, with its postcode

    @property
    def zip_code(self) -> str:
        return self.address[-5:]

    @property
    def around(self) -> str:
        """Where the mairies around are listed."""
        where = f"longitude={self.longitude}&latitude={self.latitude}&radius_km={self.radius_km}"
        return f"{self.api}/MeetingPointsFromPosition?{where}"

    def time_slots(self, mairie: str, first: date, last: date) -> str:
        """Where the slots of one mairie are listed, for whom a token was given to."""
        what = f"reason={self.reason}&documents_number={self.documents_number}"
        dates = f"start_date={first}&end_date={last}"
        return f"{self.api}/availableTimeSlots?meeting_point_ids={quote(mairie, safe='')}&{dates}&{what}"

    def message(self, first: date, last: date) -> bytes:
        """The public search; a postcode in place of a département's code asks this town's software alone."""
        asked = {
            "longitude": float(self.longitude),
            "latitude": float(self.latitude),
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            "radius_km": int(self.radius_km),
            "reason": self.reason,
            "documents_number": int(self.documents_number),
            "address": self.address,
            "department_code": self.zip_code,
        }
        return json.dumps(asked).encode("ascii")

    @property
    def streaming(self) -> str:
        scheme, _, rest = self.api.partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/SlotsFromPositionStreaming"


def search_of(desk: Desk) -> Search | None:
    """What the desk's address asks for; None for an address that is no entry."""
    parts = urlsplit(desk.url)
    path = _ENTRY.fullmatch(parts.path)
    asked = dict(parse_qsl(parts.query))
    if path is None or not all(re.fullmatch(ANTS_SEARCH[name], asked.get(name, "")) for name in ANTS_SEARCH):
        return None
    return Search(
        api=f"{parts.scheme}://{parts.netloc}{path[1]}",
        **{name: value for name, value in asked.items() if name in ANTS_SEARCH},
    )


def settle_by_search(told: Told, elapsed_seconds: float) -> Told | None:
    """What nothing listed means, where the search itself tells whether the town's software answered."""
    if told.asked == 0:
        return _unrecognised("ants.unrecognised.nobody-asked", "slots")
    if told.asked is None or 0 < told.failed < told.asked:
        return None
    if told.failed:
        return Told(outcome=Outcome.OVERLOADED, rule="ants.overloaded.search", step="slots")
    is_quick = elapsed_seconds < QUICK_SECONDS
    return Told(outcome=Outcome.NONE, rule="ants.none.search", step="slots") if is_quick else None


def settle_by_status(told: Told, status: Told, editor: str | None, now: datetime) -> Told:
    """What nothing listed means, by what the hub says afterwards of the desk's software, or of them all."""
    if status.outcome not in {None, Outcome.GONE}:
        return status
    meant = [one for one in status.editors if editor in {None, one.slug}]
    down = [one.slug for one in meant if not one.is_up]
    lately = [one.slug for one in meant if one.down_at is not None and now - one.down_at < STEADY]
    if meant and len(down) == len(meant):
        note = _listed(down)
        return Told(outcome=Outcome.OVERLOADED, rule="ants.overloaded.editor", step="status", note=note)
    if not meant or down or lately or told.failed:
        return _unrecognised("ants.unrecognised.which-editor", "status", _listed([*down, *lately]))
    return Told(outcome=Outcome.NONE, rule="ants.none.status", step="status")


def _listed(slugs: Sequence[str]) -> str | None:
    return f"down: {', '.join(sorted(set(slugs)))}"[:300] if slugs else None


@dataclass(slots=True)
class _Visit:
    """One visit of one town."""

    probe: Probe
    search: Search
    editor: str | None
    first: date
    signed: bool  # we hold a token for this API

    @property
    def last(self) -> date:
        return self.first + WINDOW

    async def look_for(self, mairie: str) -> Told:
        """The slots of one mairie, by its number."""
        address = self.search.time_slots(mairie, self.first, self.last)
        return await self.probe.ask(address, read_time_slots, Asking(signed=True))

    async def look(self, mairies: Sequence[Mairie]) -> dict[str, Told]:
        """What each mairie has, by its number."""
        if self.signed:
            return {mairie.id: await self.look_for(mairie.id) for mairie in mairies}
        told = await self.listen()
        return {mairie.id: told for mairie in mairies}

    async def listen(self) -> Told:
        """The public search, for the mairies of the postcode."""
        asking = Asking(body=self.search.message(self.first, self.last), until=VERDICT)
        return await self.probe.ask(self.search.streaming, read_search, asking)

    async def status(self) -> Told:
        return await self.probe.ask(f"{self.search.api}/status", read_status, Asking(signed=True))

    async def settled(self, mairies: Sequence[Mairie]) -> dict[str, Told]:
        """What each mairie's reading comes to; status is asked once, if an empty one needs it."""
        found = await self.look(mairies)
        elapsed_seconds = self.probe.elapsed_seconds
        status = None
        for number in found:
            told = found[number] = self._of(number, found[number])
            if told.outcome is not None:
                continue
            verdict = settle_by_search(told, elapsed_seconds)
            if verdict is None:
                status = status or await self.status()
                verdict = settle_by_status(told, status, self.editor, self.probe.now())
                if status.outcome is not None and told.asked is None:
                    # else whom a token was given, and status is not shown, would see offers and never a zero
                    verdict = await self.searched(number) or verdict
            found[number] = verdict
        return found

    async def searched(self, number: str) -> Told | None:
        """What the public search tells of one mairie; None where it does not tell either."""
        told = self._of(number, await self.listen())
        return told if told.outcome is not None else settle_by_search(told, self.probe.elapsed_seconds)

    def _of(self, number: str, told: Told) -> Told:
        """One mairie's part of an answer, from today on."""
        if told.outcome is not Outcome.OFFERED:
            return told
        offers = [offer for offer in told.offers if offer.mairie == number]
        listed = [slot for offer in offers for slot in offer.slots]
        slots = tuple(slot for slot in listed if day_of(slot) >= self.first)
        if listed and not slots:
            return _unrecognised("ants.unrecognised.past-slots", "slots")
        if not slots:
            return replace(told, outcome=None, slots=(), slot_count=None, offers=())
        software = {offer.software for offer in offers}
        return replace(
            told,
            slots=slots,
            slot_count=len(set(slots)),
            facts=tuple(("software", host) for host in software if host),
        )

    async def nowhere(self, number: str | None) -> Told:
        """What it means that the mairie is not among those around."""
        if number is not None and self.signed:
            told = await self.look_for(number)
            rule = "ants.unrecognised.renumbered"
            return told if told.outcome is Outcome.GONE else _unrecognised(rule, "whereabouts")
        status = await self.status()
        if status.outcome is not None:
            return status
        if all(editor.is_up for editor in status.editors):
            return Told(outcome=Outcome.GONE, rule="ants.gone.not-listed", step="whereabouts")
        # the hub leaves out a town whose software was down when it made its list
        return _unrecognised("ants.unrecognised.not-listed", "whereabouts")


class AntsSpider(DeskSpider):
    name = "ants"
    gate = GATE
    parser_version = 1
    entry = r"/api/SlotsFromPosition\?\S*\blongitude=\S+"
    credential = Credential("X-HUB-RDV-AUTH-TOKEN", "GUICHETS_ANTS_TOKEN", "GUICHETS_ANTS_TOKEN_FOR")
    readers = MappingProxyType[str, Callable[[Page], Reading]](
        {
            "page": read_time_slots,
            "search": read_search,
            "whereabouts": read_whereabouts,
            "status": read_status,
        }
    )

    @staticmethod
    def has_anchor(page: Page) -> bool:
        """The end of a search, the mairies of the request, or whatever the API names in its own words."""
        if page.status == 101 and (messages := split_messages(page.body)):
            return (
                END_OF_SEARCH.encode() in messages[-1]
                or _HUMAN_CHECK.search(messages[-1].decode("utf-8", "replace")) is not None
            )
        found = page.json if isinstance(page.json, dict) else {}
        return bool(found.keys() & (_numbers_of(page.url) | {"editors", "detail", "Erreur"}))

    @classmethod
    def departement_of(cls, url: str) -> str | None:
        """Told by the postcode, but for the few communes that have that of a neighbour."""
        return departement_of_postcode(dict(parse_qsl(urlsplit(url).query)).get("address", "")[-5:])

    async def walk(self, probe: Probe) -> None:
        search = search_of(probe.desk)
        if search is None:
            rule = "ants.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=rule, note=probe.desk.url))
            return
        around = await probe.ask(search.around, read_whereabouts, Asking(signed=True))
        if around.outcome is not None:
            probe.conclude(around)
            return
        number, editor = (param_of("ants", probe.desk.params, name) for name in ("meeting_point", "editor"))
        signed = probe.is_signed_for(search.around)
        visit = _Visit(probe, search, editor, probe.today(), signed)
        mairies = [mairie for mairie in around.mairies if mairie.zip_code == search.zip_code]
        chosen = [mairie for mairie in mairies if number in {None, mairie.id}]
        if not chosen:
            probe.conclude(await visit.nowhere(number))
            return
        if len(chosen) == 1:
            probe.conclude((await visit.settled(chosen))[chosen[0].id])
            return
        counters = [CounterChoice(mairie.id, mairie.name) for mairie in chosen]
        probe.announce(counters)
        found = await visit.settled(chosen)
        probe.announce(counters, listed=True)  # what was asked since the first tells of each of them
        for counter in counters:
            probe.conclude(found[counter.key], counter)
