"""Third stage: what an observation established is archived beside the pages it rests on, before its row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from guichets.crawl import stats
from guichets.crawl.archive import ArchiveFailed, CrawlArchive
from guichets.crawl.faults import ARCHIVE_RULE
from guichets.items import Observation
from guichets.outcomes import Outcome


class EvidencePipeline:
    """Writes one ``metadata`` record per observation."""

    def __init__(self, crawler: Crawler, archive: CrawlArchive) -> None:
        self._crawler = crawler
        self._archive = archive

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        archive = getattr(crawler.spider, "archive", None)
        if not isinstance(archive, CrawlArchive):
            raise NotConfigured("GUICHETS_ARCHIVE=false, or no family's spider: nothing is archived")
        return cls(crawler, archive)

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Observation):
            return item
        if item.rule == ARCHIVE_RULE:
            return item
        try:
            self._archive.write_observation(item, getattr(self._crawler.spider, "crawl_id", None))
        except ArchiveFailed as failure:
            if self._crawler.stats is not None:
                self._crawler.stats.set_value(stats.ARCHIVE_FAILED, True)
            return _without_proof(item, str(failure))
        return item


def _without_proof(observation: Observation, why: str) -> Observation:
    """What cannot be proved was not established."""
    return replace(
        observation,
        outcome=Outcome.OBSERVER_FAULT,
        rule=ARCHIVE_RULE,
        first_slot=None,
        second_slot=None,
        slot_count=None,
        horizon_end=None,
        slots=(),
        note=f"{observation.outcome} by {observation.rule}, not archived: {why}"[:500],
    )
