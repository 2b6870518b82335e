"""``scrapy crawl``: Scrapy's own, with one-line errors before any request and an honest exit status.

Exit status: 0 the crawl did its work; 1 it could not (every probe failed on our side, the database stayed
away, observations could not be written); 2 a mistake in what was asked; 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from scrapy.commands.crawl import Command as ScrapyCrawl
from scrapy.exceptions import UsageError

from guichets import configuration
from guichets.clock import SystemClock
from guichets.crawl import stats
from guichets.crawl.preparation import prepare
from guichets.errors import GuichetsError
from guichets.outcomes import Outcome
from guichets.schedule.arguments import read_arguments

INTERRUPTED = 130
YOUNG_OBJECTS = 20_000  # made between two collections: some megabytes; Python's 700 are a page or two


class Command(ScrapyCrawl):
    """Run a spider of the current project, by name."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            with signals_raise():
                self._crawl(args, opts)
        except KeyboardInterrupt:  # before the reactor listens to signals
            print("interrupted before the crawl began", file=sys.stderr)
            self.exitcode = INTERRUPTED

    def _crawl(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.crawler_process is not None
        assert self.settings is not None
        if len(args) != 1:
            raise UsageError(
                "name one spider: scrapy crawl <family>; `scrapy list` shows them", print_help=False
            )
        name = args[0]
        known = self.crawler_process.spider_loader.list()
        if name not in known:
            raise UsageError(f"unknown spider {name!r}; known: {', '.join(known)}", print_help=False)
        for setting in configuration.SETTINGS:
            if setting.environment and self.settings.get(setting.name) is not None:
                os.environ[setting.name] = str(self.settings.get(setting.name))
        try:
            given = [key for key in (*self.settings.keys(), *os.environ) if isinstance(key, str)]
            for line in configuration.unknown_names(sorted(set(given))):
                raise UsageError(line, print_help=False)
            self._check_machine(name)
            prepare(self.settings, read_arguments(name, opts.spargs), SystemClock()).check()
        except GuichetsError as error:
            raise UsageError(str(error), print_help=False) from error
        crawler = self._create_crawler(name)
        self.crawler_process.crawl(crawler, **opts.spargs)
        told = self._note_shutdown()
        calm_collector()
        self.crawler_process.start()
        self.exitcode = exit_status(crawler.stats.get_stats() if crawler.stats else {})
        if self.crawler_process.bootstrap_failed:
            self.exitcode = 1
        if told and (
            crawler.spider is None or not crawler.stats or not crawler.stats.get_value("finish_reason")
        ):
            self.exitcode = INTERRUPTED  # while the spider opened: Scrapy gives such a crawl no reason

    def _check_machine(self, name: str) -> None:
        assert self.crawler_process is not None
        check = getattr(self.crawler_process.spider_loader.load(name), "check_machine", None)
        if check is not None:  # a spider that is no family's has none
            check()

    def _note_shutdown(self) -> list[int]:
        """The signals that Scrapy will have been told, once it listens."""
        process = self.crawler_process
        assert process is not None
        told: list[int] = []
        shut_down = process._signal_shutdown

        def note(signum: int, frame: FrameType | None) -> None:
            told.append(signum)
            shut_down(signum, frame)

        process._signal_shutdown = note  # type: ignore[assignment,method-assign]
        return told


def calm_collector() -> None:
    """What is loaded by now stays to the end: the collector need not look at it again and again."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


@contextmanager
def signals_raise() -> Iterator[None]:
    """SIGTERM ends what Ctrl-C would end, in the same way, until Scrapy takes both over."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_status(found: dict[str, Any]) -> int:
    """The exit status of a crawl from its final statistics."""
    reason = found.get("finish_reason")
    if reason == "shutdown":
        return INTERRUPTED
    probes = found.get(stats.PROBES, 0)
    faults = found.get(f"{stats.OUTCOME}/{Outcome.OBSERVER_FAULT}", 0)
    lost_nothing = not any(
        found.get(name) for name in (stats.SPOOLED, stats.ARCHIVE_FAILED, "spider_exceptions/count")
    )
    if reason != "finished" or (probes and faults == probes) or not lost_nothing:
        return 1
    return 0
