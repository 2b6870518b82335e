"""EZBooking, the appointment module of préfecture web sites.

Who         Préfectures and sous-préfectures, about 98 départements in 2013-2026; many left it since 2023.
Address     /booking/create/<form>[/<step>]; also under /index.php and /layout/set/print. No query string.
Funnel      step 0 conditions -> 1 counters (skipped when there is one) -> 2 nothing free, or 3 description
            (sometimes skipped) -> 4 week calendar. The server answers a POST by 302 then GET, or in place.
Full        step 2 « Vérification de disponibilité »: « Il n'existe plus de plage horaire libre ... ».
Closed      « Il n'y a pas calendrier disponible ... » (sic), page switched off, link retired, or
            « Nous n'avons pas d'autres dates disponibles » in place of the form.
Failing     « Service surchargé », the front proxy's 502, 503 and 504 pages.
Refusing    the front proxy's 403 page, for minutes to half an hour.
Stops at    step 4, read only. Its button bears the same field name as the others and takes the first free
            slot; the links of its cells take that slot. Both are read as text and never followed.
Counters    radios « planning », read again at each visit: they come and go.
Params      none.
Caveats     http may hop to https on the same host; a disabled form is `closed`, not `none`; trap words
            (« libre », « ultérieurement ») stand in legends and footers; a calendar may show a full week
            although later weeks have slots.
Unknown     exact cell markup of the calendar; status codes of the closed pages; the wording shown when a
            session expires (the conditions come again); the full sentence « ... disponibles pour le moment ».
Sources     platform dossier, §1 to §7 (many independent public programs, 2013-2026); nothing checked on a
            live site.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, cast
from urllib.parse import urljoin, urlsplit

from lxml import etree
from scrapy.crawler import Crawler

from guichets import configuration
from guichets.gate import Allow, Gate, same_host
from guichets.items import Slot
from guichets.outcomes import Outcome
from guichets.page import CounterChoice, Page, Reading, fold, read_transport, visible_text
from spiders.base import DeskSpider, Probe, ProbeStopped

NEXT = "Etape suivante"  # step 1 and 3, without accent; dossier §2.1
ACCEPT = "Effectuer une demande de rendez-vous"  # step 0
FIRST_SLOT = "Première plage horaire libre"  # step 4: never sent, it takes the slot
CALENDAR_CALL = "/ezjscore/call/bookingserver::planning::assign"  # week calendar, dossier §6.3
WEEKS_AHEAD = 4  # looked at after the call that calibrates, when GUICHETS_EZJSCORE is on
MAX_COUNTERS = 40  # 1 to 9 were seen; a page with more is not one we know

GATE = Gate(
    prefixes=("/index.php", "/layout/set/print"),
    rows=(
        Allow("GET", r"/booking/create/\d+(/[01])?"),
        Allow("GET", r"/booking/create/\d+/[234]", redirect_only=True),
        Allow("POST", r"/booking/create/\d+/0", fields={"condition": "on", "nextButton": re.escape(ACCEPT)}),
        Allow("POST", r"/booking/create/\d+/1", fields={"planning": r"\d+", "nextButton": NEXT}),
        Allow("POST", r"/booking/create/\d+/3", fields={"nextButton": NEXT}),
        Allow("GET", r"/ezjscore/call/bookingserver::planning::assign::\d+::\d+::\d+"),
    ),
    stops_at="4",
)

STEP_TITLES = {  # h2 of each step, dossier §1.2
    "Choix de la nature du rendez-vous": "1",
    "Vérification de disponibilité": "2",
    "Description de la nature du rendez-vous": "3",
    "Choix d'une plage horaire": "4",
    "Contrôle de sécurité": "6",
    "Coordonnées personnelles": "8",
    "Validation de la demande de rendez-vous": "9",
}
PROXY_TITLES = {  # h1 right under body, dossier §4 and §7; the status does not always say it
    "Service surchargé": (Outcome.OVERLOADED, "ezbooking.overloaded.service-surcharge"),
    "500 Internal Server Error": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "502 Bad Gateway": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "503 Service Unavailable": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "Error 503 Service Unavailable": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "504 Gateway Time-out": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "504 Gateway Timeout": (Outcome.OVERLOADED, "ezbooking.overloaded.proxy-page"),
    "403 Forbidden": (Outcome.BLOCKED, "ezbooking.blocked.proxy-page"),
}
NONE_SENTENCE = (
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement."
)
NONE_ENGLISH = "Please try later"
NONE_FRAGMENT = "de rendez-vous disponibles pour le moment"
CLOSED_NO_CALENDAR = "Il n'y a pas calendrier disponible pour effectuer une demande de rendez-vous"
CALENDAR_WORDS = "calendrier disponible"  # in all wordings of the above
CLOSED_SWITCHED_OFF = "Attention : Cette page n'est pas disponible pour le moment"
CLOSED_RETIRED = "Ce lien a été désactivé définitivement"
CLOSED_EDITORIAL = "Nous n'avons pas d'autres dates disponibles"
MAINTENANCE = ("maintenance", "site indisponible")

_FORM_PATH = re.compile(r"/booking/create/(\d+)(?:/(\d+))?/?", re.ASCII)
_SLOT_HREF = re.compile(r"/booking/create/\d+/5/(?:[^?#\s]*/)?(\d{9,11})/?$", re.ASCII)
_STEP5_HREFS = etree.XPath("//a/@href[contains(., '/5/')]", smart_strings=False)
_ETAPE = re.compile(r"/etape_([34])r\.png")
_DAY = r"\w+ (\d{1,2})(?:er)? (\w+) (\d{4})"
_WEEK = re.compile(rf"(?:Semaine du|Week from) {_DAY} (?:au|to) {_DAY}")
_MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    url: str  # the address that answered
    top_title: str  # h1 right under body
    titles: tuple[str, ...]  # h1, h2 and title, for maintenance pages
    title_steps: frozenset[str]
    has_form: bool  # the module's own form: the family's anchor
    action: str | None
    form_text: str
    has_condition: bool
    counters: tuple[CounterChoice, ...]
    has_finish: bool
    next_values: frozenset[str]
    errors: tuple[str, ...]  # items of the module's error list
    items: tuple[str, ...]  # all list items, where the page speaks of a calendar
    etape: str | None  # step of the active arrow, when its image tells
    has_calendar: bool
    slots: tuple[Slot, ...]
    week_end: date | None
    text: str

    @cached_property
    def action_step(self) -> str | None:
        return _step_of(self.action or "")

    @cached_property
    def step(self) -> str | None:
        """The step shown: by its title, else by its fields (dossier §5.1); None when they do not agree."""
        if len(self.title_steps) > 1:
            return None
        if self.title_steps:
            return next(iter(self.title_steps))
        by_fields = {
            step
            for step, stands in (
                ("0", self.has_condition),
                ("1", bool(self.counters)),
                ("2", self.has_finish),
                ("3", self.action_step == "3" or (self.etape == "3" and self.has_form)),
                ("4", self.action_step == "4" or self.has_calendar or (self.etape == "4" and self.has_form)),
            )
            if stands
        }
        is_step2 = _step_of(self.url) == self.action_step == "2"
        if not by_fields and self.has_form and self.form_text and is_step2:
            return "2"
        return next(iter(by_fields)) if len(by_fields) == 1 else None


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page, in one walk over the elements that can say something."""
    text = visible_text(root)
    titles: list[str] = []
    title_steps: set[str] = set()
    top_title = ""
    form: etree._Element | None = None
    etape: str | None = None
    names: set[str | None] = set()
    next_values: set[str] = set()
    radios: list[etree._Element] = []
    for element in root.iter("h1", "h2", "title", "form", "input", "button", "img"):
        tag = element.tag
        if tag in {"input", "button"}:
            name = element.get("name")
            names.add(name)
            if name == "nextButton":
                next_values.add(fold(element.get("value") or visible_text(element)))
            elif name == "planning" and element.get("type") == "radio":
                radios.append(element)
        elif tag == "img":
            arrow = _ETAPE.search(element.get("src") or "")
            etape = arrow[1] if arrow else etape
        elif tag == "form":
            if form is None and _is_module_form(element):
                form = element
        else:
            title = visible_text(element)
            titles.append(title)
            if tag == "h2" and title in STEP_TITLES:
                title_steps.add(STEP_TITLES[title])
            elif tag == "h1" and not top_title:
                parent = element.getparent()
                if parent is not None and parent.tag == "body":
                    top_title = title
    items = list(root.iter("li")) if CALENDAR_WORDS in text else []  # a site's menu has hundreds
    slots = _read_slots(root) if "/5/" in page.text else ()
    has_calendar = "planning_Booking" in page.text and _shows_calendar(root)
    return Landmarks(
        url=page.url,
        top_title=top_title,
        titles=tuple(titles),
        title_steps=frozenset(title_steps),
        has_form=form is not None,
        action=form.get("action") if form is not None else None,
        form_text=visible_text(form) if form is not None else "",
        has_condition="condition" in names,
        counters=_read_counters(root, radios) if radios else (),
        has_finish="finishButton" in names,
        next_values=frozenset(next_values),
        errors=tuple(visible_text(item) for item in items if _is_error(item)),
        items=tuple(visible_text(item) for item in items),
        etape=etape,
        has_calendar=has_calendar,
        slots=slots,
        week_end=_read_week_end(text) if has_calendar or slots else None,
        text=text,
    )


def _shows_calendar(root: etree._Element) -> bool:
    return any(element.get("id") == "planning_Booking" for element in root.iter("table", "div"))


def _read_slots(root: etree._Element) -> tuple[Slot, ...]:
    found = (_read_slot(href) for href in cast(list[str], _STEP5_HREFS(root)))
    return tuple(Slot(starts) for starts in sorted({starts for starts in found if starts is not None}))


def _read_counters(root: etree._Element, radios: list[etree._Element]) -> tuple[CounterChoice, ...]:
    labels = {label.get("for") or "": visible_text(label) for label in root.iter("label")}
    counters: dict[str, CounterChoice] = {}
    for radio in radios:
        key = radio.get("value") or ""
        if key.isascii() and key.isdigit():
            label = labels.get(radio.get("id") or f"planning{key}", "")
            counters.setdefault(key, CounterChoice(key, label))
    return tuple(counters.values())


def _is_error(item: etree._Element) -> bool:
    parent = item.getparent()
    return parent is not None and "error" in (parent.get("class") or "").split()


def _is_module_form(form: etree._Element) -> bool:
    return (
        form.get("id") == "FormBookingCreate"
        or form.get("name") == "create"
        or _FORM_PATH.search(form.get("action") or "") is not None
    )


def _step_of(address: str) -> str | None:
    try:
        path = urlsplit(address).path
    except ValueError:
        return None
    found = _FORM_PATH.search(path)
    return found[2] if found else None


def _read_slot(href: str) -> datetime | None:
    """When the slot of a calendar link begins: the unix time in its last segment, read as text."""
    found = _SLOT_HREF.search(href)
    if found is None:
        return None
    try:
        return datetime.fromtimestamp(int(found[1]), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _read_week_end(text: str) -> date | None:
    found = _WEEK.search(text)
    if found is None or found[5].lower() not in _MONTHS:
        return None
    try:
        return date(int(found[6]), _MONTHS.index(found[5].lower()) + 1, int(found[4]))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its reading is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome | None = None  # None: the funnel goes on
    step: str | None = None


def _plain_step2(marks: Landmarks) -> bool:
    """Step 2 with nothing on it that belongs to another step."""
    return (
        marks.step == "2"
        and marks.has_form
        and not (marks.slots or marks.has_calendar or marks.counters or marks.has_condition)
        and not marks.next_values
    )


def _plain_step4(marks: Landmarks) -> bool:
    """The calendar, with nothing on it that belongs to another step."""
    return (
        marks.step == "4"
        and (marks.has_form or marks.has_calendar)
        and not (marks.has_condition or marks.counters or marks.has_finish)
        and NONE_SENTENCE not in marks.text
    )


# Said by the body whatever the status: dossier §5.1 (1) tells to look at the body first.
BODY_RULES: tuple[Rule, ...] = (
    Rule(
        "ezbooking.closed.link-retired",
        lambda m: not m.has_form and CLOSED_RETIRED in m.text,
        Outcome.CLOSED,
    ),
    Rule(
        "ezbooking.closed.switched-off",
        lambda m: not m.has_form and CLOSED_SWITCHED_OFF in m.text,
        Outcome.CLOSED,
    ),
)

# Said by a whole 2xx page. The order is the dossier's §5.1.
PAGE_RULES: tuple[Rule, ...] = (
    Rule(
        "ezbooking.unrecognised.beyond-calendar",  # we never go there: something is badly wrong
        lambda m: bool(m.title_steps & {"6", "8", "9"}),
        Outcome.UNRECOGNISED,
    ),
    Rule(
        "ezbooking.closed.no-calendar",
        lambda m: (
            (
                any(
                    "pas calendrier disponible" in item or "pas de calendrier disponible" in item
                    for item in m.errors
                )
                or any(item.startswith(CLOSED_NO_CALENDAR) for item in m.items)
            )
            and not (m.slots or m.has_calendar or m.has_finish or NONE_SENTENCE in m.text)
        ),
        Outcome.CLOSED,
        step="0",
    ),
    Rule(
        "ezbooking.none.step2-sentence",
        lambda m: (
            _plain_step2(m)
            and (m.form_text == NONE_SENTENCE or (m.has_finish and NONE_SENTENCE in m.form_text))
        ),
        Outcome.NONE,
        step="2",
    ),
    Rule(
        "ezbooking.none.step2-english",
        lambda m: _plain_step2(m) and m.has_finish and NONE_ENGLISH in m.form_text,
        Outcome.NONE,
        step="2",
    ),
    Rule(
        "ezbooking.none.step2-fragment",  # title, button and fragment together: the whole sentence is unknown
        lambda m: _plain_step2(m) and m.has_finish and "2" in m.title_steps and NONE_FRAGMENT in m.form_text,
        Outcome.NONE,
        step="2",
    ),
    Rule(
        "ezbooking.offered.step4-slots",
        lambda m: _plain_step4(m) and bool(m.slots),
        Outcome.OFFERED,
        step="4",
    ),
    Rule(
        "ezbooking.offered.step4-full-week",  # the module comes here only when it has a slot, dossier §6.1
        lambda m: _plain_step4(m) and m.has_calendar and FIRST_SLOT in m.next_values,
        Outcome.OFFERED,
        step="4",
    ),
    Rule(
        "ezbooking.offered.step3",  # shown only when slots exist, dossier §1.2
        lambda m: (
            m.step == "3"
            and m.has_form
            and NEXT in m.next_values
            and not (m.has_condition or m.counters or m.has_finish or NONE_SENTENCE in m.text)
        ),
        Outcome.OFFERED,
        step="3",
    ),
    Rule(
        "ezbooking.unrecognised.too-many-counters",
        lambda m: m.step == "1" and len(m.counters) > MAX_COUNTERS,
        Outcome.UNRECOGNISED,
        step="1",
    ),
    Rule(
        "ezbooking.step1",
        lambda m: (
            m.step == "1"
            and m.has_form
            and bool(m.counters)
            and not (m.has_condition or m.has_finish or m.slots)
        ),
        step="1",
    ),
    Rule(
        "ezbooking.step0",
        lambda m: m.step == "0" and m.has_form and bool(m.next_values) and not m.slots,
        step="0",
    ),
    Rule(
        "ezbooking.closed.no-other-dates",  # written by hand in place of the form, dossier §4
        lambda m: not m.has_form and CLOSED_EDITORIAL in m.text,
        Outcome.CLOSED,
    ),
    Rule(
        "ezbooking.overloaded.maintenance",
        lambda m: not m.has_form and any(word in title.lower() for title in m.titles for word in MAINTENANCE),
        Outcome.OVERLOADED,
    ),
    Rule("ezbooking.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def read_page(page: Page) -> Reading:
    """What a page of the funnel says, by landmarks alone. Never raises, whatever the bytes."""
    marks = find_landmarks(page, page.root) if page.root is not None else None
    if marks is not None:
        if marks.top_title in PROXY_TITLES and not marks.has_form:
            outcome, rule = PROXY_TITLES[marks.top_title]
            return Reading(outcome=outcome, rule=rule)
        if not page.may_be_cut:  # a form may have followed
            for row in BODY_RULES:
                if row.holds(marks):
                    return Reading(outcome=row.outcome, rule=row.id)
    transport = read_transport(page, family="ezbooking")
    if transport is not None:
        return transport
    if marks is None:
        return Reading(outcome=Outcome.UNRECOGNISED, rule="ezbooking.unrecognised")
    row = next(row for row in PAGE_RULES if row.holds(marks))
    shows_slots = row.step == "4"
    return Reading(
        outcome=row.outcome,
        rule=row.id,
        step=row.step or marks.step,
        action=marks.action,
        counters=marks.counters if row.id == "ezbooking.step1" else (),
        slots=marks.slots if shows_slots else (),
        slot_count=len(marks.slots) if shows_slots and marks.slots else None,
        horizon_end=marks.week_end if shows_slots else None,
        # Steps 6 and 8 bear « Etape suivante » too, and step 4 the same field name: all three must hold.
        may_advance=marks.title_steps == {"3"} and marks.action_step == "3" and marks.next_values == {NEXT},
    )


def read_week(page: Page) -> Reading:
    """The fragment of the week-calendar call: dates only, never a verdict (dossier §6.3)."""
    root = page.root if page.status == 200 else None
    if root is None:
        return _unrecognised("ezbooking.unrecognised.week", None)
    return Reading(
        outcome=Outcome.UNRECOGNISED,
        rule="ezbooking.unrecognised.week-fragment",
        slots=_read_slots(root),
        horizon_end=_read_week_end(visible_text(root)),
    )


class EzbookingSpider(DeskSpider):
    name = "ezbooking"
    gate = GATE
    parser_version = 1
    entry = r"(?:/[A-Za-z0-9._~-]+)*?/booking/create/[1-9][0-9]{0,11}(?:/0)?/?"
    readers = MappingProxyType({"page": read_page, "week": read_week})

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider._dates_full_weeks = configuration.read_from(crawler.settings, "GUICHETS_EZJSCORE")
        return spider

    _dates_full_weeks = True  # without a crawl: what was not asked then has no answer in the archive

    @staticmethod
    def has_anchor(page: Page) -> bool:
        return page.root is not None and any(_is_module_form(form) for form in page.root.iter("form"))

    async def walk(self, probe: Probe) -> None:
        found = _FORM_PATH.search(urlsplit(probe.desk.url).path)
        if found is None:
            probe.conclude(
                Reading(outcome=Outcome.OBSERVER_FAULT, rule="ezbooking.fault.entry-url", note=probe.desk.url)
            )
            return
        form = urlsplit(probe.desk.url).path[: found.end(1)]
        reading = await self._accept(probe, form, await probe.get(urljoin(probe.desk.url, f"{form}/0")))
        if reading.step != "1" or reading.outcome is not None:
            probe.conclude(await self._look_at_calendar(probe, form, reading))
            return
        probe.announce(reading.counters)
        for counter in reading.counters:
            reading = await self._choose(probe, form, reading, counter)
            verdict = await self._look_at_calendar(probe, form, reading)
            if self._dates_full_weeks and verdict.outcome is Outcome.OFFERED and not verdict.slots:
                verdict = await self._date_first_slot(probe, found[1], counter, verdict)
            probe.conclude(verdict, counter)

    async def _accept(self, probe: Probe, form: str, reading: Reading) -> Reading:
        """Accept the conditions; the server sometimes shows them again once."""
        for _ in range(2):
            if reading.step != "0" or reading.outcome is not None:
                return reading
            address = _target(probe.url, form, reading, "0")
            reading = await probe.post(address, {"condition": "on", "nextButton": ACCEPT})
        if reading.step == "0" and reading.outcome is None:
            return _unrecognised("ezbooking.unrecognised.conditions-again", "0")
        return reading

    async def _choose(self, probe: Probe, form: str, reading: Reading, counter: CounterChoice) -> Reading:
        """Choose a counter; shown again, or sent back to the conditions, it is tried once more."""
        body = {"planning": counter.key, "nextButton": NEXT}
        for _ in range(2):
            if reading.step == "0" and reading.outcome is None:
                reading = await self._accept(probe, form, reading)
            reading = await probe.post(_target(probe.url, form, reading, "1"), body)
            if reading.outcome is not None or reading.step not in {"0", "1"}:
                return reading
        return _unrecognised("ezbooking.unrecognised.counters-again", "1")

    async def _look_at_calendar(self, probe: Probe, form: str, reading: Reading) -> Reading:
        """From the description to the calendar, to read the dates. Arriving at step 3 is proof enough."""
        if reading.outcome is None:
            return _unrecognised("ezbooking.unrecognised.out-of-order", reading.step)
        if not reading.may_advance:
            return reading
        try:
            calendar = await probe.post(_target(probe.url, form, reading, "3"), {"nextButton": NEXT})
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return reading
        conclusive = {Outcome.OFFERED, Outcome.NONE, Outcome.CLOSED}
        return calendar if calendar.outcome in conclusive else reading

    async def _date_first_slot(
        self, probe: Probe, form_id: str, counter: CounterChoice, verdict: Reading
    ) -> Reading:
        """Look for the dates of an offer the form made without showing any. The form's verdict stands.

        Offsets count days from the planning's own first week (dossier §6.3), so one call calibrates.
        """
        today = probe.today()
        offset = 0
        for _ in range(1 + WEEKS_AHEAD):
            address = urljoin(probe.url, f"{CALENDAR_CALL}::{form_id}::{counter.key}::{offset}")
            try:
                week = await probe.ask(address, read_week)
            except ProbeStopped as stop:
                if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                    raise
                break
            if week.horizon_end is None:
                break
            slots = tuple(slot for slot in week.slots if slot.starts >= probe.now())
            if slots:
                note = "dated by the week-calendar call"
                return replace(verdict, slots=slots, horizon_end=week.horizon_end, note=note)
            behind = (today - week.horizon_end).days
            offset += 7 * max(1, math.ceil(behind / 7))
        return verdict


def _unrecognised(rule: str, step: str | None) -> Reading:
    return Reading(outcome=Outcome.UNRECOGNISED, rule=rule, step=step)


def _target(answered: str, form: str, reading: Reading, step: str) -> str:
    """Where a step posts to: the form's own action when it is this step of this form on this host.

    ``answered`` is the address of the page that bears the form: its scheme may have hopped.
    """
    path = f"{form}/{step}"
    built = urljoin(answered, path)
    if reading.action == path:  # nearly always
        return built
    try:
        action = urlsplit(urljoin(built, (reading.action or "").strip()))
        port = action.port
    except ValueError:
        return built
    wanted = f"{GATE.plain_path(form)}/{step}"
    if (
        same_host(urlsplit(answered).netloc, action.hostname or "", port)
        and GATE.plain_path(action.path) == wanted
        and not action.query
        and action.scheme in {"http", "https"}
    ):
        return action._replace(fragment="").geturl()
    return built
