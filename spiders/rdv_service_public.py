"""RDV Service Public, the State's own appointment service: also RDV-Solidarités, RDV Aide numérique.

Who         One préfecture at least (récépissés, 2026), départements, mairies, France services, on a few
            common hosts: rdv.anct.gouv.fr, www.rdv-solidarites.fr, www.rdv-aide-numerique.fr.
Address     /prendre_rdv?... (department, organisation, motive), /prdv, or a short link /org/<id>[/<slug>]
            or /org/ext/<territory>/<id> that answers 302 to /prendre_rdv with the organisation in it.
Funnel      Whatever is missing is asked: address -> service -> motive -> place (or organisation, when the
            motive needs no place) -> week of slots. A step with a single answer may be skipped. Which page
            this is, its own sentence says; the next address is this one with one more parameter.
Full        « Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé. »; « Le motif
            ... n'est plus disponible à la réservation à ... ». Places without a slot are not listed.
Failing     the framework's 5xx pages; a page titled « maintenance ».
Refusing    429 and 403, seen by programs that asked every second.
Stops at    creneaux, the week of slots, read only. The date of a slot is in its link, read as text; the
            link itself (/users/... or /creneaux?...) is never asked for: it begins the booking.
Counters    One for each place of a motive, `<motive>.lieu-<id>` or `<motive>.organisation-<id>`: seen only
            while it offers, because it is listed only then. A motive among several that lists none is the
            counter `<motive>`; where there is one motive alone, the desk's own line says so. <motive> is
            the slug of motif_name_with_location_type (`motif-<id>` where the address names it so), after
            `service-<id>.` only for the second of two services that have the same.
Params      service_id, motif_name_with_location_type: added to the address when it does not hold them.
Caveats     An empty `departement=` leads to the address step (2024) or is ignored (2026): in the first
            case the short link of the organisation is asked, which fills it in. First dates are those of
            the place cards, in the desk's own clock unless the card's link gives its offset; the second
            comes from the place's week or the week after: two requests a place at most. Beyond 8 services,
            12 motives or 40 places of one motive nothing is walked (`too-many-counters`); beyond 12 places
            a visit, a place keeps the one date of its card.
            /api/v1/public_links lists the organisations that can be booked, if they have an external id. It
            is asked where it says more, when a whole desk has no slot, in one hour out of 24, and only when
            the address names both the organisation and its department: a fact, no outcome. Its limit of
            50 requests a minute is eight times our pace.
Unknown     which préfecture is organisation 2458; what a switched-off organisation shows, so nothing is
            read as `closed`; a week without slot nor further date; the number of ANTS files mairies ask.
Sources     platform dossier « others », §3 (the platform's public source of 2024 and later, three public
            programs of 2026); nothing checked on a live site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import cast
from unicodedata import normalize
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from zoneinfo import ZoneInfo

from lxml import etree

from guichets.catalogue.families import param_of
from guichets.catalogue.model import Desk
from guichets.dates import (
    MACHINE_DATE,
    day_of,
    in_order,
    in_zone,
    read_french_date,
    read_machine_date,
    wall_of,
)
from guichets.gate import Allow, Gate
from guichets.items import Slot
from guichets.outcomes import Outcome
from guichets.page import JSON, CounterChoice, Page, Reading, fold, read_transport, visible_text
from guichets.visit import is_drawn
from spiders.base import DeskSpider, Probe, ProbeStopped

MAX_SERVICES = 8
MAX_MOTIVES = 12
MAX_PLACES = 40  # listed by one motive; a page with more is not one we know
PRESENCE_ONE_IN = 24  # hours in which the public links are asked for
MAX_PLACES_VISITED = 12  # asked for their second date, two requests each at most

_ID = r"\d{0,12}"
_NUMBER = r"-?\d{0,3}(?:\.\d{1,20})?"
_SHORT_LINK = r"/org/(?:\d{1,12}|ext/[0-9AB]{2,3}/[A-Za-z0-9_-]{1,60})(?:/[A-Za-z0-9_-]{1,120})?"
SEARCH = {  # dossier §3, without what names a person (invitation_token, prescripteur, referent_ids[])
    "departement": r"[0-9AB]{0,3}",
    "city_code": r"[0-9AB]{0,5}",
    "street_ban_id": r"[0-9A-Za-z_-]{0,40}",
    "latitude": _NUMBER,
    "longitude": _NUMBER,
    "address": r"[^\x00-\x1f<>@=&]{0,200}",
    "service_id": _ID,
    "motif_name_with_location_type": r"[a-z0-9_-]{0,255}",
    "motif_category_short_name": r"[A-Za-z0-9_-]{0,80}",
    "motif_id": _ID,
    "lieu_id": _ID,
    "date": MACHINE_DATE,
    "public_link_organisation_id": _ID,
    "user_selected_organisation_id": _ID,
    "organisation_ids[]": _ID,
    "external_organisation_ids[]": r"[A-Za-z0-9_-]{0,60}",
}
GATE = Gate(
    rows=(
        Allow("GET", r"/prendre_rdv", optional=SEARCH),
        Allow("GET", r"/prdv", optional=SEARCH),
        Allow("GET", _SHORT_LINK),
        Allow("GET", r"/", redirect_only=True),  # where an unknown organisation leads
        Allow("GET", r"/api/v1/public_links", query={"territory": r"[0-9AB]{2,3}"}),
    ),
    stops_at="creneaux",
)

HEADINGS = {  # the sentence that opens each step, dossier §3
    "Sélectionnez le service avec qui vous voulez prendre un RDV": "service",
    "Sélectionnez le motif de votre RDV": "motif",
    "Sélectionnez un lieu de RDV": "lieu",
    "Sélectionnez la structure avec laquelle prendre RDV": "organisation",
    "Sélectionnez un créneau": "creneaux",
    "Inscrivez-vous à l'atelier de votre choix": "atelier",
}
CHOSEN_BY = {  # the parameter that answers a step
    "service": "service_id",
    "motif": "motif_name_with_location_type",
    "lieu": "lieu_id",
    "organisation": "user_selected_organisation_id",
}
NONE_SENTENCE = "Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé"
NONE_INVITATION = "Malheureusement, aucun créneau correspondant à votre invitation n'a été trouvé"
NONE_MOTIVE = "n'est plus disponible à la réservation à"  # « Le motif X ... Y »
UNKNOWN_ORGANISATION = "Organisation non trouvée"
NEXT_DATE = "Prochaine disponibilité le"
DAY_CLOSED = "Date fermée à la reservation"  # sic
MAINTENANCE = ("maintenance", "site indisponible")
BRANDS = ("RDV Service Public", "RDV Solidarités", "RDV-Solidarités", "RDV Aide Numérique", "RDV Mairie")
WEEK_DAYS = 7  # columns of the week of slots

_OPENINGS = ("Malheureusement,", "Le motif")  # how the sentences above begin
_FIELDS = etree.XPath("//form[contains(@action, '/prendre_rdv')]//input/@name", smart_strings=False)
_IMAGES = etree.XPath("//img/@alt", smart_strings=False)
_WEEK = etree.XPath("//div/@id[starts-with(., 'creneaux-lieu-')]", smart_strings=False)
_SPEAKING_TAGS = ("div", "p", "span", "strong", "b", "li", "td", "h1", "h2", "h3", "h4", "h5")
_SIGN_IN = ("/users/sign_in", "/agents/sign_in")
_SLOT_PATHS = ("/users/rdv_wizard_step/new", "/creneaux")
_Link = tuple[etree._Element, dict[str, str]]  # a link to the search, and its query
_COUNT = re.compile(r"\b(\d{1,4}) lieux? (?:est|sont) disponibles?\b")
_ENTRY_PATH = re.compile(rf"/prendre_rdv|/prdv|{_SHORT_LINK}", re.ASCII)
_PUBLIC_LINK = re.compile(r"/org/(\d{1,12})(?:/[^/?#]*)?/?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that a step offers: what it adds to the address, and the first date beside it."""

    value: str  # of the step's parameter
    label: str
    date: str = ""  # of the link, as written: the week to open
    slot: Slot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReading(Reading):
    """What a page of the search says, and where it leads."""

    choices: tuple[Choice, ...] = ()
    next_date: str = ""  # `date=` of the following week's link, or of the next free date's


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    path: str  # of the address that answered
    text: str
    is_maintenance: bool
    steps: frozenset[str]
    has_anchor: bool
    has_address_form: bool
    has_week: bool  # the block that holds a week of slots
    choices: tuple[Choice, ...]  # of the step, when there is exactly one
    openings: tuple[str, ...]  # texts that begin as a no-slot sentence does
    slots: tuple[Slot, ...]
    next_slot: Slot | None  # of the link that leaps to the next free date
    next_date: str
    has_sign_up: bool  # « S'inscrire », for a workshop
    week_end: date | None

    @cached_property
    def step(self) -> str | None:
        return next(iter(self.steps)) if len(self.steps) == 1 else None

    @cached_property
    def is_bare(self) -> bool:
        """Nothing on the page can be chosen."""
        return not (self.choices or self.slots or self.next_slot or self.steps - {"creneaux"})


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page; menus, which may hold hundreds of links, are passed over."""
    text = visible_text(root)
    steps = frozenset(step for words, step in HEADINGS.items() if words in text)
    step = next(iter(steps)) if len(steps) == 1 else None
    here = _query(page.url)
    paths = list(_read_own_links(root))
    links = [(link, _query(href)) for link, href, path in paths if path == "/prendre_rdv"]
    slots = {
        starts
        for _, href, path in paths
        if path in _SLOT_PATHS and (starts := read_machine_date(_query(href).get("starts_at", "")))
    }
    fields = set(_texts(_FIELDS, root)) if "search_form" in page.text or "address" in page.text else set()
    has_week = "creneaux-lieu-" in page.text and bool(_texts(_WEEK, root))
    has_anchor = (
        bool(links or fields or has_week)
        or any(path in _SIGN_IN for _, _, path in paths)
        or any(brand in words for words in (text, *_texts(_IMAGES, root)) for brand in BRANDS)
        or _shows_motive(here, text)
    )
    speaks_of_none = any(words in text for words in _OPENINGS)
    next_slot, next_date = _read_week_links(links) if step == "creneaux" else (None, "")
    return Landmarks(
        path=_path(page.url),
        text=text,
        is_maintenance=not has_anchor and _speaks_of_maintenance(root),
        steps=steps,
        has_anchor=has_anchor,
        has_address_form={"departement", "address"} <= fields,
        has_week=has_week,
        choices=_read_choices(step, links, here) if step in CHOSEN_BY else (),
        openings=tuple(_read_openings(root)) if speaks_of_none else (),
        slots=tuple(sorted(slots, key=in_order)),
        next_slot=next_slot,
        next_date=next_date,
        has_sign_up=step == "atelier" and any("S'inscrire" in visible_text(a) for a in root.iter("a")),
        week_end=_read_week_end(next_slot, next_date, here, text) if step == "creneaux" else None,
    )


def _read_own_links(root: etree._Element) -> Iterator[tuple[etree._Element, str, str]]:
    """The platform's own links, with address and path; a site's menus hold hundreds of others."""
    for link in root.iter("a"):
        href = link.get("href")
        if href and ("/prendre_rdv" in href or "starts_at=" in href or "/sign_in" in href):
            yield link, href, _path(href)


def _read_openings(root: etree._Element) -> Iterator[str]:
    """The texts of the elements that begin, by themselves, as a no-slot sentence does."""
    for element in root.iter(*_SPEAKING_TAGS):
        own = element.text
        if own and fold(own.lstrip()[:80]).startswith(_OPENINGS):
            yield visible_text(element)


def _texts(path: etree.XPath, root: etree._Element) -> list[str]:
    return cast(list[str], path(root))


def _speaks_of_maintenance(root: etree._Element) -> bool:
    titles = (visible_text(title).lower() for title in root.iter("title", "h1", "h2"))
    return any(word in title for title in titles for word in MAINTENANCE)


def _read_choices(step: str | None, links: Sequence[_Link], here: Mapping[str, str]) -> tuple[Choice, ...]:
    """The answers that the step's links add to the address, each once, in the page's order."""
    name = CHOSEN_BY[step or ""]
    found: dict[str, Choice] = {}
    for link, query in links:
        value = query.get(name, "")
        if not value or value == here.get(name) or re.fullmatch(SEARCH[name], value, re.ASCII) is None:
            continue  # a link back, or none of this step's
        card = _card_of(link)
        date_text = query.get("date", "")
        slot = _read_next_date(card, date_text) if step in {"lieu", "organisation"} else None
        known = found.get(value)
        if known is None or (known.slot is None and slot is not None):
            found[value] = Choice(value, _label_of(card, link), date_text, slot)
    return tuple(found.values())


def _card_of(link: etree._Element) -> etree._Element:
    """The card in which a link stands: both layouts have one around each answer."""
    for element in (link, *link.iterancestors()):
        if {"card", "fr-card"} & set((element.get("class") or "").split()):
            return element
        if element.tag in {"body", "main", "section"}:
            break
    return link


def _label_of(card: etree._Element, link: etree._Element) -> str:
    """The card's title; without one, the link's own words."""
    for element in card.iter("h2", "h3", "h4", "h5", "div", "p"):
        classes = (element.get("class") or "").split()
        if element.tag in {"h2", "h3", "h4", "h5"} or {"card-title", "fr-card__title"} & set(classes):
            title = visible_text(element)
            if title:
                return title
    return visible_text(link).partition(NEXT_DATE)[0].strip()


def _read_next_date(element: etree._Element, date_text: str) -> Slot | None:
    """The date after « Prochaine disponibilité le »: French words, to which the link gives the offset."""
    _, found, words = visible_text(element).partition(NEXT_DATE)
    return _with_offset(read_french_date(words[:60]), date_text) if found else None


def _with_offset(shown: Slot | None, date_text: str) -> Slot | None:
    """A date as shown, with the offset of its link's where both are the same hour."""
    linked = read_machine_date(date_text)
    if shown is None or linked is None or wall_of(shown) is None:
        return shown
    return linked if wall_of(linked) == wall_of(shown) else shown


def _read_week_links(links: Sequence[_Link]) -> tuple[Slot | None, str]:
    """The next free date that an empty week points at, else where the following week begins."""
    following = ""
    for link, query in links:
        date_text = query.get("date", "")
        if re.fullmatch(MACHINE_DATE, date_text, re.ASCII) is None:
            continue
        if (link.get("aria-label") or "").strip().lower() == "semaine suivante":
            following = following or date_text
        elif (slot := _read_next_date(link, date_text)) is not None:
            return slot, date_text
    return None, following


def _read_week_end(next_slot: Slot | None, next_date: str, here: Mapping[str, str], text: str) -> date | None:
    """The last day that the week shows and that can be booked."""
    began = read_machine_date(here.get("date", ""))
    following = read_machine_date(next_date) if next_slot is None else None
    if following is not None:
        end = day_of(following) - timedelta(days=1)
    elif began is not None:
        end = day_of(began) + timedelta(days=WEEK_DAYS - 1)
    else:
        return None
    closed = text.count(DAY_CLOSED)
    return end - timedelta(days=closed) if closed < WEEK_DAYS else None


def _shows_motive(here: Mapping[str, str], text: str) -> bool:
    """Whether the page names the motive of its address, written as addresses write it."""
    name = here.get("motif_name_with_location_type", "").rpartition("-")[0]
    return len(name) >= 8 and name in _slug(text)


def _slug(text: str) -> str:
    """Without accents, in lower case, other characters as underscores."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "_", plain)


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _pairs(address: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(address).query, keep_blank_values=True)
    except ValueError:
        return []


def _query(address: str) -> dict[str, str]:
    """The query of an address; of a name that comes twice, the first value."""
    return dict(reversed(_pairs(address)))


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its reading is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome | None = None  # None: the funnel goes on
    step: str | None = None


def _says(marks: Landmarks, sentence: str) -> bool:
    return any(opening.startswith(sentence) for opening in marks.openings)


def _lists_dated_places(marks: Landmarks, step: str) -> bool:
    return marks.step == step and any(choice.slot is not None for choice in marks.choices)


# Said by a whole 2xx page that bears the family's anchor.
PAGE_RULES: tuple[Rule, ...] = (
    Rule(
        "rdv_service_public.gone.unknown-organisation",
        lambda m: m.path in {"", "/"} and UNKNOWN_ORGANISATION in m.text and not m.steps,
        Outcome.GONE,
    ),
    Rule(
        "rdv_service_public.unrecognised.two-steps",
        lambda m: len(m.steps) > 1,
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "rdv_service_public.unrecognised.slots-and-none",  # a page that says both says nothing
        lambda m: not m.is_bare and (_says(m, NONE_SENTENCE) or _says(m, NONE_INVITATION)),
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "rdv_service_public.offered.creneaux",
        lambda m: m.step == "creneaux" and bool(m.slots),
        Outcome.OFFERED,
        step="creneaux",
    ),
    Rule(
        "rdv_service_public.offered.next-date",  # an empty week that says when the next free date is
        lambda m: m.step == "creneaux" and m.has_week and m.next_slot is not None,
        Outcome.OFFERED,
        step="creneaux",
    ),
    Rule(
        "rdv_service_public.offered.workshop",
        lambda m: m.step == "atelier" and m.has_sign_up,
        Outcome.OFFERED,
        step="creneaux",
    ),
    Rule(
        "rdv_service_public.none.search",
        lambda m: m.is_bare and _says(m, NONE_SENTENCE),
        Outcome.NONE,
    ),
    Rule(
        "rdv_service_public.none.invitation",
        lambda m: m.is_bare and _says(m, NONE_INVITATION),
        Outcome.NONE,
    ),
    Rule(
        "rdv_service_public.none.motive-at-place",
        lambda m: m.is_bare and any(NONE_MOTIVE in opening for opening in m.openings if _is_motive(opening)),
        Outcome.NONE,
        step="creneaux",
    ),
    Rule(
        "rdv_service_public.unrecognised.too-many-counters",
        lambda m: (
            len(m.choices) > {"service": MAX_SERVICES, "motif": MAX_MOTIVES}.get(m.step or "", MAX_PLACES)
        ),
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "rdv_service_public.offered.places",  # only places with a slot are listed
        lambda m: _lists_dated_places(m, "lieu"),
        Outcome.OFFERED,
        step="lieu",
    ),
    Rule(
        "rdv_service_public.offered.organisations",
        lambda m: _lists_dated_places(m, "organisation"),
        Outcome.OFFERED,
        step="organisation",
    ),
    Rule(
        "rdv_service_public.unrecognised.undated-places",
        lambda m: m.step in {"lieu", "organisation"},
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "rdv_service_public.motif",
        lambda m: m.step == "motif" and bool(m.choices),
        step="motif",
    ),
    Rule(
        "rdv_service_public.service",
        lambda m: m.step == "service" and bool(m.choices),
        step="service",
    ),
    Rule(
        "rdv_service_public.unrecognised.empty-week",  # no further date said: nothing is proved
        lambda m: m.step == "creneaux" and m.has_week,
        Outcome.UNRECOGNISED,
        step="creneaux",
    ),
    Rule(
        "rdv_service_public.unrecognised.address-step",
        lambda m: m.has_address_form and not m.steps and m.path == "/prendre_rdv",
        Outcome.UNRECOGNISED,
        step="address",
    ),
    Rule("rdv_service_public.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def _is_motive(opening: str) -> bool:
    return opening.startswith("Le motif ")


def read_page(page: Page) -> SearchReading:
    """What a page of the search says, by landmarks alone. Never raises, whatever the bytes."""
    transport = read_transport(page, family="rdv_service_public")
    if transport is not None:
        return SearchReading(outcome=transport.outcome, rule=transport.rule)
    if page.root is None:
        return _unrecognised("rdv_service_public.unrecognised")
    marks = find_landmarks(page, page.root)
    if marks.is_maintenance:
        return SearchReading(outcome=Outcome.OVERLOADED, rule="rdv_service_public.overloaded.maintenance")
    if not marks.has_anchor:
        return _unrecognised("rdv_service_public.unrecognised")
    row = next(row for row in PAGE_RULES if row.holds(marks))
    return _reading_of(row, marks)


def _reading_of(row: Rule, marks: Landmarks) -> SearchReading:
    is_week = row.step == "creneaux"
    lists_places = row.step in {"lieu", "organisation"}
    slots: tuple[Slot, ...] = ()
    if row.outcome is Outcome.OFFERED and lists_places:
        found = {choice.slot for choice in marks.choices if choice.slot is not None}
        slots = tuple(sorted(found, key=in_order))
    elif row.outcome is Outcome.OFFERED and is_week:
        slots = marks.slots or ((marks.next_slot,) if marks.next_slot is not None else ())
    goes_on = row.outcome is None or (lists_places and row.outcome is Outcome.OFFERED)
    listed = _COUNT.search(marks.text) if lists_places else None
    return SearchReading(
        outcome=row.outcome,
        rule=row.id,
        step=row.step or marks.step,
        counters=tuple(CounterChoice(_key(row.step, choice.value), choice.label) for choice in marks.choices)
        if goes_on
        else (),
        slots=slots,
        slot_count=len(slots) or None,
        horizon_end=marks.week_end if is_week and row.outcome is Outcome.OFFERED else None,
        facts=(("places", listed[1]),) if listed else (),
        choices=marks.choices if goes_on else (),
        next_date=marks.next_date if is_week else "",
    )


def _key(step: str | None, value: str) -> str:
    """How an answer is named among counters."""
    return value if step == "motif" else f"{step}-{value}"


def _unrecognised(rule: str, step: str | None = None) -> SearchReading:
    return SearchReading(outcome=Outcome.UNRECOGNISED, rule=rule, step=step)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksReading(Reading):
    """The organisations that a territory lists as bookable."""

    organisations: frozenset[str] = frozenset()


def read_public_links(page: Page) -> LinksReading:
    """The list of public links: a fact beside the outcome, never a verdict."""
    transport = read_transport(page, family="rdv_service_public", kinds=JSON)
    if transport is not None:
        return LinksReading(outcome=transport.outcome, rule=transport.rule)
    links = page.json.get("public_links") if isinstance(page.json, dict) else None
    if not isinstance(links, list):
        return LinksReading(outcome=Outcome.UNRECOGNISED, rule="rdv_service_public.unrecognised.public-links")
    found = set()
    for link in links:
        address = link.get("public_link") if isinstance(link, dict) else None
        organisation = _PUBLIC_LINK.search(address) if isinstance(address, str) else None
        if organisation is None:
            return LinksReading(
                outcome=Outcome.UNRECOGNISED, rule="rdv_service_public.unrecognised.public-links"
            )
        found.add(organisation[1])
    return LinksReading(rule="rdv_service_public.public-links", organisations=frozenset(found))


@dataclass(frozen=True, slots=True)
class _Motive:
    """A motive to walk."""

    counter: CounterChoice
    url: str


class _Walk:
    """One visit of one desk: what is shared by its steps."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.visited = 0  # places asked for their second date
        self.announced: list[CounterChoice] = []

    async def ask(self, url: str) -> SearchReading:
        return await self.probe.ask(url, read_page)

    async def run(self) -> None:
        probe = self.probe
        entry = _entry(probe.desk)
        if entry is None:
            rule = "rdv_service_public.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=rule, note=probe.desk.url))
            return
        reading = await self._open(entry)
        motives = await self._motives(reading)
        if motives is None:
            probe.conclude(_unrecognised("rdv_service_public.unrecognised.too-many-counters", reading.step))
        elif motives:
            await self._walk_motives(motives)
        elif _leads_to_places(reading):
            name = _motive_key(probe.url)
            await self._walk_places(probe.url, reading, name, after=())
        else:
            here = probe.url
            verdict = await self._date(here, reading)
            probe.conclude(await self._with_presence(here, verdict))

    async def _open(self, entry: str) -> SearchReading:
        """The first page of the search, with all that the catalogue says in its address."""
        probe = self.probe
        reading = await self.ask(entry)
        organisation = _query(entry).get("public_link_organisation_id")
        if reading.step == "address" and organisation and _path(probe.url) == "/prendre_rdv":
            # the empty department of the address is refused: the short link fills it in
            reading = await self.ask(urljoin(probe.url, f"/org/{organisation}"))
        missing = {
            name: value for name, value in _wanted(probe.desk).items() if not _query(probe.url).get(name)
        }
        goes_on = reading.outcome is None or _leads_to_places(reading)
        if missing and goes_on and _path(probe.url) == "/prendre_rdv":
            reading = await self.ask(_with(probe.url, missing))
        return reading

    async def _motives(self, reading: SearchReading) -> list[_Motive] | None:
        """The motives to walk, empty when the page is past that choice; None when there are too many."""
        here = self.probe.url
        if reading.outcome is not None:
            return []
        if reading.step == "motif":
            return [_motive(here, choice) for choice in reading.choices]
        found: list[_Motive] = []
        for service in reading.choices:
            url = _with(here, {"service_id": service.value})
            page = await self.ask(url)
            prefix = f"service-{service.value}."
            if page.outcome is None and page.step == "motif":
                motives = [_motive(self.probe.url, choice) for choice in page.choices]
            else:  # a service of one motive goes straight on: asked again, its line rests on its own page
                name = _motive_key(self.probe.url) or prefix.strip(".")
                motives = [_Motive(CounterChoice(name, service.label), url)]
            for motive in motives:
                twins = [known for known in found if known.counter.key == motive.counter.key]
                if twins:
                    counter = CounterChoice(prefix + motive.counter.key, motive.counter.label)
                    motive = replace(motive, counter=counter)
                found.append(motive)
            if len(found) > MAX_MOTIVES:
                return None
        return found

    async def _walk_motives(self, motives: Sequence[_Motive]) -> None:
        probe = self.probe
        self.announced = [motive.counter for motive in motives]
        for place, motive in enumerate(motives):
            probe.announce(self.announced)
            reading = await self.ask(motive.url)
            url = probe.url
            if _leads_to_places(reading):
                after = [later.counter for later in motives[place + 1 :]]
                await self._walk_places(url, reading, motive.counter.key, after=after)
            elif reading.outcome is None:
                rule = "rdv_service_public.unrecognised.choice-again"
                probe.conclude(_unrecognised(rule, reading.step), motive.counter)
            else:
                probe.conclude(await self._date(url, reading), motive.counter)

    async def _walk_places(
        self, url: str, reading: SearchReading, motive: str, *, after: Sequence[CounterChoice]
    ) -> None:
        """One counter for each place that a motive lists, in place of the motive's own."""
        probe = self.probe
        step = reading.step or ""
        prefix = f"{motive}." if motive else ""
        counters = [
            CounterChoice(prefix + _key(step, choice.value), choice.label) for choice in reading.choices
        ]
        ended = self.announced[: len(self.announced) - len(after) - 1] if self.announced else []
        self.announced = [*ended, *counters, *after]
        probe.announce(self.announced, listed=True)
        for choice, counter in zip(reading.choices, counters, strict=True):
            probe.conclude(await self._look_at_place(url, reading, choice), counter)

    async def _look_at_place(self, url: str, listed: SearchReading, choice: Choice) -> Reading:
        """The place's two first dates: its card's, and what its week shows."""
        name = CHOSEN_BY[listed.step or ""]
        if choice.slot is None:
            return _unrecognised("rdv_service_public.unrecognised.undated-places", listed.step)
        card = Reading(
            outcome=Outcome.OFFERED, rule=listed.rule, step=listed.step, slots=(choice.slot,), slot_count=1
        )
        if self.visited >= MAX_PLACES_VISITED:
            return replace(card, note=f"more than {MAX_PLACES_VISITED} places: no second date was asked for")
        self.visited += 1
        wanted = {name: choice.value}
        if re.fullmatch(MACHINE_DATE, choice.date, re.ASCII):
            wanted["date"] = choice.date
        week = await self._ask_more(_with(url, wanted))
        if week is None or week.step != "creneaux" or week.outcome is None:
            return card
        if week.outcome is Outcome.NONE:  # taken meanwhile
            return week
        if week.outcome is not Outcome.OFFERED:
            return card
        return await self._date(self.probe.url, week, known=(choice.slot,))

    async def _date(self, here: str, reading: SearchReading, known: Sequence[Slot] = ()) -> Reading:
        """A week's reading with two dates, if the following week is needed to know the second."""
        if reading.outcome is not Outcome.OFFERED or reading.step != "creneaux":
            return reading
        slots = _distinct((*known, *reading.slots), self.probe.zone)
        horizon = reading.horizon_end
        if len(slots) < 2 and reading.next_date:
            following = await self._ask_more(_with(here, {"date": reading.next_date}))
            if following is not None and following.step == "creneaux":
                slots = _distinct((*slots, *following.slots), self.probe.zone)
                horizon = max(filter(None, (horizon, following.horizon_end)), default=None)
        return replace(reading, slots=slots, slot_count=len(slots) or None, horizon_end=horizon)

    async def _ask_more(self, url: str) -> SearchReading | None:
        """A page that may add a date to what is already proved; None when it does not come."""
        try:
            return await self.ask(url)
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return None

    async def _with_presence(self, url: str, reading: Reading) -> Reading:
        """Whether the organisation is still listed as bookable, where nothing is free."""
        here = _query(url)
        territory, organisation = here.get("departement"), here.get("public_link_organisation_id")
        if reading.outcome is not Outcome.NONE or not territory or not organisation:
            return reading
        if not is_drawn(self.probe.desk.id, self.probe.now(), PRESENCE_ONE_IN):
            return reading
        try:
            links = await self.probe.ask(
                urljoin(url, f"/api/v1/public_links?territory={territory}"), read_public_links
            )
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return reading
        if links.outcome is not None:
            return reading
        listed = "listed" if organisation in links.organisations else "not listed"
        return replace(reading, facts=(*reading.facts, ("public_link", listed)))


def _leads_to_places(reading: SearchReading) -> bool:
    return reading.outcome is Outcome.OFFERED and reading.step in {"lieu", "organisation"}


def _motive(here: str, choice: Choice) -> _Motive:
    name = CHOSEN_BY["motif"]
    return _Motive(CounterChoice(choice.value, choice.label), _with(here, {name: choice.value}))


def _motive_key(url: str) -> str:
    """How the motive of an address is named among counters; empty when the address names none."""
    query = _query(url)
    by_id = query.get("motif_id")
    return query.get(CHOSEN_BY["motif"]) or (f"motif-{by_id}" if by_id else "")


def _distinct(slots: Sequence[Slot], zone: ZoneInfo) -> tuple[Slot, ...]:
    """Each instant once, in the desk's zone; a day whose hours are known is left out."""
    placed = {in_zone(slot, zone) for slot in slots}
    days = {day_of(slot) for slot in placed if wall_of(slot) is not None}
    kept = [slot for slot in placed if wall_of(slot) is not None or day_of(slot) not in days]
    return tuple(sorted(kept, key=in_order))


def _entry(desk: Desk) -> str | None:
    """The desk's address with what its params add; None when it is none of the family's."""
    path = _path(desk.url)
    if _ENTRY_PATH.fullmatch(path) is None:
        return None
    return desk.url if path.startswith("/org/") else _with(desk.url, _missing(desk))


def _missing(desk: Desk) -> dict[str, str]:
    known = _query(desk.url)
    return {name: value for name, value in _wanted(desk).items() if not known.get(name)}


def _wanted(desk: Desk) -> dict[str, str]:
    """What the search must hold beside the organisation: said by the address, else by the params."""
    known = {
        name: value
        for name, value in _query(desk.url).items()
        if value and name in SEARCH and name not in {"departement", "public_link_organisation_id", "date"}
    }
    for name in ("service_id", "motif_name_with_location_type"):
        value = param_of("rdv_service_public", desk.params, name)
        if value is not None:
            known.setdefault(name, str(value))
    return known


def _with(url: str, values: Mapping[str, str]) -> str:
    """The address with these values; as it is when there are none."""
    if not values:
        return url
    kept = [(name, value) for name, value in _pairs(url) if name not in values]
    return urljoin(url, f"{_path(url)}?{urlencode([*kept, *values.items()])}")


class RdvServicePublicSpider(DeskSpider):
    name = "rdv_service_public"
    gate = GATE
    parser_version = 1
    entry = rf"/(?:prendre_rdv|prdv)(?:\?[^#]*)?|{_SHORT_LINK}"
    readers = MappingProxyType({"page": read_page, "public_links": read_public_links})

    @staticmethod
    def has_anchor(page: Page) -> bool:
        return page.root is not None and find_landmarks(page, page.root).has_anchor

    async def walk(self, probe: Probe) -> None:
        await _Walk(probe).run()
