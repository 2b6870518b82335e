"""What a crawl needs before its first request: settings checked, database ready, catalogue in force."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from guichets import catalogue, configuration, database
from guichets.clock import Clock
from guichets.errors import CatalogueError, ConfigurationError
from guichets.items import new_probe_id
from guichets.nodes.naming import node_name
from guichets.schedule.arguments import CrawlArguments
from guichets.schedule.baseline import Pattern
from guichets.schedule.lease import Schedule
from guichets.schedule.memory import MemorySchedule
from guichets.schedule.postgres import PostgresSchedule

logger = logging.getLogger(__name__)

STORES = ("postgres", "none")


def worker_name(settings: Mapping[str, Any]) -> str:
    """The name observations and leases bear: the setting, else the node's name and the process id.

    Under Scrapyd the node sets it: ``guichets.nodes.naming.job_worker``.
    """
    return configuration.read_from(settings, "GUICHETS_WORKER") or f"{node_name()}-{os.getpid()}"


def keeps_in_postgres(settings: Mapping[str, Any]) -> bool:
    """Whether schedule and observations live in PostgreSQL. Raises ConfigurationError for another store."""
    store = configuration.read_from(settings, "GUICHETS_STORE")
    if store not in STORES:
        raise ConfigurationError(f"GUICHETS_STORE={store!r}: expected {' or '.join(STORES)}")
    return bool(store == "postgres")


def prepare(
    settings: Mapping[str, Any],
    arguments: CrawlArguments,
    clock: Clock,
    crawl_id: UUID | None = None,
    archive_id: UUID | None = None,
) -> Schedule:
    """Get everything ready and return the schedule, not yet opened. Blocking.

    Raises GuichetsError, in one line, for settings, catalogue, arguments or a database that cannot serve.
    """
    for setting in configuration.SETTINGS:
        configuration.read_from(settings, setting.name)
    delay_seconds = configuration.read_from(settings, "GUICHETS_HOST_DELAY")
    if not keeps_in_postgres(settings):
        return MemorySchedule(catalogue.load(), arguments.selection, delay_seconds=delay_seconds)
    dsn = database.prepare()
    _sync(dsn)
    return PostgresSchedule(
        dsn,
        arguments.selection,
        crawl_id=crawl_id or new_probe_id(),
        archive_id=archive_id,
        worker=worker_name(settings),
        clock=clock,
        delay_seconds=delay_seconds,
        form_interval_seconds=configuration.read_from(settings, "GUICHETS_FORM_INTERVAL"),
        pattern=read_pattern(settings),
        lease_seconds=configuration.read_from(settings, "GUICHETS_LEASE"),
        watches=configuration.read_from(settings, "GUICHETS_WATCH_EVERY") > 0,
        minutes=arguments.minutes,
    )


def read_pattern(settings: Mapping[str, Any]) -> Pattern:
    """How the baseline schedule cuts the day, as the settings say."""
    day_from, day_until = configuration.read_from(settings, "GUICHETS_BASELINE_DAY")
    return Pattern(
        day_from=day_from,
        day_until=day_until,
        day_slot_seconds=configuration.read_from(settings, "GUICHETS_BASELINE_DAY_SLOT"),
        night_slot_seconds=configuration.read_from(settings, "GUICHETS_BASELINE_NIGHT_SLOT"),
    )


def _sync(dsn: str) -> None:
    """Bring the catalogue's files into force; refused files leave the previous version serving."""
    with database.session("writer", dsn=dsn) as connection:
        try:
            loaded = catalogue.load()
        except CatalogueError as error:
            if not connection.execute("SELECT FROM catalogue_versions LIMIT 1").fetchall():
                raise
            for reason in error.reasons:
                logger.error("catalogue refused: %s", reason, extra={"action": "catalogue_refused"})
            logger.warning(
                "the catalogue was refused whole; the previous version goes on serving",
                extra={"action": "catalogue_refused"},
            )
            return
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None  # it always yields one
        done = database.sync_catalogue(connection, loaded, now=row[0])  # a wrong clock here changes nothing
        if done.taken_back is not None and done.added + done.changed + done.closed + done.reopened:
            folder, since = done.taken_back
            logger.warning(
                "the catalogue of %s replaces that of %s, which had replaced it on %s: %d desks closed, %d "
                "opened, %d changed. Do two machines crawl with different catalogues?",
                loaded.folder,
                folder,
                f"{since:%Y-%m-%d at %H:%M} UTC",
                done.closed,
                done.added + done.reopened,
                done.changed,
                extra={"action": "catalogue_taken_back"},
            )
