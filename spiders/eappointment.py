"""eAppointment (ESII eSirius), a JSP application whose pages ask their server through DWR.

Who         Préfectures 94, 57 and 69 in their time; town halls: Lyon, Rennes, Le Havre, Paris until 2019.
Address     /<application>/appointment.do[?sitekey=…][&preselectservice=…], which redirects to
            /<application>/element/jsp/appointment.jsp;jsessionid=…; applications are named eAppointment…
Funnel      the entry page opens the session. Motives on it: each is submitted by a DWR call, whose answer
            says whether anything is free. No motives on it: site, then service, then their motives, by DWR.
            Then the list of closed days, the length of the calendar, and the hours of the first free day.
            The order of the steps is a setting of each server: the page decides, not a step's number.
Full        a motive's answer with foundAvailabilities false and a message: « Aucun rendez-vous n'est
            possible … », « Il n'y a pas de rendez-vous disponible … »; or every day of the calendar closed.
Closed      never said; a town was seen answering 404, which is `gone` here.
Failing     an exception in place of a DWR result; a page with « erreur » in its title.
Refusing    403 of the firewall (Imperva) in front of Val-de-Marne.
Stops at    hours, read only: choosing one leads to the identity form and its image captcha.
Counters    motives: checkboxes of the page, or what getMotiveBeanList names.
Params      dwr: dialect of the server, 2 or 3; absent, the reply tells it, at the price of one more request.
            site, service: keys of the place and of the reason for coming, where the page does not hold them.
Caveats     sources read the list of days in opposite senses. It is taken for closed days, as its name says,
            and only as far as it holds the Sundays; a list without Sundays is `unrecognised`. Pages are in
            ISO-8859-1. Hours are asked of the first free days until two are known, and slot_count counts
            those; how many days are free is a fact. The month in progress counts as the first.
Unknown     the reply of the hours call, and the order of its arguments (site, service, day is assumed): an
            exception there is `unrecognised`, for it may be our doing. Names of fields in the lists of
            sites, services and motives: `key` and `label` are looked for. How « soonest » dates are written.
Sources     platform dossier on other platforms, §2 (public programs and client scripts, 2018-2023); nothing
            checked on a live site.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from lxml import etree

from guichets import dwr
from guichets.gate import Allow, Gate
from guichets.items import Slot
from guichets.outcomes import Outcome
from guichets.page import CounterChoice, Page, Reading, fold, read_transport, visible_text
from guichets.visit import Asking
from spiders.base import DeskSpider, Probe, ProbeStopped

APPLICATION = r"/eAppointment[\w-]{0,40}"  # dossier §2.1: eAppointment, eAppointmentpref94, eAppointment57, …
SESSION = r"(;jsessionid=[\w.!-]{1,120})?"
PAGE = r"/element/jsp/appointment\.jsp"
KINDS = frozenset(
    {"text/javascript", "application/javascript", "application/x-javascript", "text/plain", "text/html"}
)

FEEDER = "AjaxSelectionFormFeeder"
MOTIVE = dwr.Method("AjaxMotive", "motiveMultiSiteSubmit", ("map",), before=1)
SITES = dwr.Method(FEEDER, "getSiteBeanList")
SERVICES = dwr.Method(FEEDER, "getServiceBeanList", ("string",), before=1)
MOTIVES = dwr.Method(FEEDER, "getMotiveBeanList", ("string", "string"), before=1)
MONTHS = dwr.Method(FEEDER, "numberOfMonthToDisplayInCalendar", ("string",), before=1)
DAYS = dwr.Method(FEEDER, "getClosedDaysList", ("string", "string"), before=1)
HOURS = dwr.Method(FEEDER, "getHoursProposalForADayJS", ("string", "string", "string"), before=2)

GATE = Gate(
    rows=(
        Allow(
            "GET",
            APPLICATION + r"/appointment\.do" + SESSION,
            optional={
                "sitekey": r"[\w.-]{1,40}",
                "preselectservice": r"[\w.-]{1,40}",
                "userZip": r"\d{5}",
                "mobile": "true|false",
            },
        ),
        Allow("GET", APPLICATION + PAGE + SESSION),
        Allow("GET", APPLICATION + r"/element/jsp/specific/\w{1,40}\.jsp" + SESSION, redirect_only=True),
        *(
            Allow(
                "POST",
                f"{APPLICATION}/dwr/call/plaincall/{re.escape(method.file)}",
                body=method.pattern(APPLICATION + PAGE),
                content_type="text/plain",
            )
            for method in (MOTIVE, SITES, SERVICES, MOTIVES, MONTHS, DAYS, HOURS)
        ),
    ),
    stops_at="hours",
)

MAX_COUNTERS = 40  # motives were seen by the dozen
MAX_CLOSED_DAYS = 3_000
MAX_MONTHS = 24
DAYS_ASKED = 3  # free days whose hours are asked for until two are known
FARTHEST_DAY = timedelta(days=750)  # a closed day beyond says nothing

STEP_IDS = frozenset(  # of the hidden fields and buttons of every step, dossier §2.4
    {
        *("ISiteBeanKeySelect", "serviceBeanKey", "hourValueSelect", "dayValueId", "dateFormatStrId"),
        *("offsetPageId", "nbProposalsMaxId", "previousValueId", "nextButtonId", "previousButtonId"),
    }
)
NONE_MESSAGES = (  # without accents, in lower case: the sources' own spelling varies
    "aucun rendez-vous n'est possible",
    "il n'y a pas de rendez-vous disponible",
)
MAINTENANCE = ("maintenance", "site indisponible")
LABELS = ("label", "name", "libelle")  # of a bean; its key is what counts
_BEAN_KEYS = ("key", "siteKey", "serviceKey", "motiveKey")
_APPLICATION = re.compile(rf"({APPLICATION})/", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR = re.compile(r"(\d{1,2})\s?[:hH]\s?(\d{2})(?::00)?", re.ASCII)
_FRENCH_DAY = re.compile(r"\b(\d{1,2})(?:er)? (\w+) (\d{4})\b")
_MONTH_NAMES = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
_SOONEST = etree.XPath("//*[contains(concat(' ', normalize-space(@class), ' '), ' soonestText ')]")


# The pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Reading):
    """A reading, and what else the walk goes on with."""

    dialect: int | None = None  # of the server that answered by DWR
    is_refused: bool = False  # by an exception
    site: str = ""
    service: str = ""
    days: tuple[date, ...] = ()  # closed
    hours: tuple[time, ...] = ()
    months: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    titles: tuple[str, ...]  # title and h1, in lower case
    has_form: bool
    has_step: bool  # a field or button of the funnel
    motives: tuple[CounterChoice, ...]
    has_identity: bool  # the form of names, or its captcha
    has_postcode: bool  # Val-de-Marne's page before the application
    site: str
    service: str
    soonest: tuple[str, ...]
    soonest_days: tuple[date, ...]

    @property
    def is_anchored(self) -> bool:
        return self.has_form and self.has_step


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page, in one walk over the elements that can say something."""
    titles: list[str] = []
    ids: set[str | None] = set()
    names: set[str | None] = set()
    boxes: list[etree._Element] = []
    values = {"ISiteBeanKeySelect": "", "serviceBeanKey": ""}
    has_form = False
    for element in root.iter("title", "h1", "form", "input", "select", "button"):
        tag = element.tag
        if tag in {"title", "h1"}:
            titles.append(visible_text(element).lower())
            continue
        known = element.get("id")
        if tag == "form":
            has_form = has_form or known == "form2"
            continue
        ids.add(known)
        names.add(element.get("name"))
        if tag == "input":
            if known in values:
                values[known] = (element.get("value") or "").strip()
            if element.get("name") == "selectedMotiveKeyList" and element.get("type") == "checkbox":
                boxes.append(element)
    soonest = tuple(map(visible_text, _soonest(root))) if "soonestText" in page.text else ()
    return Landmarks(
        titles=tuple(titles),
        has_form=has_form,
        has_step=bool(ids & STEP_IDS) or bool(boxes),
        motives=_read_motives(root, boxes) if boxes else (),
        has_identity="imgc" in names or "userLastName" in names,
        has_postcode="CPId" in ids and "CP" in names,
        site=values["ISiteBeanKeySelect"],
        service=values["serviceBeanKey"],
        soonest=tuple(text for text in soonest if text),
        soonest_days=_read_french_days(soonest),
    )


def _soonest(root: etree._Element) -> list[etree._Element]:
    found = _SOONEST(root)
    return [element for element in found if isinstance(element, etree._Element)]  # type: ignore[union-attr]


def _read_motives(root: etree._Element, boxes: list[etree._Element]) -> tuple[CounterChoice, ...]:
    labels = {label.get("for"): visible_text(label) for label in root.iter("label")}
    found: dict[str, CounterChoice] = {}
    for box in boxes[: MAX_COUNTERS + 1]:
        key = (box.get("value") or "").strip()
        if dwr.is_plain(key):
            found.setdefault(key, CounterChoice(key, labels.get(box.get("id") or "-", "") or _beside(box)))
    return tuple(found.values())


def _beside(box: etree._Element) -> str:
    """The text that shares the box's parent, where that holds one box alone."""
    parent = box.getparent()
    if parent is None or len(tuple(islice(parent.iter("input"), 2))) > 1:
        return ""
    return visible_text(parent)


def _read_french_days(texts: Iterable[str]) -> tuple[date, ...]:
    days = set()
    for text in texts:
        for number, month, year in _FRENCH_DAY.findall(text):
            if month.lower() in _MONTH_NAMES:
                day = _date(int(year), _MONTH_NAMES.index(month.lower()) + 1, int(number))
                days |= {day} if day else set()
    return tuple(sorted(days))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its reading is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome | None = None  # None: the funnel goes on
    step: str | None = None


FAILING_RULES: tuple[Rule, ...] = (  # in place of any answer, page or DWR reply
    Rule(
        "eappointment.overloaded.error-page",
        lambda m: not m.has_form and any("erreur" in title for title in m.titles),
        Outcome.OVERLOADED,
    ),
    Rule(
        "eappointment.overloaded.maintenance",
        lambda m: not m.has_form and any(word in title for title in m.titles for word in MAINTENANCE),
        Outcome.OVERLOADED,
    ),
)
PAGE_RULES: tuple[Rule, ...] = (
    *FAILING_RULES,
    Rule(
        "eappointment.unrecognised.identity-form",  # beyond the hours: we never go there
        lambda m: m.has_identity,
        Outcome.UNRECOGNISED,
    ),
    Rule("eappointment.unrecognised.postcode", lambda m: m.has_postcode, Outcome.UNRECOGNISED),
    Rule(
        "eappointment.offered.soonest",
        lambda m: m.is_anchored and bool(m.soonest_days),
        Outcome.OFFERED,
        "soonest",
    ),
    Rule(
        "eappointment.unrecognised.soonest",
        lambda m: m.is_anchored and bool(m.soonest),
        Outcome.UNRECOGNISED,
        "soonest",
    ),
    Rule(
        "eappointment.unrecognised.too-many-motives",
        lambda m: len(m.motives) > MAX_COUNTERS,
        Outcome.UNRECOGNISED,
        "motives",
    ),
    Rule("eappointment.motives", lambda m: m.is_anchored and bool(m.motives), step="motives"),
    Rule("eappointment.place", lambda m: m.is_anchored, step="place"),
    Rule("eappointment.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def read_page(page: Page) -> Told:
    """What a page of the application says, by landmarks alone. Never raises, whatever the bytes."""
    transport = read_transport(page, family="eappointment")
    if transport is not None:
        return _told(transport)
    if page.root is None:
        return Told(outcome=Outcome.UNRECOGNISED, rule="eappointment.unrecognised")
    marks = find_landmarks(page, page.root)
    row = next(row for row in PAGE_RULES if row.holds(marks))
    slots = tuple(map(Slot, marks.soonest_days)) if row.outcome is Outcome.OFFERED else ()
    return Told(
        outcome=row.outcome,
        rule=row.id,
        step=row.step,
        counters=marks.motives if row.id == "eappointment.motives" else (),
        slots=slots,
        slot_count=len(slots) or None,
        site=marks.site,
        service=marks.service,
    )


def _told(reading: Reading) -> Told:
    return Told(outcome=reading.outcome, rule=reading.rule, note=reading.note)


# The replies


def _read_reply(page: Page) -> dwr.Reply | Told:
    """A DWR result, or what stands in its place."""
    transport = read_transport(page, family="eappointment", kinds=KINDS)
    if transport is not None:
        return _told(transport)
    try:
        reply = dwr.read_reply(page.text)
    except dwr.CutReply:
        return Told(outcome=Outcome.UNREACHABLE, rule="http.truncated")
    except dwr.NotDwr as error:
        return _read_in_place(page, str(error))
    if reply.failure is not None:
        return Told(
            outcome=Outcome.OVERLOADED,
            rule="eappointment.overloaded.exception",
            note=reply.failure,
            dialect=reply.dialect,
            is_refused=True,
        )
    return reply


def _read_in_place(page: Page, reason: str) -> Told:
    """A page where a DWR result is due."""
    if "<html" in page.text.lower() and page.may_be_cut:
        return Told(outcome=Outcome.UNREACHABLE, rule="http.truncated")
    if page.root is not None:
        marks = find_landmarks(page, page.root)
        for row in FAILING_RULES:
            if row.holds(marks):
                return Told(outcome=row.outcome, rule=row.id)
    return Told(outcome=Outcome.UNRECOGNISED, rule="eappointment.unrecognised.not-dwr", note=reason)


def _unrecognised(rule: str, reply: dwr.Reply | None, step: str | None = None, **more: Any) -> Told:
    dialect = reply.dialect if reply else None
    return Told(outcome=Outcome.UNRECOGNISED, rule=rule, step=step, dialect=dialect, **more)


def read_motive(page: Page) -> Told:
    """The answer to a submitted motive: something is free, nothing is, or neither was said."""
    reply = _read_reply(page)
    if isinstance(reply, Told):
        return reply
    value = reply.value
    found = value.get("foundAvailabilities") if isinstance(value, dict) else None
    if not isinstance(found, bool):
        return _unrecognised("eappointment.unrecognised.motive", reply, "motive")
    message = value.get("msg")
    text = fold(message) if isinstance(message, str) else ""
    facts = (("message", text[:500]),) if text else ()
    if found:
        override = value.get("overrideValue")
        service = override.get("serviceKey") if isinstance(override, dict) else None
        return Told(
            outcome=Outcome.OFFERED,
            rule="eappointment.offered.motive",
            step="motive",
            dialect=reply.dialect,
            service=service if isinstance(service, str) else "",
        )
    if any(words in _bare(text) for words in NONE_MESSAGES):
        return Told(
            outcome=Outcome.NONE,
            rule="eappointment.none.motive-message",
            step="motive",
            dialect=reply.dialect,
            facts=facts,
        )
    return _unrecognised("eappointment.unrecognised.message", reply, "motive", note=text[:200], facts=facts)


def _bare(text: str) -> str:
    """Without accents and case."""
    letters = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def read_beans(page: Page) -> Told:
    """A list of sites, services or motives, as choices; an empty list is one too."""
    reply = _read_reply(page)
    if isinstance(reply, Told):
        return reply
    beans = [] if reply.value is None else reply.value
    choices = [_choice(bean) for bean in beans] if isinstance(beans, list) else [None]
    known = {choice.key: choice for choice in reversed(choices) if choice is not None}
    if len(known) != len(choices) or len(known) > MAX_COUNTERS:
        return _unrecognised("eappointment.unrecognised.beans", reply)
    kept = tuple(choice for choice in choices if choice is not None)
    return Told(rule="eappointment.beans", dialect=reply.dialect, counters=kept)


def _choice(bean: Any) -> CounterChoice | None:
    if not isinstance(bean, dict):
        return None
    key = next((bean[name] for name in _BEAN_KEYS if name in bean), None)
    key = str(key) if type(key) is int else key
    if not isinstance(key, str) or not dwr.is_plain(key):
        return None
    label = next((bean[name] for name in LABELS if isinstance(bean.get(name), str)), "")
    return CounterChoice(key, fold(label))


def read_months(page: Page) -> Told:
    """How many months the calendar shows."""
    reply = _read_reply(page)
    if isinstance(reply, Told):
        return reply
    value = reply.value
    if isinstance(value, str) and re.fullmatch(r"\d{1,2}", value, re.ASCII):
        value = int(value)
    if type(value) is not int or not 1 <= value <= MAX_MONTHS:
        return _unrecognised("eappointment.unrecognised.months", reply, "days")
    return Told(rule="eappointment.months", dialect=reply.dialect, step="days", months=value)


def read_days(page: Page) -> Told:
    """The closed days. A list without a Sunday lists something else, or nothing that can be relied on."""
    reply = _read_reply(page)
    if isinstance(reply, Told):
        return reply
    value = reply.value
    if not isinstance(value, list) or len(value) > MAX_CLOSED_DAYS:
        return _unrecognised("eappointment.unrecognised.days", reply, "days")
    days = {_read_day(text) for text in value}
    known = sorted(day for day in days if day is not None)
    if len(known) != len(days):
        return _unrecognised("eappointment.unrecognised.days", reply, "days")
    if not known:
        return _unrecognised("eappointment.unrecognised.no-closed-day", reply, "days")
    if not any(day.weekday() == 6 for day in known):
        return _unrecognised("eappointment.unrecognised.days-without-sunday", reply, "days")
    return Told(rule="eappointment.days", dialect=reply.dialect, step="days", days=tuple(known))


def _read_day(text: Any) -> date | None:
    if not isinstance(text, str) or _DAY.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_hours(page: Page) -> Told:
    """The hours of one day: « 09:30 » or « 9h30 », alone or as the start of an object. Nothing else."""
    reply = _read_reply(page)
    if isinstance(reply, Told):
        if reply.is_refused:  # the order of our arguments is a guess: no fault of the server's
            rule = "eappointment.unrecognised.hours-refused"
            return replace(reply, outcome=Outcome.UNRECOGNISED, rule=rule, step="hours")
        return reply
    items = reply.value if isinstance(reply.value, list) else [None]
    hours = [_read_hour(item) for item in items]
    known = {hour for hour in hours if hour is not None}
    if None in hours:
        return _unrecognised("eappointment.unrecognised.hours", reply, "hours")
    return Told(rule="eappointment.hours", dialect=reply.dialect, step="hours", hours=tuple(sorted(known)))


def _read_hour(item: Any) -> time | None:
    if isinstance(item, dict):
        item = item.get("startHour", item.get("hour"))
    found = _HOUR.fullmatch(item.strip()) if isinstance(item, str) else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    return time(int(found[1]), int(found[2]))


# The calendar


@dataclass(frozen=True, slots=True)
class Calendar:
    """What a list of closed days says of the days from today on."""

    free: tuple[date, ...]
    end: date  # last day it speaks of
    is_whole: bool  # whether it reaches the end of what is shown


def read_calendar(closed_days: Iterable[date], *, months: int, today: date) -> Calendar:
    """Free days: those of the calendar that are not closed, as far as the list holds the Sundays.

    The calendar is the month in progress and those after it; a list that goes further is believed.
    """
    closed = {day for day in closed_days if day <= today + FARTHEST_DAY}
    year, month = divmod(today.year * 12 + today.month - 1 + months - 1, 12)
    shown_end = date(year, month + 1, monthrange(year, month + 1)[1])
    first_sunday = today + timedelta(days=7 - today.isoweekday() % 7)
    missing = first_sunday
    while missing in closed:
        missing += timedelta(days=7)
    covered_end = missing - timedelta(days=1)
    if missing == first_sunday:
        return Calendar((), today, is_whole=False)
    is_whole = covered_end >= shown_end
    end = min(covered_end, max(shown_end, *closed) if is_whole else max(closed))
    ahead = (today + timedelta(days=number) for number in range((end - today).days + 1))
    free = tuple(day for day in ahead if day not in closed and day.weekday() != 6)
    return Calendar(free, end, is_whole)


# The walk


class _Visit:
    """One session: where its application is, and which dialect its server speaks."""

    def __init__(self, probe: Probe, application: str, page: Told) -> None:
        self._probe = probe
        self._application = application
        self._dialect: int = probe.desk.params.get("dwr", 3)
        self._batch = 0
        self._months: Told | None = None
        query = parse_qs(urlsplit(probe.desk.url).query)
        given = probe.desk.params
        self.site = _first_plain(given.get("site", ""), page.site, *query.get("sitekey", []))
        self.service = _first_plain(given.get("service", ""), page.service)

    async def call(self, method: dwr.Method, values: tuple[str, ...], read: Callable[[Page], Told]) -> Told:
        """One call; refused by a server that speaks the other dialect, it is made once more in that."""
        reading = await self._ask(method, values, read)
        spoken = reading.dialect or self._dialect
        if spoken != self._dialect and reading.is_refused:
            self._dialect = spoken
            reading = await self._ask(method, values, read)
        return reading

    async def _ask(self, method: dwr.Method, values: tuple[str, ...], read: Callable[[Page], Told]) -> Told:
        address = urljoin(self._probe.url, f"{self._application}/dwr/call/plaincall/{method.file}")
        page = f"{self._application}/element/jsp/appointment.jsp"
        body = method.body(values, dialect=self._dialect, page=page, batch=self._batch)
        self._batch += 1
        return await self._probe.ask(address, read, Asking("POST", body, "text/plain"))

    async def find_place(self) -> Told | None:
        """Settle site and service where there is one choice; else the reading that ends the visit."""
        if not self.site:
            sites = await self.call(SITES, (), read_beans)
            if len(sites.counters) != 1:
                return _undecided(sites, "eappointment.unrecognised.which-site")
            self.site = sites.counters[0].key
        if not self.service:
            services = await self.call(SERVICES, (self.site,), read_beans)
            if len(services.counters) != 1:
                return _undecided(services, "eappointment.unrecognised.which-service")
            self.service = services.counters[0].key
        return None

    async def find_motives(self) -> tuple[CounterChoice, ...]:
        """The motives of the service; none where the server has no such step, or an unknown list of them."""
        motives = await self.call(MOTIVES, (self.site, self.service), read_beans)
        if motives.is_refused or motives.rule == "eappointment.unrecognised.beans":
            return ()
        if motives.outcome is not None:
            raise _Ended(motives)
        return motives.counters

    async def choose(self, motive: CounterChoice) -> Told:
        """Submit a motive: its answer is the verdict; the calendar only adds dates to it."""
        verdict = await self.call(MOTIVE, (motive.key,), read_motive)
        if verdict.outcome is not Outcome.OFFERED:
            return verdict
        try:
            dated = await self._date(verdict)
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return verdict
        if dated.outcome is not Outcome.OFFERED:
            return replace(verdict, note=f"no dates: {dated.rule}")
        return replace(
            verdict,
            slots=dated.slots,
            slot_count=dated.slot_count,
            horizon_end=dated.horizon_end,
            step="hours",
        )

    async def _date(self, verdict: Told) -> Told:
        """The calendar of the motive that was just submitted."""
        self.service = _first_plain(verdict.service, self.service)
        undecided = await self.find_place()
        return undecided or await self.look_at_calendar(self.service)

    async def look_at_calendar(self, service: str) -> Told:
        """What the days and the hours of a service say."""
        if self._months is None or self._months.outcome is not None:
            self._months = await self.call(MONTHS, (self.site,), read_months)
        months = self._months
        if months.outcome is not None:
            return months
        days = await self.call(DAYS, (self.site, service), read_days)
        if days.outcome is not None:
            return days
        calendar = read_calendar(days.days, months=months.months, today=self._probe.today())
        if not calendar.free:
            if not calendar.is_whole:
                return _unrecognised("eappointment.unrecognised.days-end-early", None, "days")
            return Told(
                outcome=Outcome.NONE,
                rule="eappointment.none.all-days-closed",
                step="days",
                horizon_end=calendar.end,
            )
        return await self._look_at_hours(service, calendar)

    async def _look_at_hours(self, service: str, calendar: Calendar) -> Told:
        """The hours of the first free days, until two are known."""
        slots: list[Slot] = []
        for day in calendar.free[:DAYS_ASKED]:
            try:
                hours = await self.call(HOURS, (self.site, service, day.isoformat()), read_hours)
            except ProbeStopped as stop:
                if not slots or stop.reading.outcome is Outcome.OBSERVER_FAULT:
                    raise
                break
            if hours.outcome is not None:
                if not slots:
                    return hours
                break
            zone = self._probe.zone
            slots += [Slot(datetime.combine(day, hour, zone)) for hour in hours.hours]
            if len(slots) > 1:
                break
        if not slots:
            return _unrecognised("eappointment.unrecognised.free-days-without-hours", None, "hours")
        return Told(
            outcome=Outcome.OFFERED,
            rule="eappointment.offered.free-day",
            step="hours",
            slots=tuple(slots),
            slot_count=len(slots),
            horizon_end=calendar.end,
            facts=(("free_days", str(len(calendar.free))),),
        )


def _first_plain(*keys: str) -> str:
    return next((key for key in keys if dwr.is_plain(key)), "")


class _Ended(Exception):
    """The visit has its reading before its counters are known."""

    def __init__(self, reading: Told) -> None:
        self.reading = reading
        super().__init__(reading.rule)


def _undecided(choices: Told, rule: str) -> Told:
    if choices.outcome is not None:
        return choices
    note = f"{len(choices.counters)} to choose from: {', '.join(choice.key for choice in choices.counters)}"
    return _unrecognised(rule, None, "place", note=note[:200])


class EappointmentSpider(DeskSpider):
    name = "eappointment"
    gate = GATE
    parser_version = 1
    entry = rf"{APPLICATION}/(appointment\.do(\?\S*)?|element/jsp/appointment\.jsp)"
    readers = MappingProxyType(
        {
            "page": read_page,
            "motive": read_motive,
            "beans": read_beans,
            "months": read_months,
            "days": read_days,
            "hours": read_hours,
        }
    )

    @staticmethod
    def has_anchor(page: Page) -> bool:
        """A step's form with its fields, or a reply of DWR's."""
        if "dwr.engine." in page.text:
            try:
                dwr.read_reply(page.text)
            except dwr.NotDwr:
                pass
            else:
                return True
        return page.root is not None and find_landmarks(page, page.root).is_anchored

    async def walk(self, probe: Probe) -> None:
        found = _APPLICATION.match(urlsplit(probe.desk.url).path)
        if found is None:
            rule = "eappointment.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=rule, note=probe.desk.url))
            return
        page = await probe.ask(probe.desk.url, read_page)
        if page.outcome is not None:
            probe.conclude(page)
            return
        visit = _Visit(probe, found[1], page)
        motives = page.counters
        if not motives:
            undecided = await visit.find_place()
            if undecided is not None:
                probe.conclude(undecided)
                return
            try:
                motives = await visit.find_motives()
            except _Ended as end:
                probe.conclude(end.reading)
                return
        if not motives:
            probe.conclude(await visit.look_at_calendar(visit.service))
            return
        probe.announce(motives)
        for motive in motives:
            probe.conclude(await visit.choose(motive), motive)
