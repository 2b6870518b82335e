"""One visit of one desk: sends its requests in one cookie session, collects what was concluded.

Requests go through Scrapy's engine and all downloader middlewares, one after the other; redirects are
followed here, hop by hop, so that each hop meets the gate and is kept as evidence.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode, urljoin, urlsplit
from zoneinfo import ZoneInfo

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.cookies import CookieJar

from guichets.catalogue.model import Desk
from guichets.clock import Clock
from guichets.crawl import meta
from guichets.crawl.faults import RedirectLoop, read_failure
from guichets.gate import FORM_TYPE
from guichets.items import Evidence, Observation, Slot, counter_observation_id, new_probe_id
from guichets.outcomes import best_of
from guichets.page import CounterChoice, Page, Reading
from guichets.schedule.lease import DueDesk, HostLease

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 6  # the longest honest chain is 3: scheme, www, next step
REDIRECT_TO_GET = frozenset({301, 302, 303})
REDIRECT_AS_IS = frozenset({307, 308})


class ProbeStopped(Exception):
    """A request got no page; ``reading`` says why. Ends the walk unless the family catches it."""

    def __init__(self, reading: Reading, cause: BaseException) -> None:
        self.reading = reading
        self.cause = cause
        super().__init__(reading.rule)


@dataclass(frozen=True, slots=True)
class _Line:
    """What was concluded about the desk or one counter, and what that rests on."""

    counter: CounterChoice | None
    reading: Reading
    observed_at: datetime
    evidence: tuple[Evidence, ...]
    requests: int
    http_status: int | None
    latency_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who observes: written on each observation."""

    family: str
    parser: str
    worker: str
    purpose: str = "baseline"


class Probe:
    """One visit. ``id`` is made before the first request."""

    def __init__(
        self,
        due: DueDesk,
        lease: HostLease,
        *,
        crawler: Crawler,
        clock: Clock,
        read: Callable[[Page], Reading],
        signature: Signature,
    ) -> None:
        self.id = new_probe_id()
        self.desk: Desk = due.desk
        self.url = due.desk.url  # the address that answered last: its scheme may have hopped
        self.lease = lease
        self._zone = ZoneInfo(due.timezone)
        self._crawler = crawler
        self._clock = clock
        self._read = read
        self._signature = signature
        # One jar per probe, gone with it: Scrapy's own middleware never purges its jars.
        self._jar = CookieJar()
        self._has_cookies = False
        self._evidence: list[Evidence] = []
        self._requests = 0
        self._status: int | None = None
        self._latency_ms: int | None = None
        self._announced: tuple[CounterChoice, ...] = ()
        self._lines: list[_Line] = []
        self._line_start = (0, 0)  # evidence and requests before the line now being walked

    # What a family's walk uses

    async def get(self, url: str) -> Reading:
        """Ask for a page and read it. Raises ProbeStopped when no page comes."""
        return await self._ask(self._request(url))

    async def post(self, url: str, fields: Mapping[str, str]) -> Reading:
        """Send a form, follow where it leads, and read the page. Raises ProbeStopped likewise."""
        return await self._ask(self._request(url, body=urlencode(fields).encode("ascii")))

    async def ask(self, url: str, read: Callable[[Page], Reading]) -> Reading:
        """Ask for a page that a reader of its own reads. Raises ProbeStopped likewise."""
        return await self._ask(self._request(url), read)

    def now(self) -> datetime:
        """The instant, aware."""
        return self._clock.now()

    def today(self) -> date:
        """The day where the desk's people live."""
        return self.now().astimezone(self._zone).date()

    def announce(self, counters: Sequence[CounterChoice]) -> None:
        """Say which counters will be asked: should the walk stop, each still gets its observation."""
        self._announced = tuple(counters)
        self._line_start = (len(self._evidence), self._requests)

    def conclude(self, reading: Reading, counter: CounterChoice | None = None) -> None:
        """Settle the outcome of the desk, or of one counter of it."""
        evidence_start, requests_start = self._line_start
        self._lines.append(
            _Line(
                counter=counter,
                reading=reading,
                observed_at=self._clock.now(),
                evidence=tuple(self._evidence[evidence_start:]),
                requests=self._requests - requests_start,
                http_status=self._status,
                latency_ms=self._latency_ms,
            )
        )
        self._line_start = (len(self._evidence), self._requests)

    # What the base spider uses

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

    def observations(self) -> list[Observation]:
        """The counters' observations, then the desk's."""
        if not self._lines:
            raise RuntimeError(f"probe {self.id} of {self.desk.id} concluded nothing")
        counters = [line for line in self._lines if line.counter is not None]
        found = [self._observation(line) for line in counters]
        return [*found, self._observation(self._desk_line(counters) if counters else self._lines[-1])]

    def _desk_line(self, counters: list[_Line]) -> _Line:
        """The best of the counters: its rule, everybody's slots, the whole visit's evidence."""
        outcome = best_of(line.reading.outcome for line in counters if line.reading.outcome is not None)
        chosen = next(line for line in counters if line.reading.outcome is outcome)
        slots = {slot for line in counters for slot in line.reading.slots}
        counted = [line.reading for line in counters if line.reading.slot_count is not None]
        # an instant that several counters offer is one slot of the desk, as it is one row of ``slots``
        shown = [slot for reading in counted for slot in set(reading.slots)]
        horizons = [line.reading.horizon_end for line in counters if line.reading.horizon_end is not None]
        return _Line(
            counter=None,
            reading=Reading(
                outcome=outcome,
                rule=chosen.reading.rule,
                step=chosen.reading.step,
                slots=tuple(slots),
                slot_count=sum(reading.slot_count or 0 for reading in counted)
                - (len(shown) - len(set(shown)))
                if counted
                else None,
                horizon_end=max(horizons, default=None),
                note=chosen.reading.note,
            ),
            observed_at=max(line.observed_at for line in counters),
            evidence=tuple(self._evidence),
            requests=self._requests,
            http_status=self._status,
            latency_ms=self._latency_ms,
        )

    def _observation(self, line: _Line) -> Observation:
        reading = line.reading
        assert reading.outcome is not None
        slots = tuple(sorted((self._local(slot) for slot in set(reading.slots)), key=_instant))
        counter = line.counter
        return Observation(
            id=counter_observation_id(self.id, counter.key) if counter else self.id,
            probe=self.id,
            desk=self.desk.id,
            counter=counter.key if counter else None,
            counter_label=counter.label or None if counter else None,
            family=self._signature.family,
            departement=self.desk.departement,
            observed_at=line.observed_at,
            outcome=reading.outcome,
            rule=reading.rule,
            purpose=self._signature.purpose,
            step=reading.step,
            first_slot=slots[0].starts if slots else None,
            second_slot=slots[1].starts if len(slots) > 1 else None,
            slot_count=reading.slot_count,
            horizon_end=reading.horizon_end,
            http_status=line.http_status,
            latency_ms=line.latency_ms,
            requests=line.requests,
            evidence=line.evidence,
            parser=self._signature.parser,
            worker=self._signature.worker,
            slots=slots,
            note=reading.note,
            host=self.lease.host,
            fencing_token=self.lease.token or None,
        )

    def _local(self, slot: Slot) -> Slot:
        """The slot in the zone of the desk's people."""
        return Slot(slot.starts.astimezone(self._zone)) if isinstance(slot.starts, datetime) else slot

    # Requests

    def _request(self, url: str, *, body: bytes | None = None) -> Request:
        request = Request(
            url,
            method="GET" if body is None else "POST",
            body=body,
            meta={
                meta.LEASE: self.lease,
                "download_slot": self.lease.host,
                "dont_redirect": True,
                "verbatim_url": True,
            },
        )
        if body is not None:
            request.headers["Content-Type"] = FORM_TYPE
        if self._has_cookies:
            self._jar.add_cookie_header(request)
        return request

    async def _ask(self, request: Request, read: Callable[[Page], Reading] | None = None) -> Reading:
        try:
            return (read or self._read)(await self._fetch(request))
        except Exception as error:
            raise ProbeStopped(read_failure(error), error) from error

    async def _fetch(self, request: Request) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._download(request)
            follow = self._redirect(request, response)
            if follow is None:
                return page_of(response)
            request = follow
        raise RedirectLoop(f"more than {MAX_REDIRECTS} redirects, the last to {request.url}")

    async def _download(self, request: Request) -> Response:
        assert self._crawler.engine is not None
        sent_at = self._clock.monotonic()
        try:
            response = await self._crawler.engine.download_async(request)
        finally:
            if request.meta.get(meta.SENT):
                self._requests += 1
        if b"Set-Cookie" in response.headers:
            self._jar.extract_cookies(response, request)
            self._has_cookies = True
        latency = request.meta.get("download_latency", self._clock.monotonic() - sent_at)
        self._status = response.status
        self.url = response.url
        self._latency_ms = round(latency * 1000)
        self._evidence.append(
            Evidence(
                url=response.url,
                status=response.status,
                sha256=hashlib.sha256(response.body).hexdigest(),
                size=len(response.body),
            )
        )
        return response

    def _redirect(self, request: Request, response: Response) -> Request | None:
        """The request a redirect leads to; the gate judges it like any other."""
        location = response.headers.get("Location")
        if location is None or response.status not in REDIRECT_TO_GET | REDIRECT_AS_IS:
            return None
        target = urljoin(response.url, _readable(location).strip())
        if not urlsplit(target).scheme:
            return None
        body = request.body if response.status in REDIRECT_AS_IS and request.method == "POST" else None
        follow = self._request(target, body=body)
        follow.meta[meta.REDIRECTED] = True
        return follow


def page_of(response: Response) -> Page:
    """A Scrapy response, after its decompression, as readers see it."""
    headers = {
        _readable(name).lower(): ", ".join(_readable(value) for value in values)
        for name, values in response.headers.items()
    }
    return Page(url=response.url, status=response.status, headers=headers, body=response.body)


def _readable(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _instant(slot: Slot) -> tuple[date, bool, float]:
    """Order of time; a date without an hour comes before the hours of its day."""
    if isinstance(slot.starts, datetime):
        return slot.starts.date(), True, slot.starts.timestamp()
    return slot.starts, False, 0.0
