"""Démarche numérique, once demarches-simplifiees.fr: the gate before the appointment.

Who         Préfectures (admission exceptionnelle au séjour, naturalisation, appointments asked by form) and
            every other administration. A file is sent there; the appointment comes later, by mail.
Address     /commencer/<name of the procedure>, on demarche.numerique.gouv.fr; the old host may send there.
Funnel      one page, read without an account. It tells open or closed, never how many appointments.
Full        never said: `open` means that requests are accepted.
Closed      302 to /fermeture/<name>: « La démarche … est close depuis le … », then the administration's text.
            Replaced: 302 to /commencer/<another name>, which is `moved`. Unknown: 302 to /, with « La
            démarche n'existe pas », which is `gone`. 301 to /commencer/<name> only spells the name well.
Failing     the proxy's 500, 502, 503; a page whose title says maintenance.
Stops at    /commencer/, read only. Its links (sign_up, sign_in, france_connect) are never followed, and no
            query is ever sent: one that names a field would make a file.
Counters    none.
Params      none.
Caveats     procedures that are drafts show the same page. robots.txt forbade the whole of /commencer until
            2026, and since then its log-in pages, as the platform's public history tells: it is obeyed.
Unknown     the persisted query getDemarcheDescriptor of the GraphQL API wants a number that no page shows, so
            it is not sent; where the procedure is open data, /preremplir/<name>/schema answers the same
            descriptor by name, and is asked for in one visit of 24. It adds facts, never a verdict.
Sources     platform dossier of the others, §7 (open source, read at e1338d7911, January 2026), and the same
            source for the descriptor's fields; nothing checked on a live site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

from lxml import etree

from guichets.gate import Allow, Gate
from guichets.outcomes import Outcome
from guichets.page import JSON, Page, Reading, Redirect, read_transport, text_lines, visible_text
from guichets.visit import is_drawn
from spiders.base import DeskSpider, Probe, ProbeStopped

NAME = r"[A-Za-z0-9_-]{1,200}"
DESCRIPTOR_ONE_IN = 24  # visits that also ask for the descriptor
STATES = frozenset({"brouillon", "publiee", "close", "depubliee"})

GATE = Gate(
    rows=(
        Allow("GET", f"/commencer/{NAME}"),
        Allow("GET", f"/fermeture/{NAME}", redirect_only=True),
        Allow("GET", "/", redirect_only=True),
        Allow("GET", f"/preremplir/{NAME}/schema"),
    ),
    stops_at="/commencer/",
)

START = "Commencer la démarche"  # heading of the callout
UNKNOWN = "La démarche n'existe pas"
MAINTENANCE = ("maintenance", "site indisponible")

_PAGE = re.compile(rf"/(commencer|fermeture)/({NAME})", re.ASCII)
_LOG_IN = re.compile(rf"/commencer/({NAME})/(?:sign_up|sign_in|france_connect)(?![\w/-])", re.ASCII)
_CLOSED = re.compile(r"La démarche (.+) est close depuis le (\S.{0,40}?)\.?")
_DATE = re.compile(r"(\d\d)/(\d\d)/(\d{4})", re.ASCII)
_AWAY = frozenset({302, 303, 307})  # what a replaced procedure answers; 301 and 308 only spell its name


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What stands on a page, before anything is concluded from it."""

    page: Page
    root: etree._Element
    title: str
    headings: tuple[str, ...]  # h1 to h3
    closed: re.Match[str] | None  # the h1 of a closed procedure
    closed_heading: etree._Element | None

    @cached_property
    def text(self) -> str:
        return visible_text(self.root)

    @cached_property
    def place(self) -> tuple[str, str]:
        """What the address shows: commencer or fermeture, and the procedure's name; empty for others."""
        return place_of(self.page.url)

    @cached_property
    def log_ins(self) -> frozenset[str]:
        """Names of the procedures into which the page's links lead."""
        return frozenset(_LOG_IN.findall(self.page.text))

    @property
    def replaced_by(self) -> str | None:
        """Where a replaced procedure sent us."""
        return next(
            (
                hop.url
                for hop in self.page.redirects
                if hop.status in _AWAY and place_of(hop.url)[0] == "commencer"
            ),
            None,
        )

    @property
    def is_open(self) -> bool:
        kind, name = self.place
        return kind == "commencer" and START in self.headings and name in self.log_ins and self.closed is None

    @property
    def is_closed(self) -> bool:
        return self.place[0] == "fermeture" and self.closed is not None and START not in self.headings

    @property
    def is_unknown(self) -> bool:
        return self.path == "/" and UNKNOWN in self.text and not self.log_ins

    @property
    def path(self) -> str:
        try:
            return urlsplit(self.page.url).path or "/"
        except ValueError:
            return ""


def place_of(url: str) -> tuple[str, str]:
    try:
        found = _PAGE.fullmatch(urlsplit(url).path)
    except ValueError:
        return "", ""
    return (found[1], found[2]) if found else ("", "")


def has_anchor(page: Page) -> bool:
    """One of the three things only this platform says: a way in, a closing, a name it does not know."""
    text = page.text
    return (
        _LOG_IN.search(text) is not None
        or "est close depuis le" in text
        or UNKNOWN in text
        or UNKNOWN.replace("'", "\u2019") in text
        or UNKNOWN.replace("'", "&#39;") in text
    )


def find_landmarks(page: Page, root: etree._Element) -> Landmarks:
    """Collect what stands on a page, in one walk over the elements that can say something."""
    title = ""
    headings: list[str] = []
    closed: re.Match[str] | None = None
    closed_heading: etree._Element | None = None
    for element in root.iter("title", "h1", "h2", "h3"):
        text = visible_text(element)
        if element.tag == "title":
            title = title or text
            continue
        headings.append(text)
        if element.tag == "h1" and closed is None:
            closed = _CLOSED.fullmatch(text)
            closed_heading = element if closed is not None else None
    return Landmarks(
        page=page,
        root=root,
        title=title,
        headings=tuple(headings),
        closed=closed,
        closed_heading=closed_heading,
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: when its landmarks hold, its outcome is the answer. First row that holds wins."""

    id: str
    holds: Callable[[Landmarks], bool]
    outcome: Outcome
    step: str | None = None


PAGE_RULES: tuple[Rule, ...] = (
    Rule(
        "demarche_numerique.moved.replaced",  # before what its successor says, which is another procedure's
        lambda m: m.replaced_by is not None and (m.is_open or m.is_closed),
        Outcome.MOVED,
        step="commencer",
    ),
    Rule("demarche_numerique.open.callout", lambda m: m.is_open, Outcome.OPEN, step="commencer"),
    Rule("demarche_numerique.closed.page", lambda m: m.is_closed, Outcome.CLOSED, step="fermeture"),
    Rule("demarche_numerique.gone.unknown", lambda m: m.is_unknown, Outcome.GONE),
    Rule(
        "demarche_numerique.overloaded.maintenance",
        lambda m: (
            not has_anchor(m.page)
            and any(word in title.lower() for title in (m.title, *m.headings) for word in MAINTENANCE)
        ),
        Outcome.OVERLOADED,
    ),
    Rule("demarche_numerique.unrecognised", lambda m: True, Outcome.UNRECOGNISED),
)


def read_page(page: Page) -> Reading:
    """What a page of the platform says, by landmarks alone. Never raises, whatever the bytes."""
    transport = read_transport(page, family="demarche_numerique")
    if transport is not None:
        return transport
    if page.root is None:
        return Reading(outcome=Outcome.UNRECOGNISED, rule="demarche_numerique.unrecognised")
    marks = find_landmarks(page, page.root)
    row = next(row for row in PAGE_RULES if row.holds(marks))
    moved_to = marks.replaced_by if row.outcome is Outcome.MOVED else None
    return Reading(
        outcome=row.outcome, rule=row.id, step=row.step, note=moved_to, facts=tuple(_facts(marks, row))
    )


def _facts(marks: Landmarks, row: Rule) -> Iterator[tuple[str, str]]:
    """Name, date of closing, the administration's own words, where a procedure went."""
    if row.outcome is Outcome.MOVED:
        yield "moved_to", marks.replaced_by or ""
    elif row.outcome is Outcome.OPEN and marks.title:
        yield "title", marks.title
    elif row.outcome is Outcome.CLOSED and marks.closed is not None:
        yield "title", marks.closed[1]
        day = _read_date(marks.closed[2])
        if day is not None:
            yield "closed_since", day.isoformat()
        message = _message(marks)
        if message:
            yield "message", message


def _message(marks: Landmarks) -> str:
    """What the administration writes under the heading: often how to ask now."""
    heading = marks.closed_heading
    parent = heading.getparent() if heading is not None else None
    if heading is None or parent is None:
        return ""
    own = text_lines(heading)
    lines = text_lines(parent, ("script", "img", "svg", "nav", "button"))
    return "\n".join(
        lines[len(own) :] if lines[: len(own)] == own else [line for line in lines if line not in own]
    )


def _read_date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    if found is None or not 2000 <= int(found[3]) <= 2200:
        return None
    try:
        return date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        return None


# The descriptor: JSON, facts alone


def read_descriptor(page: Page) -> Reading:
    """What the procedure's own description adds. Never a verdict; 404 where it is not open data."""
    told = page.json if read_transport(page, family="demarche_numerique", kinds=JSON) is None else None
    facts = tuple(_described(told)) if isinstance(told, dict) else ()
    rule = (
        "demarche_numerique.unrecognised.descriptor-read"
        if facts
        else "demarche_numerique.unrecognised.descriptor"
    )
    return Reading(outcome=Outcome.UNRECOGNISED, rule=rule, facts=facts)


def _described(told: dict[str, object]) -> Iterator[tuple[str, str]]:
    number, state = told.get("number"), told.get("state")
    if type(number) is not int or not 0 < number < 10**9 or not isinstance(state, str) or state not in STATES:
        return
    yield "number", str(number)
    yield "state", state
    for name, key in (("published_on", "datePublication"), ("changed_on", "dateDerniereModification")):
        day = _day_of(told.get(key))
        if day is not None:
            yield name, day


def _day_of(value: object) -> str | None:
    """The day of an ISO instant, as it is written."""
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\d(T[0-9:.+Z-]{1,30})?", value, re.ASCII
    ):
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        return None


@lru_cache(1024)
def reader_from(name: str) -> Callable[[Page], Reading]:
    """The reader of a visit that asked for this procedure: a hop to its own name is no move."""

    def is_move(hop: Redirect) -> bool:
        return place_of(hop.url) != ("commencer", name)

    def read(page: Page) -> Reading:
        return read_page(replace(page, redirects=tuple(filter(is_move, page.redirects))))

    return read


class DemarcheNumeriqueSpider(DeskSpider):
    name = "demarche_numerique"
    gate = GATE
    parser_version = 1
    entry = f"/commencer/{NAME}"
    readers = MappingProxyType({"page": read_page, "descriptor": read_descriptor})

    has_anchor = staticmethod(has_anchor)

    async def walk(self, probe: Probe) -> None:
        kind, name = place_of(probe.desk.url)
        if kind != "commencer":
            fault = "demarche_numerique.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=fault, note=probe.desk.url))
            return
        reading = await probe.ask(urljoin(probe.desk.url, f"/commencer/{name}"), reader_from(name))
        if reading.outcome is Outcome.OPEN and is_drawn(probe.desk.id, probe.now(), DESCRIPTOR_ONE_IN):
            described = await self._describe(probe, place_of(probe.url)[1] or name)
            reading = replace(reading, facts=(*reading.facts, *described))
        probe.conclude(reading)

    async def _describe(self, probe: Probe, name: str) -> tuple[tuple[str, str], ...]:
        """Facts of the descriptor; nothing where there is none. The page's verdict stands either way."""
        try:
            return (await probe.ask(urljoin(probe.url, f"/preremplir/{name}/schema"), read_descriptor)).facts
        except ProbeStopped as stop:
            if stop.reading.outcome is Outcome.OBSERVER_FAULT:
                raise
            return ()
