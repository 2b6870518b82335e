"""What all families share: claim hosts, visit each due desk, yield what was established.

A family's spider declares its gate, reads its pages and walks its funnel (``walk``). It opens no file,
reads no clock and sends nothing by itself: it asks its ``Probe`` for pages and concludes from readings.
Whatever happens in a walk, each started probe ends as exactly one observation of the desk, and one of
each counter it found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self
from uuid import UUID

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.settings import BaseSettings

from guichets import __version__, configuration
from guichets.clock import Clock, SystemClock
from guichets.crawl import stats
from guichets.crawl.archive import CrawlArchive, open_later
from guichets.crawl.control import ControlPages
from guichets.crawl.faults import MAY_BE_OURS, read_failure
from guichets.crawl.preparation import prepare, worker_name
from guichets.crawl.probe import LiveProbe, Signature, page_of
from guichets.errors import DatabaseError, GuichetsError
from guichets.gate import NOTHING, Gate
from guichets.items import Observation, new_probe_id
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.schedule.arguments import CrawlArguments, read_arguments
from guichets.schedule.lease import DueDesk, HostLease, HostPaused, LeaseLost, Schedule
from guichets.visit import Probe, ProbeStopped

logger = logging.getLogger(__name__)

DATABASE_PATIENCE_SECONDS = 300.0  # a crawl that could not claim for that long ends
DATABASE_RETRY_SECONDS = 5.0
POLL_SECONDS = 1.0  # between two looks for a host that another worker may give back
STOP_POLL_SECONDS = 0.2  # how soon probes under way notice that Scrapy is stopping
YIELD_QUEUE = 500  # observations waiting for the pipelines before visits slow down

INTERRUPTED = Reading(outcome=Outcome.OBSERVER_FAULT, rule="observer.interrupted")
NO_CONCLUSION = Reading(outcome=Outcome.OBSERVER_FAULT, rule="observer.no-conclusion")

__all__ = ["DeskSpider", "Probe", "ProbeStopped"]


class DeskSpider(Spider):
    """One booking-platform family. Subclasses set ``name``, ``gate``, ``parser_version``; read and walk."""

    gate: ClassVar[Gate] = NOTHING
    parser_version: ClassVar[int] = 0  # grows whenever a reader may read a page differently

    clock: Clock

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        arguments = read_arguments(cls.name, kwargs)
        spider = super().from_crawler(crawler)
        spider.arguments = arguments
        spider.clock = SystemClock()
        spider._signature = Signature(
            family=cls.name,
            parser=spider.parser,
            worker=worker_name(crawler.settings),
        )
        spider.crawl_id = new_probe_id()
        spider.archive = open_later(crawler.settings, spider.clock, cls.name)
        spider._max_hosts = configuration.read_from(crawler.settings, "GUICHETS_MAX_HOSTS")
        spider._lease_seconds = configuration.read_from(crawler.settings, "GUICHETS_LEASE")
        spider._control = ControlPages(crawler, spider.clock)
        return spider

    arguments: CrawlArguments
    crawl_id: UUID
    archive: CrawlArchive | None  # None: GUICHETS_ARCHIVE=false
    _signature: Signature
    _max_hosts: int
    _lease_seconds: float
    _control: ControlPages
    _schedule: Schedule

    @property
    def parser(self) -> str:
        """Family and version of its readers, as observations carry it."""
        return f"{self.name}@{self.parser_version}"

    # What a family provides

    def read(self, page: Page) -> Reading:
        """What a page says. Pure, and never raises."""
        raise NotImplementedError(f"{type(self).__name__} does not read pages")

    async def walk(self, probe: Probe) -> None:
        """Walk the desk's funnel and conclude. ProbeStopped may go through."""
        raise NotImplementedError(f"{type(self).__name__} walks no funnel")

    # Habits of Scrapy

    def parse(self, response: Response, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """How a single page reads, for ``scrapy parse`` and ``scrapy shell``."""
        yield asdict(self.read(page_of(response)))

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        """Derive Scrapy's settings from ours, so that ``-s GUICHETS_…`` holds everywhere."""
        super().update_settings(settings)
        contact = configuration.read_from(settings, "GUICHETS_CONTACT")
        settings.set("USER_AGENT", f"Guichets/{__version__} (+{contact})", priority="spider")
        settings.set(
            "DOWNLOAD_MAXSIZE", configuration.read_from(settings, "GUICHETS_MAX_BODY"), priority="spider"
        )

    @classmethod
    def handles_request(cls, request: Any) -> bool:
        """Whether an address is one this family's gate lets through, so that ``scrapy shell URL`` works."""
        return cls.gate.knows(request.url)

    # The crawl

    async def start(self) -> AsyncIterator[Observation]:
        """Claim hosts, visit their due desks, yield observations until there is nothing left to do."""
        queue: asyncio.Queue[Observation | None] = asyncio.Queue(YIELD_QUEUE)
        crew = asyncio.create_task(self._crew(queue))
        watch = asyncio.create_task(self._cancel_when_stopping(crew))
        try:
            while (observation := await queue.get()) is not None:
                yield observation
            await crew
        finally:
            watch.cancel()
            crew.cancel()
            while not crew.done() or not queue.empty():
                while not queue.empty():
                    self._hand_over(queue.get_nowait())
                await asyncio.wait([crew], timeout=0.05)

    async def _cancel_when_stopping(self, crew: asyncio.Task[None]) -> None:
        """Scrapy may cancel start() while it is suspended at a yield, where it cannot notice."""
        engine = self.crawler.engine
        while engine is not None and engine.running:  # noqa: ASYNC110 - Scrapy has no event for this
            await asyncio.sleep(STOP_POLL_SECONDS)
        crew.cancel()

    async def _crew(self, queue: asyncio.Queue[Observation | None]) -> None:
        visits: set[asyncio.Task[None]] = set()
        try:
            try:
                archive_id = self.archive.id() if self.archive is not None else None
                self._schedule = await asyncio.to_thread(
                    prepare, self.crawler.settings, self.arguments, self.clock, self.crawl_id, archive_id
                )
                await self._schedule.open()
            except GuichetsError as error:
                self._fault("cannot_start", str(error))
            await self._claim_and_visit(queue, visits)
        finally:
            for visit in visits:
                visit.cancel()
            if visits:
                await asyncio.gather(*visits, return_exceptions=True)
            if hasattr(self, "_schedule"):
                await self._schedule.close()
            await queue.put(None)

    async def _claim_and_visit(
        self, queue: asyncio.Queue[Observation | None], visits: set[asyncio.Task[None]]
    ) -> None:
        began = self.clock.monotonic()
        minutes = self.arguments.minutes
        until = began + minutes * 60 if minutes is not None else None
        claimed_at = reached_at = began
        while until is None or self.clock.monotonic() < until:
            if self._cannot_prove():
                break
            if len(visits) >= self._max_hosts:
                await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
                continue
            now = self.clock.monotonic()
            try:
                lease = await self._schedule.claim()
                next_due = await self._schedule.next_due_seconds() if lease is None else 0.0
                reached_at = now
            except DatabaseError as error:
                if now - reached_at > DATABASE_PATIENCE_SECONDS:
                    self._fault("database_away", str(error))
                logger.warning("%s; trying again", error, extra={"action": "database_away"})
                await self.clock.sleep(DATABASE_RETRY_SECONDS)
                continue
            if lease is not None:
                claimed_at = now
                visit = asyncio.create_task(self._visit(lease, queue))
                visits.add(visit)
                visit.add_done_callback(visits.discard)
                continue
            if visits:
                await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED, timeout=POLL_SECONDS)
                claimed_at = now
                continue
            # Nothing to do here. Another worker, perhaps a dead one, may hold hosts with due desks: wait
            # for a lease to run out once, no longer.
            patience = max(0.0, claimed_at + self._lease_seconds + POLL_SECONDS - now)
            if next_due is None or (until is None and next_due > patience):
                break
            pause = min(max(next_due, 0.05), POLL_SECONDS if until is None else 15 * POLL_SECONDS)
            await self.clock.sleep(pause if until is None else min(pause, max(0.0, until - now)))
            if until is None and patience <= 0:
                break
        if visits:
            await asyncio.wait(visits)
        if self._cannot_prove():
            # told by the archive; what cannot be proved is not asked
            raise CloseSpider("archive_failed")

    def _cannot_prove(self) -> bool:
        return self.archive is not None and self.archive.failure is not None

    async def _visit(self, lease: HostLease, queue: asyncio.Queue[Observation | None]) -> None:
        """Probe the due desks of one host, one after the other, then give the host back."""
        self._count(stats.HOSTS_VISITED)
        renewal = asyncio.create_task(self._keep(lease))
        left = list(lease.desks)
        try:
            while left and not self._cannot_prove():
                due = left[0]
                try:
                    lease.check(self.clock.monotonic())
                    await self._begin(lease, due)
                except HostPaused as pause:
                    if pause.refused:  # our visits are refused: said for each desk, nothing sent
                        for desk in left:
                            await self._stopped_before(desk, lease, pause, queue)
                        left = []
                    break
                except LeaseLost:
                    break
                left.pop(0)
                for observation in await self._probe(due, lease):
                    await queue.put(observation)
                self._schedule.finish(lease, due.desk.id)
        finally:
            renewal.cancel()
            if left:
                self._count(stats.DESKS_LEFT, len(left))
                logger.info(
                    "%d desks of %s are left for later", len(left), lease.host, extra={"action": "desks_left"}
                )
            try:
                await self._schedule.release(lease)
            except DatabaseError as error:
                logger.warning(
                    "%s; the lease of %s will run out by itself",
                    error,
                    lease.host,
                    extra={"action": "lease_not_released"},
                )

    async def _begin(self, lease: HostLease, due: DueDesk) -> None:
        """Tell the schedule; with the database away, what is leased may be visited until the lease ends."""
        try:
            await self._schedule.begin(lease, due.desk.id)
        except DatabaseError as error:
            logger.warning("%s; going on under the lease", error, extra={"action": "database_away"})

    async def _keep(self, lease: HostLease) -> None:
        """Renew the lease while the visit lasts."""
        while True:
            await self.clock.sleep(self._lease_seconds / 3)
            try:
                await self._schedule.renew(lease)
            except DatabaseError as error:
                logger.warning(
                    "%s; lease of %s not renewed", error, lease.host, extra={"action": "not_renewed"}
                )

    async def _probe(self, due: DueDesk, lease: HostLease) -> list[Observation]:
        """One probe. Nothing that happens in it ends the crawl or loses it."""
        probe = LiveProbe(
            due, lease, crawler=self.crawler, clock=self.clock, read=self.read, signature=self._signature
        )
        try:
            await self.walk(probe)
            probe.stop(NO_CONCLUSION)
        except asyncio.CancelledError:
            probe.stop(INTERRUPTED)
            for observation in self._counted(probe):
                self._hand_over(observation)
            raise
        except ProbeStopped as stop:
            probe.stop(await self._whose_fault(stop.reading, lease.host))
            if stop.reading.rule == "observer.exception":
                self._log_exception(due, stop.cause)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not lose the probe
            probe.stop(read_failure(error))
            self._log_exception(due, error)
        return self._counted(probe)

    async def _stopped_before(
        self, due: DueDesk, lease: HostLease, pause: HostPaused, queue: asyncio.Queue[Observation | None]
    ) -> None:
        probe = LiveProbe(
            due, lease, crawler=self.crawler, clock=self.clock, read=self.read, signature=self._signature
        )
        probe.stop(read_failure(pause))
        for observation in self._counted(probe):
            await queue.put(observation)

    async def _whose_fault(self, reading: Reading, host: str) -> Reading:
        """Try the control pages before a host is blamed for what may be our own network."""
        if reading.rule in MAY_BE_OURS and await self._control.blames_us(host):
            note = f"no control page answered either; {reading.rule}: {reading.note}"
            return replace(reading, outcome=Outcome.OBSERVER_FAULT, rule="observer.no-network", note=note)
        return reading

    def _counted(self, probe: LiveProbe) -> list[Observation]:
        observations = probe.observations()
        desk_line = observations[-1]
        self._count(stats.PROBES)
        self._count(f"{stats.OUTCOME}/{desk_line.outcome}")
        self._count(f"{stats.RULE}/{desk_line.rule}")
        return observations

    def _hand_over(self, observation: Observation | None) -> None:
        """Give an observation to the pipelines although start() is being cancelled.

        Scrapy takes no more items from a start() it has cancelled; this is the call it would make itself.
        """
        engine = self.crawler.engine
        if observation is not None and engine is not None and engine.scraper.slot is not None:
            engine.scraper._start_itemproc_nowait(observation)

    def _log_exception(self, due: DueDesk, error: BaseException) -> None:
        logger.error(
            "the probe of %s failed on our side",
            due.desk.id,
            exc_info=error,
            extra={"action": "observer_fault"},
        )

    def _count(self, name: str, count: int = 1) -> None:
        if self.crawler.stats is not None:
            self.crawler.stats.inc_value(name, count)

    def _fault(self, reason: str, message: str) -> None:
        logger.error("%s", message, extra={"action": reason})
        if self.crawler.stats is not None:
            self.crawler.stats.set_value(stats.FAULT, message)
        raise CloseSpider(reason)
