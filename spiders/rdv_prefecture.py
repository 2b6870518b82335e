"""RDV-Préfecture, the State's own platform: www.rdv-prefecture.interieur.gouv.fr.

Who         Préfectures and sous-préfectures since late 2023, one number for each démarche; also medical
            commissions of driving licences and digital help desks.
Address     /rdvpref/reservation/demarche/<number>/, then cgu/, creneau/ below it. The last slash is optional.
Funnel      landing with the link « Prendre un rendez-vous » -> cgu/: conditions, and a captcha (CaptchEtat)
            -> creneau/: slots, for a session that passed the captcha. The pages are Vue templates that no
            script has rendered: what is read stands in their markup, or in the JSON blob after it.
Full        creneau/: `critere.datePremiereDispo` is empty in the JSON; else the h2 « Aucun créneau
            disponible », exactly: « … sur cette semaine » is said while other weeks have slots.
Closed      no wording is known: a landing without its link is `unrecognised`, and kept.
Failing     the framework's or the proxy's 500, 502, 503; a page whose title says maintenance.
Refusing    Cloudflare (since 2025) and Imperva (2024): block and challenge pages, whatever their status.
Stops at    cgu/, read only: what can be learnt there is recorded, and the outcome is `captcha`. Now and then
            (one visit in 50) creneau/ is asked for without a session, to learn whether the captcha still
            stands before it: it should send back to cgu/?error=errorSessionInvalide. The captcha is never
            fetched nor answered, nothing is posted, and nothing under /_... or formulaire/ is asked for.
Counters    none.
Params      none.
Caveats     titles do not tell full from free; in the JSON, an empty first date beyond the first week only
            says that nothing comes after; handles of slots (trhId), view contexts (CTX) and the captcha's
            token are never kept. Pages of creneau/ are read where people contribute them.
Unknown     the JSON's name of the list of slots (any object with a trhId is one), the encoding of dates today
            (both are read), what an unknown or closed démarche, maintenance or an expired session say.
Sources     platform dossier, §1 to §11 (26 independent programs, the platform's own script, its open-source
            framework); nothing checked on a live site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import parse_qsl, urljoin, urlsplit

from lxml import etree

from guichets.gate import Allow, Gate
from guichets.items import DESK_TIME, Slot
from guichets.outcomes import RATED, Outcome
from guichets.page import Page, Reading, read_transport, text_lines, visible_text
from guichets.visit import is_drawn
from spiders.base import DeskSpider, Probe, ProbeStopped

DEMARCHE = r"/rdvpref/reservation/demarche/\d+"
CANARY_ONE_IN = 50  # visits that also ask for creneau/ without a session; dossier §9 (3)
LAST_WEEK_DAYS = 400  # slots are published at most 365 days ahead, dossier §5
MOST_TEXT = 60_000  # characters of a fact; some desks write several screens of conditions

GATE = Gate(
    rows=(
        Allow("GET", f"{DEMARCHE}/?"),
        Allow("GET", f"{DEMARCHE}/cgu/?"),
        Allow("GET", f"{DEMARCHE}/cgu/?", query={"error": "errorSessionInvalide"}, redirect_only=True),
        Allow("GET", f"{DEMARCHE}/creneau/?"),
    ),
    stops_at="cgu/",
)

NOTHING_FREE = "Aucun créneau disponible"  # h2 of creneau/, exactly; also the beginning of other sentences
CHOOSE = "Choisissez votre créneau"  # h2 when there are slots; the title either way
THIS_WEEK = ("Aucun créneau disponible sur cette semaine", "Aucun créneau disponible à partir de cette date")
BEYOND = ("Vos informations", "Confirmer le rendez-vous")  # step 4, where nobody of ours may be
CONDITIONS = "Constituez votre dossier"  # title and heading of cgu/
LANDING = ("Que souhaitez-vous faire", "Prendre un rendez-vous", "Gérer mes rendez-vous")
WRONG_CODE = "Le code de sécurité saisi est incorrect"
CHALLENGE_TITLES = ("Just a moment...", "Un instant…", "Un instant...")
CHALLENGE_WORDS = ("Vérification de sécurité", "Vérifiez que vous êtes humain")
BLOB = "vui-init-data"  # id of the framework's script
MAINTENANCE = ("maintenance", "site indisponible")
CAPTCHA_FIELDS = frozenset({"captchaUsercode", "captchaId"})

_NUMBER = re.compile(r"/rdvpref/reservation/demarche/(\d+)(?:/|$)", re.ASCII)
_LINK = re.compile(r"/rdvpref/reservation/demarche/(\d+)/cgu(?![\w-])", re.ASCII)
_LEADS_THERE = re.compile(r"(?:href|src)\s*=\s*[\"']?[^\"'\s<>]*\Z")
_BLOB = re.compile(r"<script\b[^>]*\bid\s*=\s*[\"']?vui-init-data\b[^>]*>(.*?)</script", re.DOTALL)
_VERSION = r"(\d[\w.-]{0,19})"
_VERSIONS = (  # what stands before each, found by plain search: a page may be long
    ("vertigo", "/vertigo-ui.", re.compile(rf"/vertigo-ui\.[\w.-]*\bjs\?v={_VERSION}")),
    ("vue", "/vue@", re.compile(rf"/vue@{_VERSION}")),
    ("quasar", "/quasar@", re.compile(rf"/quasar@{_VERSION}")),
)
_MUSTACHE = re.compile(r"\{\{.*?\}\}")
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_FRENCH_DATE = re.compile(r"(\d\d)/(\d\d)/(\d{4})", re.ASCII)
_HOUR = re.compile(r"(\d\d):(\d\d)", re.ASCII)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4})[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?Z?", re.ASCII)
_NEXT_DATE = re.compile(r"Prochaine disponibilité le (?:\w+ )?(\d\d/\d\d/\d{4})")
_RELEASES = re.compile(
    r"(Prochaine|Dernière) mise en ligne de (?:nouveaux )?rendez-vous : le (\d\d/\d\d/\d{4}) à (\d\d:\d\d)"
    r"(?: pour des créneaux de la semaine du (\d\d/\d\d/\d{4}))?"
)
_FORM_ACTION = etree.XPath("boolean(//*[contains(@formaction, '_validerCaptcha')])")
_GUARDED = etree.XPath("boolean(ancestor-or-self::*[@v-if or @v-else or @v-else-if or @v-show])")
_ALERTS = etree.XPath(".//*[contains(concat(' ', @class, ' '), ' fr-alert ')]")
_NOT_CONDITIONS = frozenset(
    (
        *("rdv-captchetat", "button", "q-btn", "dsfr-button", "input", "select", "textarea", "label", "img"),
        *("audio", "svg", "nav", "header"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """What the JSON blob of creneau/ says. ``first`` is None when it does not tell."""

    first: date | str | None = None  # the first free day; "" when the platform says there is none
    is_strange: bool = False  # something there is not what the platform writes
    monday: date | None = None  # of the week shown
    earliest: date | None = None  # first bookable day
    last: date | None = None  # last bookable day
    slots: tuple[Slot, ...] = ()
    handles: int = 0  # objects that have a slot's handle, readable or not
    releases: tuple[tuple[str, str], ...] = ()

    @property
    def says_offered(self) -> bool:
        return bool(self.slots) or isinstance(self.first, date)

    @property
    def says_none(self) -> bool:
        return self.first == "" and self.monday is not None and not self.handles

    @property
    def horizon(self) -> date | None:
        """The last day that the answer covers: the first date is looked for up to the last bookable day."""
        if self.last is not None:
            return self.last
        return self.monday + timedelta(days=6) if self.monday is not None and self.slots else None


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    page: Page
    root: etree._Element
    title: str
    headings: tuple[str, ...]  # h1 and h2
    verdicts: frozenset[str]  # those h2 that tell, and that no script decides on later
    has_slot_step: bool  # the page is creneau/, full or not
    has_captcha: bool
    radios: int  # of rendered slots

    @cached_property
    def text(self) -> str:
        return visible_text(self.root)

    @cached_property
    def blob(self) -> Any:
        """The JSON blob; None when there is none, False when it is not JSON."""
        found = _BLOB.search(self.page.text, self.page.text.rfind("<script", 0, self.page.text.find(BLOB)))
        if found is None:
            return None
        try:
            blob = json.loads(found[1])
        except (ValueError, RecursionError):
            return False
        return blob if isinstance(blob, dict) else False

    @cached_property
    def availability(self) -> Availability:
        data = self.blob.get("vueData") if self.blob else None
        return read_availability(data) if isinstance(data, dict) else Availability()

    @cached_property
    def number(self) -> str | None:
        """Of the démarche whose address answered."""
        return number_of(self.page.url)

    @cached_property
    def error(self) -> str:
        """The error that the address carries."""
        try:
            return dict(parse_qsl(urlsplit(self.page.url).query)).get("error", "")
        except ValueError:
            return ""

    @cached_property
    def links(self) -> frozenset[str]:
        """Numbers of the démarches whose conditions the page leads to."""
        return frozenset(_LINK.findall(self.page.text))

    @property
    def is_landing(self) -> bool:
        """By its title, or its sentences: in a template that no script rendered, some are attributes."""
        return "Accueil" in self.title or sum(words in self.page.text for words in LANDING) > 1

    @cached_property
    def next_date(self) -> date | None:
        found = _NEXT_DATE.search(self.text) if "Prochaine" in self.page.text else None
        return read_date(found[1]) if found else None


def number_of(url: str) -> str | None:
    try:
        found = _NUMBER.match(urlsplit(url).path)
    except ValueError:
        return None
    return found[1] if found else None


def has_anchor(page: Page) -> bool:
    """The framework's JSON blob, on every page; or an address of the site, where a copy lost its scripts."""
    text = page.text
    return BLOB in text or any(
        _LEADS_THERE.search(text, max(0, place - 300), place)
        for start in ("/rdvpref/reservation/", "/rdvpref/vertigo-ui/")
        for place in _places(text, start)
    )


def _places(text: str, words: str) -> Iterator[int]:
    place = text.find(words)
    while place >= 0:
        yield place
        place = text.find(words, place + 1)


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page, in one walk over the elements that can say something."""
    title = ""
    headings: list[str] = []
    verdicts: set[str] = set()
    radios = 0
    has_slot_step = has_captcha = False
    for element in root.iter("title", "h1", "h2", "input", "rdv-captchetat", "rdv-choix-tranche"):
        tag = element.tag
        if tag == "input":
            name = element.get("name")
            if name in CAPTCHA_FIELDS or element.get("id") == "captchaFormulaireExtInput":
                has_captcha = True
            elif name == "trhId" and element.get("type") == "radio":
                radios += 1
        elif tag == "rdv-captchetat":
            has_captcha = True
        elif tag == "rdv-choix-tranche":
            has_slot_step = True
        elif tag == "title":
            title = title or visible_text(element)
        else:
            heading = visible_text(element)
            headings.append(heading)
            if tag == "h2" and heading in {NOTHING_FREE, CHOOSE}:
                has_slot_step = True
                if not _GUARDED(element):
                    verdicts.add(heading)
    if not has_captcha and "_validerCaptcha" in page.text:
        has_captcha = bool(_FORM_ACTION(root))
    return Landmarks(
        page=page,
        root=root,
        title=title,
        headings=tuple(headings),
        verdicts=frozenset(verdicts),
        has_slot_step=has_slot_step or CHOOSE in title or radios > 0,
        has_captcha=has_captcha,
        radios=radios,
    )


# The JSON blob of creneau/, dossier §4


def read_availability(data: Mapping[str, Any]) -> Availability:
    """What ``vueData`` says of slots, whatever the names of its lists. Handles are counted, never kept."""
    criteria = data.get("critere")
    criteria = criteria if isinstance(criteria, dict) else {}
    monday = read_date(criteria.get("premierJour"))
    slots: set[tuple[date, int]] = set()
    handles = 0
    releases: dict[str, str] = {}
    for name, value in _objects(data):
        if "trhId" in value:
            handles += 1
            day, minute = _read_slot(value)
            if day is not None and minute is not None and _is_in_week(day, monday):
                slots.add((day, minute))
        elif name in {"prochainePub", "precedentePub"}:
            releases |= _read_release("next" if name == "prochainePub" else "last", value)
    first, is_strange = _read_first(criteria, monday)
    last = read_date(criteria.get("dateMax"))
    return Availability(
        first=first,
        is_strange=is_strange,
        monday=monday,
        earliest=read_date(criteria.get("dateMin")),
        last=last if _is_near(last, monday) else None,
        slots=tuple(
            Slot(datetime.combine(day, time(minute // 60, minute % 60), DESK_TIME))
            for day, minute in sorted(slots)
        ),
        handles=handles,
        releases=tuple(releases.items()),
    )


def _objects(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a JSON value, with the name it stands under."""
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            yield name, value
            waiting += [(key, inner) for key, inner in value.items() if isinstance(inner, dict | list)]
        else:
            waiting += [(name, inner) for inner in value if isinstance(inner, dict | list)]


def _read_first(criteria: Mapping[str, Any], monday: date | None) -> tuple[date | str | None, bool]:
    """The first free day, "" for none, None for not told; and whether it is told strangely."""
    value = criteria.get("datePremiereDispo")
    if value is None or value == "":
        return value, False
    day = read_date(value)
    if day is None or (monday is not None and day < monday) or not _is_near(day, monday):
        return None, True
    return day, False


def _read_slot(value: Mapping[str, Any]) -> tuple[date | None, int | None]:
    """Day and minute of a slot; None for what is none."""
    minutes = value.get("minutesDebut")
    if isinstance(minutes, str):
        found = _HOUR.fullmatch(minutes)
        minutes = int(found[1]) * 60 + int(found[2]) if found else None
    is_minute = type(minutes) is int and 0 <= minutes < 24 * 60
    return read_date(value.get("dateLocale")), minutes if is_minute else None


def _is_in_week(day: date, monday: date | None) -> bool:
    """The list covers the seven days of the week shown, dossier §4."""
    return monday is None or monday <= day < monday + timedelta(days=7)


def _is_near(day: date | None, monday: date | None) -> bool:
    return day is not None and (monday is None or abs((day - monday).days) <= LAST_WEEK_DAYS)


def read_date(value: object) -> date | None:
    """A day in either of the platform's encodings; None for anything else, 31 February included."""
    return _read_date(value) if isinstance(value, str) and len(value) == 10 else None


@lru_cache(4096)
def _read_date(text: str) -> date | None:
    iso, french = _ISO_DATE.fullmatch(text), _FRENCH_DATE.fullmatch(text)
    year, month, day = iso.groups() if iso else french.groups()[::-1] if french else ("0", "0", "0")
    if not 2000 <= int(year) <= 2200:
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _read_release(which: str, value: Mapping[str, Any]) -> dict[str, str]:
    """When slots are put online next, or were last, and which days they are for: the desk's own clock."""
    facts: dict[str, str] = {}
    instant = value.get("instantPublication")
    found = _INSTANT.fullmatch(instant) if isinstance(instant, str) else None
    day = read_date(found[1]) if found else None
    if found and day is not None:
        facts[f"{which}_release"] = f"{day.isoformat()}T{found[2]}"
        first, last = read_date(value.get("dateMin")), read_date(value.get("dateMax"))
        if first is not None:
            facts[f"{which}_release_days"] = f"{first}/{last}" if last is not None else str(first)
    return facts


# Rules


@dataclass(frozen=True, slots=True)
class Edge:
    """A page without the site's anchor."""

    status: int
    markup: str
    text: str
    titles: tuple[str, ...]  # title, h1 and h2


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its reading is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome | None = None  # None: the funnel goes on
    step: str | None = None


def _is_slot_page(marks: Landmarks) -> bool:
    """creneau/, with nothing on it that belongs to the page before."""
    return marks.has_slot_step and not marks.has_captcha and CONDITIONS not in marks.headings


def _is_whole_day_said(marks: Landmarks) -> bool:
    """None of the sentences that are said of one week while others may have slots."""
    return "cette" not in marks.page.text or not any(words in marks.text for words in THIS_WEEK)


def _disagrees(marks: Landmarks) -> bool:
    """The JSON is of the first page shown; a copy taken after looking at other weeks shows something else."""
    told = marks.availability
    return (told.says_none and (CHOOSE in marks.verdicts or marks.radios > 0)) or (
        told.says_offered and marks.verdicts == {NOTHING_FREE}
    )


# Said by the body whatever the status, on pages that never bear the site's own anchor.
EDGE_RULES: tuple[tuple[str, Outcome, Callable[[Edge], bool]], ...] = (
    (
        "rdv_prefecture.blocked.cloudflare-challenge",
        Outcome.BLOCKED,
        lambda e: (
            any(title in CHALLENGE_TITLES for title in e.titles)
            or "challenges.cloudflare.com" in e.markup
            or "cf-turnstile" in e.markup
            or (any(words in e.text for words in CHALLENGE_WORDS) and "cloudflare" in e.markup.lower())
        ),
    ),
    (
        "rdv_prefecture.blocked.cloudflare",
        Outcome.BLOCKED,
        lambda e: (
            "Sorry, you have been blocked" in e.text
            or ("You are unable to access" in e.text and "Cloudflare" in e.text)
            or any("Attention Required!" in title and "Cloudflare" in title for title in e.titles)
            or ("Cloudflare Ray ID" in e.text and e.status >= 400)
        ),
    ),
    (
        "rdv_prefecture.blocked.imperva",
        Outcome.BLOCKED,
        lambda e: "Incapsula incident ID" in e.text or "_Incapsula_Resource" in e.markup,
    ),
    (
        "rdv_prefecture.overloaded.maintenance",
        Outcome.OVERLOADED,
        lambda e: any(word in title.lower() for title in e.titles for word in MAINTENANCE),
    ),
)

# Said by a whole 2xx page of the site. The order is the dossier's §10.
PAGE_RULES: tuple[Rule, ...] = (
    Rule(
        "rdv_prefecture.unrecognised.beyond-calendar",  # we never go there: something is badly wrong
        lambda m: any(heading in BEYOND for heading in (*m.headings, m.title)),
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "rdv_prefecture.captcha.session",  # creneau/ asked without a session that passed the captcha
        lambda m: m.has_captcha and not m.has_slot_step and m.error == "errorSessionInvalide",
        Outcome.CAPTCHA,
        step="cgu",
    ),
    Rule(
        "rdv_prefecture.captcha.wrong-code",  # only on pages that people give: we never send a code
        lambda m: (
            m.has_captcha
            and not m.has_slot_step
            and (m.error == "invalidCaptcha" or WRONG_CODE in m.page.text)
        ),
        Outcome.CAPTCHA,
        step="cgu",
    ),
    Rule(
        "rdv_prefecture.captcha.conditions",
        lambda m: m.has_captcha and not m.has_slot_step,
        Outcome.CAPTCHA,
        step="cgu",
    ),
    Rule(
        "rdv_prefecture.unrecognised.conditions-without-captcha",  # the site would have changed its ways
        lambda m: CONDITIONS in m.headings or CONDITIONS in m.title,
        Outcome.UNRECOGNISED,
        step="cgu",
    ),
    Rule(
        "rdv_prefecture.unrecognised.blob",
        lambda m: _is_slot_page(m) and (m.blob is False or m.availability.is_strange),
        Outcome.UNRECOGNISED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.unrecognised.page-disagrees-with-blob",
        lambda m: _is_slot_page(m) and _disagrees(m),
        Outcome.UNRECOGNISED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.offered.blob-slots",
        lambda m: _is_slot_page(m) and bool(m.availability.slots),
        Outcome.OFFERED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.unrecognised.slots-astray",  # handles whose days are no days of the week shown
        lambda m: _is_slot_page(m) and m.availability.handles > 0,
        Outcome.UNRECOGNISED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.offered.blob-first-date",  # in a later week
        lambda m: _is_slot_page(m) and m.availability.says_offered,
        Outcome.OFFERED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.unrecognised.later-week",  # nothing from there on; the weeks before are not told
        lambda m: (
            _is_slot_page(m)
            and m.availability.says_none
            and m.availability.monday is not None
            and m.availability.earliest is not None
            and m.availability.monday > m.availability.earliest
        ),
        Outcome.UNRECOGNISED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.none.blob",
        lambda m: _is_slot_page(m) and m.availability.says_none,
        Outcome.NONE,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.offered.rendered-slots",
        lambda m: _is_slot_page(m) and m.verdicts == {CHOOSE} and m.radios > 0,
        Outcome.OFFERED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.offered.next-date",  # this week is empty, and the button says where to go
        lambda m: _is_slot_page(m) and m.verdicts == {CHOOSE} and m.next_date is not None,
        Outcome.OFFERED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.unrecognised.this-week-only",
        lambda m: _is_slot_page(m) and not _is_whole_day_said(m),
        Outcome.UNRECOGNISED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.none.heading",
        lambda m: _is_slot_page(m) and m.verdicts == {NOTHING_FREE} and not m.radios and m.next_date is None,
        Outcome.NONE,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.offered.heading",
        lambda m: _is_slot_page(m) and m.verdicts == {CHOOSE},
        Outcome.OFFERED,
        step="creneau",
    ),
    Rule(
        "rdv_prefecture.step1",
        lambda m: (
            not m.has_slot_step and m.is_landing and bool(m.links) and (m.number or "") in {"", *m.links}
        ),
        step="1",
    ),
    Rule(
        "rdv_prefecture.unrecognised.no-booking-link",
        lambda m: not m.has_slot_step and m.is_landing,
        Outcome.UNRECOGNISED,
        step="1",
    ),
    Rule("rdv_prefecture.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def read_page(page: Page) -> Reading:
    """What a page of the platform says, by landmarks alone. Never raises, whatever the bytes."""
    edge = _read_edge(page)
    if edge is not None:
        return edge
    transport = read_transport(page, family="rdv_prefecture")
    if transport is not None:
        return transport
    if page.root is None or not has_anchor(page):
        return Reading(outcome=Outcome.UNRECOGNISED, rule="rdv_prefecture.unrecognised")
    marks = find_landmarks(page, page.root)
    row = next(row for row in PAGE_RULES if row.holds(marks))
    return Reading(
        outcome=row.outcome, rule=row.id, step=row.step, facts=tuple(_facts(marks, row)), **_slots(marks, row)
    )


def _read_edge(page: Page) -> Reading | None:
    """A page of what stands in front of the site: a block, a challenge, a maintenance."""
    if page.headers.get("cf-mitigated", "").strip().lower() == "challenge":
        return Reading(
            outcome=Outcome.BLOCKED, rule="rdv_prefecture.blocked.cloudflare-challenge", is_wall=True
        )
    if not page.body or page.may_be_cut or has_anchor(page) or page.root is None:
        return None
    titles = tuple(visible_text(element) for element in page.root.iter("title", "h1", "h2"))
    edge = Edge(page.status, page.text, visible_text(page.root), titles)
    return next(
        (
            Reading(outcome=outcome, rule=rule, is_wall=outcome is Outcome.BLOCKED)
            for rule, outcome, holds in EDGE_RULES
            if holds(edge)
        ),
        None,
    )


def _slots(marks: Landmarks, row: Rule) -> dict[str, Any]:
    """The dates of an offer, or how far nothing is free."""
    told = marks.availability if row.step == "creneau" else Availability()
    if row.outcome is Outcome.NONE:
        return {"horizon_end": told.horizon}
    if row.outcome is not Outcome.OFFERED:
        return {}
    if told.slots:
        return {"slots": told.slots, "slot_count": len(told.slots), "horizon_end": told.horizon}
    first = told.first if isinstance(told.first, date) else marks.next_date
    return {"slots": (Slot(first),) if first else (), "horizon_end": told.horizon}


# Facts


def _facts(marks: Landmarks, row: Rule) -> Iterator[tuple[str, str]]:
    """What else the page tells and is kept by date. Nothing by which somebody could act as the visitor."""
    text = marks.page.text
    places = [(name, pattern, text.find(start)) for name, start, pattern in _VERSIONS]
    versions = [(name, pattern.match(text, place)) for name, pattern, place in places if place >= 0]
    known = [f"{name} {found[1]}" for name, found in versions if found]
    if known:
        yield "framework", ", ".join(known)
    messages = _messages(marks)
    if messages:
        yield "messages", messages
    if row.step == "1":
        yield "booking_link", _booking_link(marks)
    if row.outcome is Outcome.CAPTCHA:
        yield "captcha", _captcha_kind(marks)
        conditions = _conditions(marks)
        if conditions:
            yield "conditions", conditions
    if row.step == "creneau":
        yield from _releases(marks)


def _booking_link(marks: Landmarks) -> str:
    number = marks.number if marks.number in marks.links else min(marks.links, default=None)
    return f"/rdvpref/reservation/demarche/{number}/cgu/" if number else "none"


def _captcha_kind(marks: Landmarks) -> str:
    """Which captcha stands there, as far as the page shows it; dossier §3.2 and §7."""
    text = marks.page.text
    kind = "CaptchEtat"
    if "captchetat/v2" in text or "Énoncer le code du captcha" in text:
        kind = "CaptchEtat v2"
    elif "BDC_" in text or "captchaFR_CaptchaImage" in text or "/piste/captcha/" in text:
        kind = "CaptchEtat v1 (BotDetect)"
    return f"{kind}, reCAPTCHA" if "g-recaptcha" in text else kind


def _conditions(marks: Landmarks) -> str:
    """The préfecture's own text: who may book, what to bring. Without the captcha, buttons and mustaches."""
    places = [element for element in marks.root.iter("div", "main") if element.get("id") == "contenu"]
    places = places or list(marks.root.iter("main"))
    if not places:
        return ""
    alerts: set[str] = set()
    if "fr-alert" in marks.page.text:
        for alert in cast(list[etree._Element], _ALERTS(places[0])):
            alerts.update(text_lines(alert))
    lines = text_lines(places[0], _NOT_CONDITIONS)
    kept = [line for line in lines if line not in alerts and line != CONDITIONS and line[:6] != "Étape "]
    text = "\n".join(kept)
    if "{{" in text:
        text = "\n".join(line for one in kept if (line := " ".join(_MUSTACHE.sub(" ", one).split())))
    return text[:MOST_TEXT]


def _messages(marks: Landmarks) -> str:
    """What the platform tells its visitor in a frame of its own."""
    stack = marks.blob.get("uiMessageStack") if marks.blob else None
    if not isinstance(stack, dict):
        return ""
    lists = (stack.get(f"global{kind}") for kind in ("Errors", "Warnings", "Infos", "Success"))
    said = (line for known in lists if isinstance(known, list) for line in known if isinstance(line, str))
    return "\n".join(" ".join(line.split()) for line in said)[:MOST_TEXT]


def _releases(marks: Landmarks) -> Iterator[tuple[str, str]]:
    """The next and the last putting online of slots: by the JSON, else by the lines of the page."""
    found = dict(marks.availability.releases)
    lines = _RELEASES.findall(marks.text) if "mise en ligne" in marks.page.text else []
    for which, day, hour, week in lines:
        name = "next" if which == "Prochaine" else "last"
        on, first = read_date(day), read_date(week)
        if on is not None and f"{name}_release" not in found:
            found[f"{name}_release"] = f"{on.isoformat()}T{hour}"
            if first is not None:
                found[f"{name}_release_days"] = first.isoformat()
    yield from sorted(found.items())


class RdvPrefectureSpider(DeskSpider):
    name = "rdv_prefecture"
    gate = GATE
    parser_version = 1
    entry = rf"{DEMARCHE}(/(cgu|creneau))?/?"
    readers = MappingProxyType({"page": read_page})

    has_anchor = staticmethod(has_anchor)

    async def walk(self, probe: Probe) -> None:
        number = number_of(probe.desk.url)
        if number is None:
            fault = "rdv_prefecture.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=fault, note=probe.desk.url))
            return
        base = f"/rdvpref/reservation/demarche/{number}/"
        landing = await probe.get(urljoin(probe.desk.url, base))
        reading = landing
        if landing.outcome is None and number_of(probe.url) == number:
            reading = await probe.get(urljoin(probe.url, f"{base}cgu/"))
        is_elsewhere = number_of(probe.url) not in {number, None}
        if is_elsewhere and reading.outcome in {None, Outcome.CAPTCHA}:
            reading = Reading(
                outcome=Outcome.MOVED,
                rule="rdv_prefecture.moved.other-demarche",
                note=probe.url,
                facts=(("moved_to", probe.url),),
            )
        elif reading.outcome is None:
            reading = replace(
                reading, outcome=Outcome.UNRECOGNISED, rule="rdv_prefecture.unrecognised.out-of-order"
            )
        reading = _with_facts(reading, landing.facts)
        if reading.outcome is Outcome.CAPTCHA and is_drawn(probe.desk.id, probe.now(), CANARY_ONE_IN):
            reading = await self._look_behind_captcha(probe, f"{base}creneau/", reading)
        probe.conclude(reading)

    async def _look_behind_captcha(self, probe: Probe, path: str, reading: Reading) -> Reading:
        """Ask for the slots as anybody may, without a session. Should they be shown, they are the answer."""
        try:
            behind = await probe.get(urljoin(probe.url, path))
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return _with_facts(reading, (("gate", stop.reading.rule),))
        gate = (("gate", behind.rule),)
        if behind.outcome in RATED:
            return _with_facts(behind, (*reading.facts, *gate))
        return _with_facts(reading, gate)


def _with_facts(reading: Reading, facts: tuple[tuple[str, str], ...]) -> Reading:
    """The reading with these facts besides; its own come last and hold."""
    return replace(reading, facts=tuple({**dict(facts), **dict(reading.facts)}.items()))
