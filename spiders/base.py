"""What all families share: claim hosts, visit each due desk, yield what was established.

A family's spider declares its gate, reads its pages and walks its funnel (``walk``). It opens no file,
reads no clock and sends nothing by itself: it asks its ``Probe`` for pages and concludes from readings.
Whatever happens in a walk, each started probe ends as exactly one observation of the desk, and one of
each counter it found.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, Self
from uuid import UUID

from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.settings import BaseSettings

from guichets import __version__, configuration
from guichets.clock import AgreedClock
from guichets.crawl import stats
from guichets.crawl.archive import CrawlArchive, open_later
from guichets.crawl.chain import Chain
from guichets.crawl.control import ControlPages
from guichets.crawl.credentials import Credential, Grant
from guichets.crawl.faults import MAY_BE_OURS, read_failure
from guichets.crawl.preparation import prepare, worker_name
from guichets.crawl.probe import LiveProbe, Signature, page_of
from guichets.crawl.watching import SCHEDULE_OPENED
from guichets.errors import DatabaseError, DatabaseUnreachable, GuichetsError
from guichets.gate import NOTHING, Gate
from guichets.items import Observation, new_probe_id
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.schedule.arguments import CrawlArguments, read_arguments
from guichets.schedule.lease import (
    LEASE_MARGIN,
    DueDesk,
    HostLease,
    HostPaused,
    LeaseLost,
    Purpose,
    Schedule,
)
from guichets.visit import Probe, ProbeStopped

logger = logging.getLogger(__name__)

DATABASE_PATIENCE_SECONDS = 300.0  # a crawl that could not claim for that long ends
DATABASE_RETRY_SECONDS = 5.0
POLL_SECONDS = 1.0  # between two looks for a host that another worker may give back
ITEMS_POLL_SECONDS = 0.02  # how soon the end of the last pipeline is noticed
STOP_POLL_SECONDS = 0.2  # how soon probes under way notice that Scrapy is stopping
YIELD_QUEUE = 500  # observations waiting for the pipelines before visits slow down

INTERRUPTED = Reading(outcome=Outcome.OBSERVER_FAULT, rule="observer.interrupted")
NO_CONCLUSION = Reading(outcome=Outcome.OBSERVER_FAULT, rule="observer.no-conclusion")

__all__ = ["DeskSpider", "Probe", "ProbeStopped"]


class DeskSpider(Spider):
    """One booking-platform family. Subclasses set ``name``, ``gate``, ``parser_version``; read and walk."""

    gate: ClassVar[Gate] = NOTHING
    parser_version: ClassVar[int] = 0  # grows whenever a reader may read a page differently
    # What the platform's owner may give us to be shown to it; None: nothing, as to any visitor.
    credential: ClassVar[Credential | None] = None
    # Expression of an entry URL's path and query, by which an address is known for the family's.
    entry: ClassVar[str] = ""
    # Every pure reader of the family by its name; "page" is the one that ``read`` uses.
    readers: ClassVar[Mapping[str, Callable[[Page], Reading]]] = MappingProxyType({})

    probe_class: ClassVar[type[LiveProbe]] = LiveProbe
    hosts_setting: ClassVar[str] = "GUICHETS_MAX_HOSTS"  # how many hosts a crawl of the family holds at once

    clock: AgreedClock

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        arguments = read_arguments(cls.name, kwargs)
        spider = super().from_crawler(crawler)
        spider.arguments = arguments
        spider.clock = AgreedClock()
        spider._signature = Signature(
            family=cls.name,
            parser=spider.parser,
            worker=worker_name(crawler.settings),
        )
        spider._in_pipelines = {}
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
            crawler.signals.connect(spider._note_left_pipelines, signal=signal)
        spider.crawl_id = new_probe_id()
        spider.archive = open_later(crawler.settings, spider.clock, cls.name)
        spider._max_hosts = min(
            configuration.read_from(crawler.settings, name)
            for name in ("GUICHETS_MAX_HOSTS", cls.hosts_setting)
        )
        spider._lease_seconds = configuration.read_from(crawler.settings, "GUICHETS_LEASE")
        spider._control = ControlPages(crawler, spider.clock)
        spider.grant = cls.credential.grant(crawler.settings) if cls.credential is not None else None
        return spider

    arguments: CrawlArguments
    crawl_id: UUID
    grant: Grant | None
    archive: CrawlArchive | None  # None: GUICHETS_ARCHIVE=false
    _chain: Chain
    _signature: Signature
    _max_hosts: int
    _lease_seconds: float
    _control: ControlPages
    # By id of each observation: those of its visit that have not left the pipelines, and when none is left.
    _in_pipelines: dict[UUID | None, tuple[set[UUID], asyncio.Event]]
    _schedule: Schedule
    _until: float | None = None  # monotonic seconds at which no visit begins any more
    _broken: Exception | None = None  # why the crawl cannot go on

    @property
    def parser(self) -> str:
        """Family and version of its readers, as observations carry it."""
        return f"{self.name}@{self.parser_version}"

    # What a family provides

    def read(self, page: Page) -> Reading:
        """What a page says. Pure, and never raises."""
        return self.readers["page"](page)

    @staticmethod
    def has_anchor(page: Page) -> bool:
        """Whether a page bears the landmark that stands on every page of the family."""
        return False

    @classmethod
    def departement_of(cls, url: str) -> str | None:
        """Code of the département that an entry's address tells; None where it tells none."""
        return None

    async def walk(self, probe: Probe) -> None:
        """Walk the desk's funnel and conclude. ProbeStopped may go through."""
        raise NotImplementedError(f"{type(self).__name__} walks no funnel")

    @classmethod
    def check_machine(cls) -> None:
        """Raise ConfigurationError where this machine lacks what the family's visits need. Blocking."""

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
        self._chain = Chain(self.crawler)
        queue: asyncio.Queue[Observation | None] = asyncio.Queue(YIELD_QUEUE)
        crew = asyncio.create_task(self._crew(queue))
        self._hold_engine_for(crew, queue)
        while (observation := await queue.get()) is not None:
            yield observation
        await crew

    def _hold_engine_for(self, crew: asyncio.Task[None], queue: asyncio.Queue[Observation | None]) -> None:
        """Make Scrapy wait for the crew when it closes, and the crew end when Scrapy is closing.

        Scrapy waits for the requests it has in progress; one that is never sent stands for the crew. It also
        stops taking items from start(), so what is left then is handed over.
        """
        engine = self.crawler.engine
        assert engine is not None
        slot = engine._slot
        assert slot is not None
        hold = Request("about:crew")

        async def cancel_when_closing() -> None:
            while engine.running and slot.closing is None:  # noqa: ASYNC110 - Scrapy has no event for this
                await asyncio.sleep(STOP_POLL_SECONDS)
            crew.cancel()

        watch = asyncio.create_task(cancel_when_closing())

        def end(_: object) -> None:
            watch.cancel()
            if self._is_closing():
                while not queue.empty():
                    self._hand_over(queue.get_nowait())
            self._letting_go = asyncio.create_task(let_go())

        async def let_go() -> None:
            """Not before the pipelines are through: Scrapy would wait and never learn of their end."""
            scraper = engine.scraper
            while scraper.slot is not None and scraper.slot.itemproc_size:  # noqa: ASYNC110 - as above
                await asyncio.sleep(ITEMS_POLL_SECONDS)
            slot.remove_request(hold)

        slot.add_request(hold)
        crew.add_done_callback(end)

    def _is_closing(self) -> bool:
        engine = self.crawler.engine
        return (
            engine is None or not engine.running or engine._slot is None or engine._slot.closing is not None
        )

    async def _crew(self, queue: asyncio.Queue[Observation | None]) -> None:
        visits: set[asyncio.Task[None]] = set()
        try:
            try:
                await asyncio.to_thread(self.check_machine)
                archive_id = self.archive.id() if self.archive is not None else None
                self._schedule = await asyncio.to_thread(
                    prepare, self.crawler.settings, self.arguments, self.clock, self.crawl_id, archive_id
                )
                await self._schedule.open()
            except GuichetsError as error:
                self._fault("cannot_start", str(error))
            self.crawler.signals.send_catch_log(SCHEDULE_OPENED, spider=self)
            await self._claim_and_visit(queue, visits)
        finally:
            for visit in visits:
                visit.cancel()
            if visits:
                await asyncio.gather(*visits, return_exceptions=True)
            if hasattr(self, "_schedule"):
                await self._schedule.close()
            if not self._is_closing():
                await queue.put(None)

    async def _claim_and_visit(
        self, queue: asyncio.Queue[Observation | None], visits: set[asyncio.Task[None]]
    ) -> None:
        began = self.clock.monotonic()
        minutes = self.arguments.minutes
        until = began + minutes * 60 if minutes is not None else None
        self._until = until
        claimed_at = reached_at = began
        while not self._is_time_up():
            if self._cannot_prove() or self._broken is not None:
                break
            if len(visits) >= self._max_hosts:
                await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
                continue
            now = self.clock.monotonic()
            try:
                leases = await self._schedule.claim(self._max_hosts - len(visits))
                next_due = 0.0 if leases or visits else await self._schedule.next_due_seconds()
                reached_at = now
            except DatabaseUnreachable as error:
                if now - reached_at > DATABASE_PATIENCE_SECONDS:
                    self._fault("database_away", str(error))
                logger.warning("%s; trying again", error, extra={"action": "database_away"})
                await self.clock.sleep(DATABASE_RETRY_SECONDS)
                continue
            except DatabaseError as error:
                self._fault("schedule_failed", str(error))
            if leases:
                claimed_at = now
                for lease in leases:
                    visit = asyncio.create_task(self._visit_or_break(lease, queue))
                    visits.add(visit)
                    visit.add_done_callback(visits.discard)
                if self.crawler.stats is not None:
                    self.crawler.stats.max_value(stats.HOSTS_AT_ONCE, len(visits))
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
        if self._broken is not None:
            self._fault("schedule_failed", str(self._broken))

    def _is_time_up(self) -> bool:
        return self._until is not None and self.clock.monotonic() >= self._until

    async def _visit_or_break(self, lease: HostLease, queue: asyncio.Queue[Observation | None]) -> None:
        """A bug of ours, or what PostgreSQL refuses, ends the crawl: else the host is claimed for ever."""
        try:
            await self._visit(lease, queue)
        except Exception as error:  # noqa: BLE001 - told when the crawl ends, which it does now
            self._broken = error

    def _cannot_prove(self) -> bool:
        return self.archive is not None and self.archive.failure is not None

    async def _visit(self, lease: HostLease, queue: asyncio.Queue[Observation | None]) -> None:
        """Probe the due desks of one host, one after the other, then give the host back."""
        self._count(stats.HOSTS_VISITED)
        guards = [asyncio.create_task(work) for work in (self._keep(lease), self._cut_short_at_end(lease))]
        left = list(lease.desks)
        try:
            while left and not self._cannot_prove() and not self._is_time_up():
                due = left[0]
                probe = self._new_probe(due, lease)
                try:
                    lease.check(self.clock.monotonic())
                    purpose = await self._begin(lease, due, probe)
                except HostPaused as pause:
                    if pause.refused:  # our visits are refused: said for each desk, nothing sent
                        for desk in left:
                            if desk.watch_at is None:  # a watch probe that is not made is not missed
                                await self._stopped_before(desk, lease, pause, queue)
                        left = []
                    break
                except LeaseLost:
                    break
                left.pop(0)
                if purpose is None:  # its slot is over, or somebody visited it meanwhile
                    continue
                probe.purpose = purpose
                try:
                    observations = await self._probe(due, probe)
                except asyncio.CancelledError:
                    lease.done.append((due.desk.id, None))  # its interval counts from here; it stays due
                    raise
                try:
                    await self._deliver(observations, queue)
                finally:
                    self._schedule.finish(lease, due)
        finally:
            for guard in guards:
                guard.cancel()
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

    async def _begin(self, lease: HostLease, due: DueDesk, probe: LiveProbe) -> Purpose | None:
        """Tell the schedule. No visit begins without it: another worker could begin the same one."""
        # The host's turn first: what is recorded as begun is asked at once.
        with contextlib.suppress(TimeoutError):
            async with lease.cut_short_when_given_back():
                await self.clock.sleep(lease.pace.wait_seconds(self.clock.monotonic()))
        while True:
            try:
                return await self._schedule.begin(lease, due, probe.id)
            except DatabaseUnreachable as error:
                logger.warning(
                    "%s; the visit of %s waits", error, due.desk.id, extra={"action": "database_away"}
                )
                await self.clock.sleep(min(DATABASE_RETRY_SECONDS, self._lease_seconds / 10))

    async def _keep(self, lease: HostLease) -> None:
        """Renew the lease while the visit lasts."""
        pause = self._lease_seconds / 3
        while True:
            await self.clock.sleep(pause)
            try:
                await self._schedule.renew(lease)
                pause = self._lease_seconds / 3
            except DatabaseError as error:
                logger.warning(
                    "%s; lease of %s not renewed", error, lease.host, extra={"action": "not_renewed"}
                )
                pause = min(DATABASE_RETRY_SECONDS, self._lease_seconds / 10)

    async def _cut_short_at_end(self, lease: HostLease) -> None:
        """Await no answer beyond the lease: half the margin later, still before anybody else may begin."""
        while not lease.lost:
            left = lease.expires_at + self._lease_seconds * LEASE_MARGIN / 2 - self.clock.monotonic()
            if left <= 0:
                logger.warning(
                    "the lease was not renewed in time, the host is left alone: %s",
                    lease.host,
                    extra={"action": "lease_lost"},
                )
                lease.give_back()
                return
            await self.clock.sleep(min(left, self._lease_seconds))

    def _new_probe(self, due: DueDesk, lease: HostLease) -> LiveProbe:
        return self.probe_class(
            due,
            lease,
            crawler=self.crawler,
            chain=self._chain,
            clock=self.clock,
            read=self.read,
            signature=self._signature,
        )

    async def _probe(self, due: DueDesk, probe: LiveProbe) -> list[Observation]:
        """One probe. Nothing that happens in it ends the crawl or loses it."""
        try:
            await self.walk(probe)
            probe.stop(NO_CONCLUSION)
        except asyncio.CancelledError:
            probe.stop(INTERRUPTED)
            for observation in self._counted(probe):
                self._hand_over(observation)
            raise
        except ProbeStopped as stop:
            probe.stop(await self._whose_fault(stop.reading, due.desk.host))
            if stop.reading.rule == "observer.exception":
                self._log_exception(due, stop.cause)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not lose the probe
            probe.stop(read_failure(error))
            self._log_exception(due, error)
        return self._counted(probe)

    async def _stopped_before(
        self, due: DueDesk, lease: HostLease, pause: HostPaused, queue: asyncio.Queue[Observation | None]
    ) -> None:
        probe = self._new_probe(due, lease)
        probe.stop(read_failure(pause))
        await self._deliver(self._counted(probe), queue)

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

    async def _deliver(
        self, observations: list[Observation], queue: asyncio.Queue[Observation | None]
    ) -> None:
        """Give observations to start(), and wait until they have left the pipelines.

        None is lost when Scrapy stops meanwhile. A worker that is killed loses one visit per host at most.
        """
        ids, through = {one.id for one in observations}, asyncio.Event()
        self._in_pipelines.update(dict.fromkeys(ids, (ids, through)))
        left = deque(observations)
        try:
            while left:
                await queue.put(left[0])
                left.popleft()
            await through.wait()
        finally:
            for observation in left:
                self._hand_over(observation)

    def _note_left_pipelines(self, item: Any) -> None:
        """It is in the spool, or was refused for good."""
        if (delivery := self._in_pipelines.pop(getattr(item, "id", None), None)) is None:
            return
        ids, through = delivery
        ids.discard(item.id)
        if not ids:
            through.set()

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

    def _fault(self, reason: str, message: str) -> NoReturn:
        logger.error("%s", message, extra={"action": reason})
        if self.crawler.stats is not None:
            self.crawler.stats.set_value(stats.FAULT, message)
        raise CloseSpider(reason)
