"""Last stage: observations into PostgreSQL by COPY in batches; nothing lost, nothing doubled.

An observation is in the spool on disk before this stage says it has it. A batch that is committed leaves
the spool. While the database is away the spool grows, and is drained when it comes back: by this crawl, or
by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import sql
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from guichets import configuration, database
from guichets.crawl import stats
from guichets.crawl.preparation import keeps_in_postgres, worker_name
from guichets.database.queries import load_queries
from guichets.errors import DatabaseError
from guichets.items import Observation
from guichets.rows import COLUMNS, Record, record_of
from guichets.spool import Segment, Spool, SpoolError

logger = logging.getLogger(__name__)

QUERIES = load_queries("pipelines", "postgres.sql")

BATCH_SECONDS = 0.5  # how long an observation waits for company
BATCH_ROWS = 500
RETRY_SECONDS = 5.0  # between two tries while the database is away
ANSWER_SECONDS = (5.0, 20.0)  # least and longest wait for a batch to be taken: a third of the lease, within

SLOT_COLUMNS = ("observation_id", "observed_at", "starts_at", "has_time")
TEXTS_REMEMBERED = 20_000  # hashes of texts known to be kept


class PostgresPipeline:
    """Writes observations. Connects at the first one, so that ``scrapy shell`` needs no database."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._spool = Spool(configuration.home() / "spool", worker_name(crawler.settings))
        self._segment: Segment | None = None
        self._rows: list[Record] = []
        self._waiting: list[Segment] = []  # full segments the database has not taken yet
        self._connection: psycopg.AsyncConnection | None = None
        least, most = ANSWER_SECONDS
        lease_seconds = configuration.read_from(crawler.settings, "GUICHETS_LEASE")
        self._patience_seconds = min(most, max(least, lease_seconds / 3))
        self._flusher: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._months: set[tuple[int, int]] = set()
        self._texts: set[str] = set()  # hashes of the texts this crawl has committed
        self._drained = False

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not keeps_in_postgres(crawler.settings):
            raise NotConfigured("GUICHETS_STORE=none: observations are not kept in PostgreSQL")
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        if not isinstance(item, Observation):
            return item
        record = record_of(item, getattr(self._crawler.spider, "crawl_id", None))
        try:
            if self._segment is None:
                self._segment = self._spool.new_segment()
            self._segment.append(record)
        except SpoolError as error:
            logger.error("%s; written to PostgreSQL without it", error, extra={"action": "spool_failed"})
        self._rows.append(record)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_from_time_to_time())
        if len(self._rows) >= BATCH_ROWS:
            self._wake.set()
        if len(self._rows) >= 4 * BATCH_ROWS:
            await self._flush()  # the database is slower than the crawl: wait for it
        return item

    async def close_spider(self) -> None:
        if self._flusher is not None:
            async with self._flushing:  # never in the middle of a batch, which would be forgotten
                self._flusher.cancel()
        await self._flush()
        left = len(self._rows) + sum(segment.count for segment in self._waiting)
        if left:
            logger.error(
                "%d observations wait in %s: PostgreSQL did not take them, the next crawl will write them",
                left,
                configuration.home() / "spool",
                extra={"action": "spool_left"},
            )
            self._count(stats.SPOOLED, left)
        for segment in (*self._waiting, *([self._segment] if self._segment else [])):
            if segment.count:
                segment.flush_to_disk()
                segment.close()
            else:
                segment.remove()
        await self._let_go()

    async def _flush_from_time_to_time(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BATCH_SECONDS)
            self._wake.clear()
            if not await self._flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def _flush(self) -> bool:
        """Write what waits. False when the database is away; what waits then stays in the spool."""
        async with self._flushing:
            rows, segment = self._rows, self._segment
            if not rows and not self._waiting and self._drained:
                return True
            self._rows, self._segment = [], None
            try:
                if rows:
                    await self._write(rows)
                    self._count(stats.WRITTEN, len(rows))
                if segment is not None:
                    segment.remove()
                await self._drain()
            except (DatabaseError, psycopg.OperationalError, OSError) as error:
                await self._let_go()  # what is left of it may be in the middle of anything
                self._put_back(rows, segment, error)
                return False
            return True

    def _put_back(self, rows: list[Record], segment: Segment | None, error: Exception) -> None:
        logger.warning(
            "PostgreSQL is away (%s); observations wait in the spool",
            str(error).strip().splitlines()[0],
            extra={"action": "database_away"},
        )
        spooled = segment.count if segment is not None and segment.path.exists() else 0
        if spooled and segment is not None:
            self._waiting.append(segment)
        if rows and spooled < len(rows):  # the disk is full too: keep them here
            self._rows = rows + self._rows

    async def _drain(self) -> None:
        """Write our own waiting segments, then, once, those of workers that are gone."""
        while self._waiting:
            await self._write_segment(self._waiting[0])
            self._waiting.pop(0).remove()
        if not self._drained:
            for segment in self._spool.orphans():
                try:
                    count = await self._write_segment(segment)
                except BaseException:
                    segment.close()
                    raise
                logger.info(
                    "%d observations drained from %s", count, segment.path, extra={"action": "spool_drained"}
                )
                segment.remove()
            self._drained = True

    async def _write_segment(self, segment: Segment) -> int:
        batch: list[Record] = []
        count = 0
        for record in segment.records():
            batch.append(record)
            if len(batch) >= BATCH_ROWS:
                await self._write(batch)
                count += len(batch)
                batch = []
        if batch:
            await self._write(batch)
        return count + len(batch)

    async def _write(self, records: list[Record]) -> None:
        """Write a batch; one row that PostgreSQL refuses must not hold up the others."""
        try:
            await self._copy(records)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            if len(records) > 1:
                for record in records:
                    await self._write([record])
                return
            path = self._spool.set_aside(records[0])
            logger.error(
                "PostgreSQL refused an observation (%s); it is kept in %s",
                str(error).strip().splitlines()[0],
                path,
                extra={"action": "observation_refused"},
            )

    async def _copy(self, records: list[Record]) -> None:
        connection = await self._connected()
        instants: dict[tuple[int, int], datetime] = {}
        for record in records:
            instant = datetime.fromisoformat(record["observed_at"])
            instants.setdefault((instant.year, instant.month), instant)
        # in one order everywhere, so that two writers never wait for each other in a ring
        texts = sorted(
            {
                tuple(text)
                for record in records
                for text in record.get("texts", ())
                if text[0] not in self._texts
            }
        )
        async with database.hung_up_after(self._patience_seconds, connection), connection.transaction():
            for month, instant in instants.items():
                if month not in self._months:
                    await connection.execute(QUERIES["ensure_partitions"], {"instant": instant})
            async with connection.cursor() as cursor:
                for sha256, text in texts:
                    await cursor.execute(QUERIES["keep_text"], {"sha256": sha256, "text": text})
                await cursor.execute(QUERIES["incoming_observations"])
                await cursor.execute(QUERIES["incoming_slots"])
                async with cursor.copy(_copy_into("incoming_observations", COLUMNS)) as copy:
                    for record in records:
                        # a record spooled by an older version lacks the newest columns
                        await copy.write_row([record.get(column) for column in COLUMNS])
                if any(record["slots"] for record in records):
                    async with cursor.copy(_copy_into("incoming_slots", SLOT_COLUMNS)) as copy:
                        for record in records:
                            for starts_at, has_time in record["slots"]:
                                await copy.write_row(
                                    (record["id"], record["observed_at"], starts_at, has_time)
                                )
                for name in ("merge_observations", "merge_slots", "merge_counters"):
                    await cursor.execute(QUERIES[name])
        self._months |= instants.keys()  # committed: what is rolled back makes no partition
        if len(self._texts) > TEXTS_REMEMBERED:
            self._texts.clear()
        self._texts |= {sha256 for sha256, _ in texts}

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            dsn = await asyncio.to_thread(database.dsn)
            self._connection = await database.connect_async("writer", dsn=dsn, check=False)
        return self._connection

    async def _let_go(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _count(self, name: str, count: int) -> None:
        if self._crawler.stats is not None:
            self._crawler.stats.inc_value(name, count)


def _copy_into(table: str, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
