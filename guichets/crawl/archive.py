"""Archives each exchange of a crawl, as sent and as received, before anybody reads it.

The middleware stands nearest the network: what the gate or robots.txt refuse never comes here, and bodies
are still compressed. The archive opens at the first exchange, so that ``scrapy shell`` writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response

from guichets import configuration
from guichets.clock import Clock
from guichets.crawl import meta, stats
from guichets.crawl.preparation import worker_name
from guichets.items import Evidence, Observation
from guichets.messages import web_address
from guichets.rows import note_of, record_of

if TYPE_CHECKING:
    from uuid import UUID

    from guichets.evidence import ArchiveWriter, EvidenceRef
    from guichets.evidence.exchange import Headers

logger = logging.getLogger(__name__)

CLOSE_CHECK_SECONDS = 30.0  # the file of an hour that is over is closed by then: its day can be sealed

_Result = TypeVar("_Result")


class ArchiveFailed(Exception):
    """The archive cannot be written (full disk, no right): the probe ends as observer_fault."""


@dataclass(frozen=True, slots=True)
class WireFacts:
    """What only the download handler sees, kept on ``Request.meta``; put into bytes if it is archived."""

    sent_headers: Mapping[str, str]  # a name may come several times
    response_headers: tuple[tuple[bytes, bytes], ...]  # as received
    reason: str
    version: tuple[int, int] | None  # of HTTP
    ip: str | None

    @property
    def request_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """As sent."""
        return tuple(
            (name.encode("latin-1"), value.encode("utf-8")) for name, value in self.sent_headers.items()
        )

    @property
    def http_version(self) -> str:
        return f"HTTP/{self.version[0]}.{self.version[1]}" if self.version else "HTTP/1.1"


class CrawlArchive:
    """The archive of one crawl; opened when something is to be written, closed with the spider."""

    def __init__(
        self, home: Path, worker: str, *, clock: Clock, largest_file_bytes: int, family: str
    ) -> None:
        self._home = home
        self._worker = worker
        self._clock = clock
        self._largest_file_bytes = largest_file_bytes
        self._family = family
        self._writer: ArchiveWriter | None = None
        self.failure: str | None = None  # why nothing can be archived any more

    def write_exchange(
        self, request: Request, response: Response, *, started_at: datetime, finished_at: datetime
    ) -> EvidenceRef:
        """Archive one exchange; its bytes are the system's when this returns. Raises ArchiveFailed."""
        return self._trying(lambda: self._write(request, response, started_at, finished_at))

    def write_drawn(self, url: str, content_type: str, body: bytes, *, drawn_from: str | None) -> EvidenceRef:
        """Archive what a browser made of a page, now. Raises ArchiveFailed."""
        at = self._clock.now()
        return self._trying(
            lambda: self._open().write_resource(url, content_type, body, at=at, drawn_from=drawn_from)
        )

    def write_observation(self, observation: Observation, crawl: UUID | None) -> None:
        """Archive what was established, tied to the pages it rests on. Raises ArchiveFailed."""
        note = note_of(record_of(observation, crawl))
        # tied to the page that decided; the row, whose hash the note bears, lists all of them
        rests_on = [part.record_id for part in observation.evidence[-1:] if part.record_id is not None]
        self._trying(
            lambda: self._open().write_note(
                note, record_id=observation.id.urn, at=observation.observed_at, rests_on=rests_on
            )
        )

    def check(self) -> None:
        """Raise ArchiveFailed once writing has failed: what cannot be proved is not asked."""
        if self.failure is not None:
            raise ArchiveFailed(self.failure)

    def id(self) -> UUID | None:
        """The archive's id, made now if it is new; None where it cannot be written (told by what follows)."""
        from guichets.evidence.layout import archive_id

        try:
            return archive_id(self._home)
        except OSError:
            return None

    def close_if_past(self) -> None:
        """Close the file of an hour that is over."""
        if self._writer is not None:
            self._writer.close_if_past(self._clock.now())

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> ArchiveWriter:
        if self._writer is None:
            from guichets.evidence import ArchiveWriter, repair  # slow to import

            repair(self._home)
            self._writer = ArchiveWriter(
                self._home,
                self._worker,
                now=self._clock.now,
                largest_file_bytes=self._largest_file_bytes,
                information={"isPartOf": self._family},
            )
        return self._writer

    def _write(
        self, request: Request, response: Response, started_at: datetime, finished_at: datetime
    ) -> EvidenceRef:
        from guichets.evidence import Exchange

        facts = request.meta.get(meta.WIRE)
        if not isinstance(facts, WireFacts):
            raise ValueError(f"the download handler told nothing of {request.method} {request.url}")
        exchange = Exchange(
            method=request.method,
            url=web_address(request.url),
            request_headers=withhold(facts.request_headers, request.meta.get(meta.WITHHELD)),
            request_body=request.body,
            status=response.status,
            reason=_one_line(facts.reason),
            http_version=facts.http_version,
            response_headers=tuple(
                (name, _BREAKS.sub(b" ", value)) for name, value in facts.response_headers
            ),
            raw_body=response.body,
            started_at=started_at,
            finished_at=finished_at,
            ip=facts.ip,
        )
        return self._open().write_exchange(exchange)

    def _trying(self, work: Callable[[], _Result]) -> _Result:
        from guichets.evidence import EvidenceError

        self.check()
        try:
            return work()
        except (EvidenceError, OSError) as error:
            self.failure = str(error)
            logger.error(
                "the archive cannot be written, the crawl ends: %s", error, extra={"action": "archive_failed"}
            )
            raise ArchiveFailed(self.failure) from error


def open_later(settings: Mapping[str, Any], clock: Clock, family: str) -> CrawlArchive | None:
    """The archive of a crawl with these settings; None where nothing is to be archived."""
    if not configuration.read_from(settings, "GUICHETS_ARCHIVE"):
        return None
    return CrawlArchive(
        configuration.home(),
        worker_name(settings),
        clock=clock,
        largest_file_bytes=configuration.read_from(settings, "GUICHETS_ARCHIVE_FILE_SIZE"),
        family=family,
    )


class ArchiveMiddleware:
    """Writes the exchanges of probes, their robots.txt and the control pages."""

    def __init__(self, archive: CrawlArchive, crawler: Crawler, clock: Clock) -> None:
        self._archive = archive
        self._crawler = crawler
        self._clock = clock
        self._closer: asyncio.Task[None] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        archive = getattr(crawler.spider, "archive", None)
        if not isinstance(archive, CrawlArchive):
            raise NotConfigured("GUICHETS_ARCHIVE=false, or no family's spider: nothing is archived")
        assert crawler.spider is not None
        middleware = cls(archive, crawler, crawler.spider.clock)  # type: ignore[attr-defined]
        crawler.signals.connect(middleware._spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(middleware._spider_closed, signal=signals.spider_closed)
        return middleware

    def process_request(self, request: Request) -> None:
        if _is_archived(request):
            try:
                self._archive.check()
            except ArchiveFailed:
                request.meta.pop(meta.SENT, None)  # it does not leave
                raise
            request.meta[meta.STARTED] = (self._clock.now(), self._clock.monotonic())

    def process_response(self, request: Request, response: Response) -> Response:
        if not _is_archived(request) or meta.STARTED not in request.meta:
            return response
        started_at, began = request.meta[meta.STARTED]
        finished_at = started_at + timedelta(seconds=max(0.0, self._clock.monotonic() - began))
        try:
            ref = self._archive.write_exchange(
                request, response, started_at=started_at, finished_at=finished_at
            )
        except ArchiveFailed:
            if self._crawler.stats is not None:
                self._crawler.stats.set_value(stats.ARCHIVE_FAILED, True)
            raise
        request.meta[meta.ARCHIVED] = Evidence(
            url=web_address(response.url),
            status=response.status,
            sha256=ref.sha256,
            size=len(response.body),
            file=ref.file,
            offset=ref.offset,
            length=ref.length,
            record_id=ref.record_id,
            digest=ref.digest,
        )
        return response

    def _spider_opened(self) -> None:
        self._closer = asyncio.get_running_loop().create_task(self._close_past_files())

    async def _close_past_files(self) -> None:
        while True:
            await asyncio.sleep(CLOSE_CHECK_SECONDS)
            self._archive.close_if_past()

    async def _spider_closed(self) -> None:
        if self._closer is not None:
            self._closer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._closer
        self._archive.close()


def withhold(headers: Headers, name: str | None) -> Headers:
    """Request headers without the value of our credential; that it was shown stays told."""
    if name is None:
        return headers
    from guichets.evidence.exchange import WITHHELD

    secret = name.lower().encode()
    return tuple((known, WITHHELD if known.lower() == secret else value) for known, value in headers)


_BREAKS = re.compile(rb"[\r\n\0]+")  # of a folded header: they would forge another line


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())


def _is_archived(request: Request) -> bool:
    return meta.lease_of(request) is not None or bool(request.meta.get(meta.CONTROL))
