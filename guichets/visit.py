"""One visit of one desk, wherever its pages come from: what a family's walk asks, and what it concluded.

The live probe (``guichets.crawl.probe``) sends requests; the replayed one (``guichets.replay``) finds the
answers in the archive. What is made of the readings stands here, once for both.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit
from zoneinfo import ZoneInfo

from guichets.catalogue.model import Desk
from guichets.dates import in_order, in_zone
from guichets.gate import FORM_TYPE
from guichets.items import Evidence
from guichets.outcomes import best_of
from guichets.page import CounterChoice, Page, Reading

MAX_REDIRECTS = 6  # the longest honest chain is 3: scheme, www, next step
REDIRECT_TO_GET = frozenset({301, 302, 303})
REDIRECT_AS_IS = frozenset({307, 308})


R = TypeVar("R", bound=Reading)
"""A family's own kind of reading, where one page must tell the walk more than a Reading does."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of an address; the gate judges it before it leaves.

    Of a ws: or wss: address, ``body`` is the one message that is sent, and ``until`` tells the end.
    """

    method: str = "GET"
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # besides those of every request
    follows: bool = True  # False: the reader judges a redirect by its status and Location
    signed: bool = False  # with the family's credential, where we hold one for that address
    until: str = ""  # expression of the message that ends a conversation, and is its last


_PLAIN = Asking()


@dataclass(frozen=True, slots=True)
class Watch:
    """What a browser waits for on a page before the page is read. Nothing on it is ever clicked."""

    answer: str  # expression that the path of the awaited answer's address must match whole
    message: str  # CSS selector of what the page may show a person in its place, or beside it

    def matches(self, url: str) -> bool:
        """Whether an address is the awaited answer's."""
        return re.fullmatch(self.answer, urlsplit(url).path, re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class View:
    """A page as a browser showed it in the end, and what the host had answered it."""

    shown: Page  # HTML of what could be seen: no script, nothing hidden
    answers: tuple[Page, ...]  # the document, then what the page asked for, in the order of the answers


# Addresses under which the archive keeps what a browser made of a page; browsertrix names them so too.
SHOWN = "urn:text:"  # followed by the page's own address
SCREENSHOT = "urn:view:"


class ProbeStopped(Exception):
    """A request got no page; ``reading`` says why. Ends the walk unless the family catches it."""

    def __init__(self, reading: Reading, cause: BaseException) -> None:
        self.reading = reading
        self.cause = cause
        super().__init__(reading.rule)


@dataclass(frozen=True, slots=True)
class Line:
    """What was concluded about the desk or one counter, and what that rests on."""

    counter: CounterChoice | None
    reading: Reading
    observed_at: datetime
    evidence: tuple[Evidence, ...] = ()
    requests: int = 0
    http_status: int | None = None
    latency_ms: int | None = None


class Probe(ABC):
    """What a family's walk speaks to: it asks for pages, announces counters, concludes."""

    def __init__(self, desk: Desk, zone: ZoneInfo, read: Callable[[Page], Reading]) -> None:
        self.desk = desk
        self.url = desk.url  # the address that answered last: its scheme may have hopped
        self.zone = zone
        self._read = read
        self._evidence: list[Evidence] = []
        self._requests = 0
        self._status: int | None = None
        self._latency_ms: int | None = None
        self._elapsed_seconds = 0.0
        self._announced: tuple[CounterChoice, ...] = ()
        self._lines: list[Line] = []
        self._line_start = (0, 0)  # evidence and requests before the line now being walked
        self._shared: tuple[tuple[Evidence, ...], int] = ((), 0)  # what every counter's line rests on besides

    # What a family's walk uses

    async def get(self, url: str) -> Reading:
        """Ask for a page and read it. Raises ProbeStopped when no page comes."""
        return await self._ask(url, _PLAIN, self._read)

    async def post(self, url: str, fields: Mapping[str, str]) -> Reading:
        """Send a form, follow where it leads, and read the page. Raises ProbeStopped likewise."""
        asking = Asking("POST", urlencode(fields).encode("ascii"), FORM_TYPE)
        return await self._ask(url, asking, self._read)

    async def ask(self, url: str, read: Callable[[Page], R], asking: Asking = _PLAIN) -> R:
        """Ask for a page that a reader of its own reads. Raises ProbeStopped likewise."""
        return await self._ask(url, asking, read)

    async def browse(self, watch: Watch, read: Callable[[View], Reading]) -> Reading:
        """Open the page asked last in a browser, let its script ask, and read what it then shows.

        Each request of the page is judged and sent like any other. Raises ProbeStopped likewise.
        """
        return read(await self._view(watch))

    @abstractmethod
    def now(self) -> datetime:
        """The instant, aware."""

    @property
    def elapsed_seconds(self) -> float:
        """How long the last answer took, from the request to its last byte."""
        return self._elapsed_seconds

    def is_signed_for(self, url: str) -> bool:
        """Whether requests of that address that ask for it bear the family's credential."""
        return False

    def today(self) -> date:
        """The day where the desk's people live."""
        return self.now().astimezone(self.zone).date()

    def announce(self, counters: Sequence[CounterChoice], *, listed: bool = False) -> None:
        """Say which counters will be asked: should the walk stop, each still gets its observation.

        ``listed``: what was asked since the last line tells of each of them, so each one's line rests on it.
        """
        self._announced = tuple(counters)
        evidence_start, requests_start = self._line_start
        since = (tuple(self._evidence[evidence_start:]), self._requests - requests_start)
        self._shared = since if listed else ((), 0)
        self._line_start = (len(self._evidence), self._requests)

    def conclude(self, reading: Reading, counter: CounterChoice | None = None) -> None:
        """Settle the outcome of the desk, or of one counter of it."""
        evidence_start, requests_start = self._line_start
        self._lines.append(
            Line(
                counter=counter,
                reading=reading,
                observed_at=self.now(),
                evidence=(*self._shared[0], *self._evidence[evidence_start:]),
                requests=self._shared[1] + self._requests - requests_start,
                http_status=self._status,
                latency_ms=self._latency_ms,
            )
        )
        self._line_start = (len(self._evidence), self._requests)

    # Where pages come from

    @abstractmethod
    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        """The reading of the page that answers in the end. Raises ProbeStopped."""

    async def _view(self, watch: Watch) -> View:
        """What a browser made of the page asked last. Raises ProbeStopped."""
        raise NotImplementedError(f"{type(self).__name__} has no browser")

    # What was concluded

    def stop(self, reading: Reading) -> None:
        """The walk ended without its conclusions: what was not concluded takes ``reading``."""
        concluded = {line.counter for line in self._lines}
        if not self._announced:
            if not self._lines:
                self.conclude(reading)
            return
        for counter in self._announced:
            if counter not in concluded:
                self.conclude(reading, counter)

    def lines(self) -> list[Line]:
        """The counters' lines, then the desk's."""
        if not self._lines:
            raise RuntimeError(f"the visit of {self.desk.id} concluded nothing")
        counters = [line for line in self._lines if line.counter is not None]
        return [*counters, self._desk_line(counters) if counters else self._lines[-1]]

    def _desk_line(self, counters: Sequence[Line]) -> Line:
        """The best of the counters; the whole visit's evidence."""
        return Line(
            counter=None,
            reading=desk_reading([line.reading for line in counters]),
            observed_at=max(line.observed_at for line in counters),
            evidence=tuple(self._evidence),
            requests=self._requests,
            http_status=self._status,
            latency_ms=self._latency_ms,
        )


def is_drawn(desk_id: str, now: datetime, one_in: int) -> bool:
    """Whether this hour is one of those, one in so many, in which a desk is asked for something more.

    Drawn from the desk and the hour, so that a visit read again from the archive draws the same.
    """
    hour = f"{desk_id} {now.astimezone(UTC):%Y-%m-%dT%H}"
    return int.from_bytes(blake2b(hour.encode(), digest_size=4).digest()) % one_in == 0


def desk_reading(counters: Sequence[Reading]) -> Reading:
    """What the readings of a desk's counters make of the desk: the best one's rule, everybody's slots."""
    outcome = best_of(reading.outcome for reading in counters if reading.outcome is not None)
    chosen = next(reading for reading in counters if reading.outcome is outcome)
    slots = {slot for reading in counters for slot in reading.slots}
    counted = [reading for reading in counters if reading.slot_count is not None]
    # an instant that several counters offer is one slot of the desk, as it is one row of ``slots``;
    # places are counted apart
    shown = [slot for reading in counted if not reading.counts_places for slot in set(reading.slots)]
    doubles = len(shown) - len(set(shown))
    horizons = [reading.horizon_end for reading in counters if reading.horizon_end is not None]
    return Reading(
        outcome=outcome,
        rule=chosen.rule,
        step=chosen.step,
        slots=tuple(slots),
        slot_count=sum(reading.slot_count or 0 for reading in counted) - doubles if counted else None,
        horizon_end=max(horizons, default=None),
        note=chosen.note,
        facts=chosen.facts,
    )


def verdict_fields(reading: Reading, zone: ZoneInfo) -> dict[str, Any]:
    """The fields of an observation that its reading decides; slots in order, in the zone of the desk."""
    assert reading.outcome is not None
    slots = tuple(sorted((in_zone(slot, zone) for slot in set(reading.slots)), key=in_order))
    return {
        "outcome": reading.outcome,
        "rule": reading.rule,
        "step": reading.step,
        "first_slot": slots[0].starts if slots else None,
        "second_slot": slots[1].starts if len(slots) > 1 else None,
        "slot_count": reading.slot_count,
        "horizon_end": reading.horizon_end,
        "slots": slots,
        "note": reading.note,
        "facts": reading.facts,
    }


def redirect_target(url: str, status: int, location: str | None) -> str | None:
    """Where a redirect leads; None where it leads to no address."""
    if location is None or status not in REDIRECT_TO_GET | REDIRECT_AS_IS:
        return None
    try:
        target = urljoin(url, location.strip())
        return target if urlsplit(target).scheme else None
    except ValueError:  # no address at all: brackets astray, a script
        return None


def read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as readers see them: names in lower case, several values of one name joined."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = readable(name).lower(), readable(value)
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def readable(value: bytes) -> str:
    """A header's bytes as text: UTF-8 when they are, else Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
