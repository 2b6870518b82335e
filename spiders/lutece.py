"""Lutece appointment, the City of Paris's own open-source portal.

Who         Ville de Paris: identity cards and passports (public in 2021-2022), conciliators of justice, and
            other services; one form for each town hall or desk.
Address     /<site>/jsp/site/Portal.jsp?page=appointmentsearch&view=search&category=<category> lists places;
            ...?page=appointment&view=getViewAppointmentCalendar&id_form=<form> is one form's calendar.
Funnel      none: either page says it all. The search lists places with their next slots, and an inline script
            how many places are free; the calendar is drawn from an inline script that holds every slot.
Full        search: « Aucun rendez-vous n'est actuellement disponible. », or no free place in the script;
            calendar: « Aucun créneau disponible ... » in its box of messages, or every slot full or shut.
Closed      « Le formulaire n'est pas actif », « Le formulaire n'est plus valide ».
Failing     5xx; a page titled « maintenance ».
Refusing    an account: a redirect to moncompte.paris.fr, or a form that asks for a password, is `blocked`.
            The search for identity papers (page=appointmenttitresearch) has stood behind it since 2022.
Stops at    the search or the calendar, read only. Links with view=getViewAppointmentForm are read as text for
            their machine dates and never asked for: opening one holds the slot for the visitor.
Counters    the places of a search, by number of form: listed only while they offer. A calendar has none.
Params      none.
Caveats     The page's language follows the visitor, so dates come from links and scripts alone, in the desk's
            own clock. slot_count is the number of free places where a script tells it (one slot may have
            several), else of the slots shown; the fact `total_places.<form>` is how many places there are.
            The messages of a calendar can be written by each form: an unknown one is kept as a fact and
            proves nothing. Scripts are taken apart, never run. A slot whose last places are being booked
            (« Pas de place disponible pour le moment ») is not free.
Unknown     how the script names forms: its key is matched by its digits, or because it is alone; the pages in
            other languages; the redesigned calendar of 2026, whose script has another name; what stands on
            page=appointmenttitresearch before the account.
Sources     platform dossier « others », §8 (the portal's public source of 2025, one archived page of 2022);
            nothing checked on a live site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lxml import etree

from guichets.dates import day_of, in_order, read_machine_date
from guichets.gate import Allow, Gate
from guichets.items import Slot
from guichets.outcomes import Outcome
from guichets.page import CounterChoice, Page, Reading, fold, read_transport, visible_text
from guichets.visit import REDIRECT_AS_IS, REDIRECT_TO_GET, Asking, redirect_target
from spiders.base import DeskSpider, Probe

MAX_PLACES = 60  # the archived page lists 18
MAX_EVENTS = 20_000  # slots of one calendar
MOST_FREE = 1_000_000  # places; beyond, no number is one

_PORTAL = r"(?:/[A-Za-z0-9_-]{1,40}){0,2}/jsp/site/Portal\.jsp"
GATE = Gate(
    rows=(
        Allow(
            "GET",
            _PORTAL,
            query={"page": "appointmentsearch"},
            optional={
                "view": "search",
                "category": r"[A-Za-z0-9_-]{1,60}",
                "nb_consecutive_slots": r"[1-9]",
                "role": "none",
            },
        ),
        Allow(
            "GET",
            _PORTAL,
            query={"page": "appointment", "view": "getViewAppointmentCalendar", "id_form": r"\d{1,9}"},
            optional={"nbPlacesToTake": r"[1-9]"},
        ),
        Allow("GET", _PORTAL, query={"page": "appointmenttitresearch"}),
    ),
    stops_at="the search or the calendar",
)

ACCOUNT_HOST = "moncompte.paris.fr"
NONE_SEARCH = "Aucun rendez-vous n'est actuellement disponible"
NONE_CALENDAR = "Aucun créneau disponible"  # and « ... n'a été trouvé. Veuillez réiterer ... » (sic)
INACTIVE = "Le formulaire n'est pas actif"
EXPIRED = "Le formulaire n'est plus valide"
HELD = "Pas de place disponible pour le moment"  # title of a slot whose last places are being booked
MAINTENANCE = ("maintenance", "site indisponible")
FREE_PLACES = "lutece_appointment_solrsearchapp_freePlaces"
SLOT_VIEW = "getViewAppointmentForm"  # never asked for: it holds the slot

_FREE_PLACES = re.compile(rf"\b{FREE_PLACES}\s*=\s*")
_EVENTS = re.compile(r"\bvar\s+events\s*=\s*")
_SCRIPT = re.compile(r"<!--.*?-->|<script\b[^>]*>(.*?)</script", re.DOTALL | re.IGNORECASE)
_OWN = "jsp/site/Portal.jsp"  # in every link of the portal
_SENTENCES = (NONE_SEARCH, INACTIVE, EXPIRED)
_FIRST_WORDS = ("Aucun rendez-vous", "Le formulaire")  # of those sentences, however apostrophes are written
_SPEAKING_TAGS = ("h1", "h2", "h3", "h4", "p", "div", "li", "span", "strong")


@dataclass(frozen=True, slots=True)
class Place:
    """One form of a search: where, its next slots, and how many places are free."""

    form: str
    label: str
    slots: tuple[Slot, ...]
    free: int | None = None  # None: the page does not tell
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """The slots of a calendar, by what can be done with them."""

    free: tuple[Slot, ...]
    taken: int  # full, or being booked to the last place
    shut: int
    unknown: int  # of another class, or free without a date
    last_day: date | None

    @property
    def count(self) -> int:
        return len(self.free) + self.taken + self.shut + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalReading(Reading):
    """What a page of the portal says, place by place."""

    places: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    has_anchor: bool
    is_search: bool  # its heading, its list or its script
    asks_password: bool
    is_maintenance: bool
    sentences: frozenset[str]  # of those an element begins with
    warns: bool  # the no-slot sentence stands in its own heading
    message: str | None  # in the calendar's box of errors
    places: tuple[Place, ...]
    numbers: Mapping[str, tuple[int, int]] | None  # of the script: form -> free and total places
    has_events: bool
    events: Events | None  # None: no script, or one that cannot be read

    @property
    def free_by_numbers(self) -> int | None:
        """Free places in all; None when the script does not tell of any form."""
        return sum(free for free, _ in self.numbers.values()) if self.numbers else None


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page and in its scripts."""
    links = [(link, href) for link in root.iter("a") if _OWN in (href := link.get("href") or "")]
    has_form = any(_OWN in (form.get("action") or "") for form in root.iter("form"))
    source = page.text
    script = _script_with(source, FREE_PLACES)
    numbers = _read_free_places(script) if script else None
    calendar = _script_with(source, "events") if "var events" in source else None
    has_events = calendar is not None and _EVENTS.search(calendar) is not None
    heading = "rdv_liste" in source and any(title.get("id") == "rdv_liste" for title in root.iter("h3"))
    is_search = script is not None or heading or ("nextAvailableAppointments" in source and _has_list(root))
    above = source.partition("<footer")[0]
    speaks = any(words in above for words in _FIRST_WORDS)
    sentences = _read_sentences(root) if speaks else frozenset()
    warns = NONE_SEARCH in sentences and any(_is_warning(title) for title in root.iter("h3"))
    message = _read_message(root) if "messages_infos_div" in source else None
    has_anchor = bool(links) or has_form or is_search or has_events or warns or message is not None
    places = _read_places([pair for pair in links if "starting_date_time=" in pair[1]]) if is_search else ()
    return Landmarks(
        has_anchor=has_anchor,
        is_search=is_search,
        asks_password="password" in source and _asks_password(root),
        is_maintenance=not has_anchor and _speaks_of_maintenance(root),
        sentences=sentences,
        warns=warns,
        message=message,
        places=_with_numbers(places, numbers),
        numbers=numbers,
        has_events=has_events,
        events=_read_events(calendar) if calendar is not None and has_events else None,
    )


def _has_list(root: etree._Element) -> bool:
    return any(
        "nextAvailableAppointments" in (block.get("class") or "").split() for block in root.iter("div")
    )


def _asks_password(root: etree._Element) -> bool:
    return any((field.get("type") or "").lower() == "password" for field in root.iter("input"))


def _speaks_of_maintenance(root: etree._Element) -> bool:
    titles = (visible_text(title).lower() for title in root.iter("title", "h1", "h2"))
    return any(word in title for title in titles for word in MAINTENANCE)


def _read_sentences(root: etree._Element) -> frozenset[str]:
    """The sentences that an element begins with by itself; quoted in a text, they say nothing."""
    found = set()
    for element in root.iter(*_SPEAKING_TAGS):
        own = (element.text or "").lstrip()
        if own.startswith(_FIRST_WORDS):
            own = fold(own[:200])
            found |= {sentence for sentence in _SENTENCES if own.startswith(sentence)}
    return frozenset(found)


def _is_warning(title: etree._Element) -> bool:
    is_marked = "text-warning" in (title.get("class") or "").split()
    return is_marked and visible_text(title).startswith(NONE_SEARCH)


def _read_message(root: etree._Element) -> str | None:
    """The words of the calendar's box of errors; what informs only is not looked at."""
    for block in root.iter("div"):
        if block.get("id") == "messages_infos_div" and "alert-danger" in (block.get("class") or "").split():
            return visible_text(block)
    return None


def _read_places(links: Sequence[tuple[etree._Element, str]]) -> tuple[Place, ...]:
    """The places of a search with the dates of their links, in the page's order."""
    labels: dict[str, str] = {}
    slots: dict[str, set[Slot]] = {}
    for link, href in links:
        query = _query(href)
        form = query.get("id_form", "")
        slot = read_machine_date(query.get("starting_date_time", ""))
        if query.get("view") != SLOT_VIEW or re.fullmatch(r"\d{1,9}", form, re.ASCII) is None or slot is None:
            continue
        labels.setdefault(form, _label_of(link))
        slots.setdefault(form, set()).add(slot)
    return tuple(
        Place(form, label, tuple(sorted(slots[form], key=in_order))) for form, label in labels.items()
    )


def _label_of(link: etree._Element) -> str:
    """The name of the place whose slots these are: the nearest h4 above."""
    for element in link.iterancestors():
        title = element.find(".//h4")
        if title is not None:
            return visible_text(title)
        if element.tag == "body":
            break
    return ""


def _query(address: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
    except ValueError:
        return {}


def _with_numbers(
    places: tuple[Place, ...], numbers: Mapping[str, tuple[int, int]] | None
) -> tuple[Place, ...]:
    """The places with what the script says of them, where its key is clearly theirs."""
    if not numbers or not places:
        return places
    known: dict[str, list[tuple[int, int]]] = {}
    for key, counts in numbers.items():
        digits = re.findall(r"\d+", key)
        if len(digits) == 1:
            known.setdefault(digits[0], []).append(counts)
    if len(places) == 1 and len(numbers) == 1:
        known.setdefault(places[0].form, list(numbers.values()))
    return tuple(
        Place(place.form, place.label, place.slots, *known[place.form][0])
        if len(known.get(place.form, ())) == 1
        else place
        for place in places
    )


# Inline scripts: taken apart, never run


def _script_with(source: str, marker: str) -> str | None:
    """The first script that holds the marker; scripts inside comments do not count."""
    if marker not in source:
        return None
    scripts = (found[1] for found in _SCRIPT.finditer(source))
    return next((script for script in scripts if script and marker in script), None)


def _read_free_places(script: str) -> Mapping[str, tuple[int, int]] | None:
    """Free and total places by form; None when that is not what stands there."""
    found = _FREE_PLACES.search(script)
    if found is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(script, found.end())
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    counts: dict[str, tuple[int, int]] = {}
    for form, entry in value.items():
        free, total = (entry.get("free"), entry.get("total")) if isinstance(entry, dict) else (None, None)
        if type(free) is not int or type(total) is not int or not 0 <= free <= total <= MOST_FREE:
            return None
        counts[form] = (free, total)
    return counts


def _read_events(script: str) -> Events | None:
    """The slots of a calendar's script; None when it cannot be taken apart."""
    found = _EVENTS.search(script)
    items = _read_objects(script, found.end()) if found else None
    if items is None:
        return None
    free: set[Slot] = set()
    days: list[date] = []
    taken = shut = unknown = 0
    for item in items:
        starts = read_machine_date(_query(item.get("url", "")).get("starting_date_time", ""))
        starts = starts or read_machine_date(item.get("start", ""))
        if starts is not None:
            days.append(day_of(starts))
        kind = item.get("className")
        if kind == "slot-full" or (kind == "" and fold(item.get("title", "")) == HELD):
            taken += 1
        elif kind == "slot-closed":
            shut += 1
        elif kind == "" and starts is not None:
            free.add(starts)
        else:
            unknown += 1
    return Events(tuple(sorted(free, key=in_order)), taken, shut, unknown, max(days, default=None))


_TOKEN = re.compile(
    r"\s*(?://[^\n]*\n\s*)*(?:"
    r"(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<name>[A-Za-z_$][\w$]*)|(?P<number>-?\d{1,18}(?:\.\d{1,18})?)|(?P<mark>[\[\]{},:+]))"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def _read_objects(script: str, place: int) -> list[dict[str, str]] | None:
    """A list of flat objects as scripts write them: any quotes, commas at ends, texts joined by a plus.

    What a variable adds to a text is left out of it. None for anything else.
    """
    tokens = _tokens(script, place)
    try:
        if next(tokens) != ("mark", "["):
            return None
        found: list[dict[str, str]] = []
        token = next(tokens)
        while token != ("mark", "]"):
            if token != ("mark", "{") or len(found) >= MAX_EVENTS:
                return None
            item = _read_object(tokens)
            if item is None:
                return None
            found.append(item)
            token = next(tokens)
            if token == ("mark", ","):
                token = next(tokens)
            elif token != ("mark", "]"):
                return None
    except StopIteration:  # the script ends in the middle
        return None
    return found


def _read_object(tokens: Iterator[tuple[str, str]]) -> dict[str, str] | None:
    item: dict[str, str] = {}
    kind, name = next(tokens)
    while (kind, name) != ("mark", "}"):
        if kind not in {"text", "name"} or next(tokens) != ("mark", ":"):
            return None
        pieces = []
        while True:
            kind, piece = next(tokens)
            if kind == "mark":
                return None
            pieces.append("" if kind == "name" else piece)
            end = next(tokens)
            if end != ("mark", "+"):
                break
        item[name] = "".join(pieces)
        if end == ("mark", ","):
            end = next(tokens)
        elif end != ("mark", "}"):
            return None
        kind, name = end
    return item


def _tokens(script: str, place: int) -> Iterator[tuple[str, str]]:
    """What the script is made of, up to the first thing that is no plain data."""
    while (found := _TOKEN.match(script, place)) is not None:
        place = found.end()
        kind = str(found.lastgroup)
        text = found[kind]
        yield kind, _ESCAPE.sub(_unescaped, text[1:-1]) if kind == "text" else text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its reading is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome
    step: str | None = None


def _has_offer(marks: Landmarks) -> bool:
    return bool(marks.places or (marks.events and marks.events.free) or marks.free_by_numbers)


def _is_none_calendar(marks: Landmarks) -> bool:
    return marks.message is not None and marks.message.startswith(NONE_CALENDAR)


def _is_full(events: Events | None) -> bool:
    """Every slot of the calendar is known, and none of them free."""
    return events is not None and events.count > 0 and not events.free and not events.unknown


# Said by a whole 2xx page that bears the family's anchor, or asks for a password in its place.
PAGE_RULES: tuple[Rule, ...] = (
    Rule(
        "lutece.unrecognised.offer-and-none",  # a page that says both says nothing
        lambda m: _has_offer(m) and (bool(m.sentences) or _is_none_calendar(m)),
        Outcome.UNRECOGNISED,
    ),
    Rule("lutece.closed.inactive", lambda m: INACTIVE in m.sentences, Outcome.CLOSED),
    Rule("lutece.closed.expired", lambda m: EXPIRED in m.sentences, Outcome.CLOSED),
    Rule(
        "lutece.unrecognised.too-many-counters",
        lambda m: len(m.places) > MAX_PLACES,
        Outcome.UNRECOGNISED,
        step="search",
    ),
    Rule("lutece.offered.search", lambda m: bool(m.places), Outcome.OFFERED, step="search"),
    Rule(
        "lutece.offered.free-places",  # the script counts free places, and no date is shown
        lambda m: m.is_search and bool(m.free_by_numbers),
        Outcome.OFFERED,
        step="search",
    ),
    Rule(
        "lutece.none.search",
        lambda m: m.warns or (m.is_search and NONE_SEARCH in m.sentences),
        Outcome.NONE,
        step="search",
    ),
    Rule(
        "lutece.none.free-places",  # whatever the language
        lambda m: m.is_search and m.free_by_numbers == 0,
        Outcome.NONE,
        step="search",
    ),
    Rule(
        "lutece.offered.calendar",
        lambda m: m.events is not None and bool(m.events.free),
        Outcome.OFFERED,
        step="calendar",
    ),
    Rule("lutece.none.calendar-message", _is_none_calendar, Outcome.NONE, step="calendar"),
    Rule(
        "lutece.none.calendar-full",
        lambda m: _is_full(m.events),
        Outcome.NONE,
        step="calendar",
    ),
    Rule(
        "lutece.blocked.account",  # an account stands before the answer
        lambda m: m.asks_password and not (m.is_search or m.has_events),
        Outcome.BLOCKED,
    ),
    Rule("lutece.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def read_page(page: Page) -> PortalReading:
    """What a page of the portal says, by landmarks alone. Never raises, whatever the bytes."""
    if _leads_to_account(page):
        return PortalReading(outcome=Outcome.BLOCKED, rule="lutece.blocked.account-elsewhere")
    transport = read_transport(page, family="lutece")
    if transport is not None:
        return PortalReading(outcome=transport.outcome, rule=transport.rule)
    if page.root is None:
        return PortalReading(outcome=Outcome.UNRECOGNISED, rule="lutece.unrecognised")
    marks = find_landmarks(page, page.root)
    if marks.is_maintenance:
        return PortalReading(outcome=Outcome.OVERLOADED, rule="lutece.overloaded.maintenance")
    if not marks.has_anchor and not marks.asks_password:
        return PortalReading(outcome=Outcome.UNRECOGNISED, rule="lutece.unrecognised")
    row = next(row for row in PAGE_RULES if row.holds(marks))
    return _reading_of(row, marks)


def _leads_to_account(page: Page) -> bool:
    target = redirect_target(page.url, page.status, page.headers.get("location"))
    try:
        host = urlsplit(target).hostname if target else None
    except ValueError:
        return False
    return host is not None and (host == ACCOUNT_HOST or host.endswith(f".{ACCOUNT_HOST}"))


def _reading_of(row: Rule, marks: Landmarks) -> PortalReading:
    if row.id == "lutece.offered.search":
        slots = {slot for place in marks.places for slot in place.slots}
        told = [_told(place) for place in marks.places]
        return PortalReading(
            outcome=row.outcome,
            rule=row.id,
            step=row.step,
            counters=tuple(CounterChoice(place.form, place.label) for place in marks.places),
            slots=tuple(sorted(slots, key=in_order)),
            slot_count=sum(count for _, count in told),
            counts_places=any(is_places for is_places, _ in told),
            facts=_facts(marks.places),
            places=marks.places,
        )
    events = marks.events if row.id == "lutece.offered.calendar" else None
    facts: list[tuple[str, str]] = []
    if marks.message is not None and row.outcome is not Outcome.OFFERED:
        facts.append(("message", marks.message[:500]))
    if row.id == "lutece.offered.free-places" and marks.numbers:
        facts += [(f"total_places.{form}", str(total)) for form, (_, total) in marks.numbers.items()]
    return PortalReading(
        outcome=row.outcome,
        rule=row.id,
        step=row.step,
        slots=events.free if events else (),
        slot_count=len(events.free) if events else None,
        horizon_end=events.last_day if events else None,
        facts=tuple(facts),
    )


def _told(place: Place) -> tuple[bool, int]:
    """Whether free places are told, and how many there are, or slots."""
    if place.free is None or place.free < len(place.slots):
        return False, len(place.slots)
    return True, place.free


def _facts(places: Sequence[Place]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"total_places.{place.form}", str(place.total)) for place in places if place.total is not None
    )


class LuteceSpider(DeskSpider):
    name = "lutece"
    gate = GATE
    parser_version = 1
    entry = rf"{_PORTAL}\?(?:[^#]*&)?page=appointment(?:search|titresearch)?(?:&[^#]*)?"
    readers = MappingProxyType({"page": read_page})

    @staticmethod
    def has_anchor(page: Page) -> bool:
        return page.root is not None and find_landmarks(page, page.root).has_anchor

    async def walk(self, probe: Probe) -> None:
        url = probe.desk.url
        # A redirect to the account is an answer, which needs no refusal of ours; any other is followed.
        reading: PortalReading = await probe.ask(url, read_page, Asking(follows=False))
        if _is_redirect(reading):
            reading = await probe.ask(url, read_page)
        if reading.outcome is not Outcome.OFFERED or not reading.places:
            probe.conclude(reading)
            return
        probe.announce(reading.counters, listed=True)
        for place, counter in zip(reading.places, reading.counters, strict=True):
            is_places, count = _told(place)
            verdict = Reading(
                outcome=reading.outcome,
                rule=reading.rule,
                step=reading.step,
                slots=place.slots,
                slot_count=count,
                counts_places=is_places,
                facts=_facts([place]),
            )
            probe.conclude(verdict, counter)


def _is_redirect(reading: Any) -> bool:
    statuses = REDIRECT_TO_GET | REDIRECT_AS_IS
    return reading.rule in {f"http.status-{status}" for status in statuses}
