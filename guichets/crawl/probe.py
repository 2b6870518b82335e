"""One visit of one desk: sends its requests in one cookie session, collects what was concluded.

Requests go through Scrapy's engine and all downloader middlewares, one after the other; redirects are
followed here, hop by hop, so that each hop meets the gate and is kept as evidence.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.cookies import CookieJar

from guichets.clock import Clock
from guichets.crawl import meta
from guichets.crawl.chain import Chain
from guichets.crawl.credentials import Grant
from guichets.crawl.faults import RedirectLoop, read_failure
from guichets.crawl.pacing import REFUSALS
from guichets.items import Evidence, Observation, counter_observation_id, new_probe_id
from guichets.messages import web_address
from guichets.page import Page, Reading, Redirect
from guichets.schedule.lease import DueDesk, HostLease, Purpose
from guichets.visit import (
    MAX_REDIRECTS,
    REDIRECT_AS_IS,
    REDIRECT_TO_GET,
    Asking,
    Line,
    Probe,
    ProbeStopped,
    R,
    read_headers,
    readable,
    redirect_target,
    verdict_fields,
)

logger = logging.getLogger(__name__)

REDIRECTS = REDIRECT_AS_IS | REDIRECT_TO_GET


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who observes: written on each observation."""

    family: str
    parser: str
    worker: str


class LiveProbe(Probe):
    """A visit of the site itself. ``id`` is made before the first request."""

    def __init__(
        self,
        due: DueDesk,
        lease: HostLease,
        *,
        crawler: Crawler,
        chain: Chain,
        clock: Clock,
        read: Callable[[Page], Reading],
        signature: Signature,
    ) -> None:
        super().__init__(due.desk, ZoneInfo(due.timezone), read)
        self.id = new_probe_id()
        self.lease = lease
        self.purpose: Purpose = "baseline"
        self._crawler = crawler
        self._chain = chain
        self._clock = clock
        self._signature = signature
        # One jar per probe, gone with it: Scrapy's own middleware never purges its jars.
        self._jar = CookieJar()
        self._has_cookies = False
        self._cookies: dict[str, bytes | None] = {}  # header by reach, while the jar does not change
        self._site_wide = True  # every cookie of the jar goes to all paths of its host

    def now(self) -> datetime:
        return self._clock.now()

    def is_signed_for(self, url: str) -> bool:
        grant = getattr(self._crawler.spider, "grant", None)
        return isinstance(grant, Grant) and grant.covers(url)

    def observations(self) -> list[Observation]:
        """The counters' observations, then the desk's."""
        return [self._observation(line) for line in self.lines()]

    def _observation(self, line: Line) -> Observation:
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
            purpose=self.purpose,
            http_status=line.http_status,
            latency_ms=line.latency_ms,
            requests=line.requests,
            evidence=line.evidence,
            parser=self._signature.parser,
            worker=self._signature.worker,
            host=self.lease.host,
            fencing_token=self.lease.token or None,
            **verdict_fields(line.reading, self.zone),
        )

    # Requests

    def _request(self, url: str, asking: Asking) -> Request:
        request = Request(
            url,
            method=asking.method,
            body=asking.body,
            meta={
                meta.LEASE: self.lease,
                "download_slot": self.lease.host,
                "dont_redirect": True,
                "verbatim_url": True,
            },
        )
        if asking.until:
            request.meta[meta.UNTIL] = asking.until
        if asking.signed:
            request.meta[meta.SIGNED] = True
        if asking.content_type:
            request.headers["Content-Type"] = asking.content_type
        for name, value in asking.headers:
            request.headers[name] = value
        if self._has_cookies:
            self._add_cookies(request)
        return request

    def _add_cookies(self, request: Request) -> None:
        """What the jar sends there; asked once for each address, or site where paths do not matter."""
        reach = request.url
        if self._site_wide:
            parts = urlsplit(reach)
            reach = f"{parts.scheme}://{parts.netloc}"
        if reach not in self._cookies:
            self._jar.add_cookie_header(request)
            self._cookies[reach] = request.headers.get("Cookie")
        elif (cookie := self._cookies[reach]) is not None:
            request.headers["Cookie"] = cookie

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        try:
            page = await self._fetch(url, asking)
            reading = read(page)
            if reading.is_wall and page.status not in REFUSALS:
                await self._heed_wall(page.status)
            return reading
        except Exception as error:
            raise ProbeStopped(read_failure(error), error) from error

    async def _heed_wall(self, status: int) -> None:
        """A wall that answers 200 or 503 refuses us as a 403 does, and only its page says so."""
        lease = self.lease
        lease.pace.note_refusal(self._clock.monotonic(), self._clock.now())
        lease.refusals.append(f"a wall, HTTP {status}")
        await lease.tell()

    async def _fetch(self, url: str, asking: Asking) -> Page:
        request = self._request(url, asking)
        redirects: list[Redirect] = []
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._download(request)
            if not asking.follows:
                return page_of(response, tuple(redirects))
            if response.status not in REDIRECT_AS_IS:
                asking = Asking()
            follow = self._redirect(response, asking)
            if follow is None:
                return page_of(response, tuple(redirects))
            request = follow
            redirects.append(Redirect(response.status, request.url))
        raise RedirectLoop(f"more than {MAX_REDIRECTS} redirects, the last to {request.url}")

    async def _download(self, request: Request) -> Response:
        sent_at = self._clock.monotonic()
        try:
            # The engine's queues stay aside: the lease already gives one request at a time (decision 0002).
            response = await self._chain.download(request)
        except Exception:
            # an answer that cannot be unpacked was received nevertheless
            if (archived := request.meta.get(meta.ARCHIVED)) is not None:
                self._evidence.append(archived)
            raise
        finally:
            if request.meta.get(meta.SENT):
                self._requests += 1
        self._crawler.signals.send_catch_log(
            signals.response_received, response=response, request=request, spider=self._crawler.spider
        )
        logger.debug("%s %s", response.status, request)
        if b"Set-Cookie" in response.headers:
            self._jar.extract_cookies(response, request)
            self._has_cookies = True
            self._site_wide = all(cookie.path == "/" for cookie in self._jar)
            self._cookies.clear()
        latency = request.meta.get("download_latency", self._clock.monotonic() - sent_at)
        self._status = response.status
        self.url = response.url
        self._latency_ms = round(latency * 1000)
        self._elapsed_seconds = request.meta.get(meta.ELAPSED, latency)
        self._evidence.append(_evidence(request, response))
        return response

    def _redirect(self, response: Response, asking: Asking) -> Request | None:
        """The request a redirect leads to, None where it leads to no address; the gate judges it."""
        if response.status not in REDIRECTS:
            return None
        location = response.headers.get("Location")
        text = None if location is None else readable(location)
        target = redirect_target(response.url, response.status, text)
        if target is None:
            return None
        try:
            follow = self._request(target, asking)
        except ValueError:  # no address that can be asked for
            return None
        follow.meta[meta.REDIRECTED] = True
        return follow


def _evidence(request: Request, response: Response) -> Evidence:
    """What the archive knows of the response, else (archive off) its hash alone."""
    archived = request.meta.get(meta.ARCHIVED)
    size = len(response.body)
    if isinstance(archived, Evidence):
        return replace(archived, size=size)
    digest = hashlib.sha256(response.body).hexdigest()
    return Evidence(url=web_address(response.url), status=response.status, sha256=digest, size=size)


def page_of(response: Response, redirects: tuple[Redirect, ...] = ()) -> Page:
    """A Scrapy response, after its decompression, as readers see it."""
    pairs = ((name, value) for name, values in dict.items(response.headers) for value in values)
    return Page(
        url=response.url,
        status=response.status,
        headers=read_headers(pairs),
        body=response.body,
        redirects=redirects,
    )
