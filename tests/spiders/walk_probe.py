"""A visit whose pages come from a table: what a family's walk asks for, and what it concludes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from guichets.catalogue.model import Desk
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from guichets.visit import Asking, Line, Probe, ProbeStopped, R
from spiders.base import DeskSpider

NOW = datetime(2021, 12, 10, 9, 0, tzinfo=UTC)
LOST = Reading(outcome=Outcome.UNREACHABLE, rule="network.timeout")


class TableProbe(Probe):
    """Answers from ``pages``: a body (or a Page) by address; what is not there does not answer."""

    def __init__(self, desk: Desk, pages: Mapping[str, str | Page], read: Callable[[Page], Reading]) -> None:
        super().__init__(desk, ZoneInfo("Europe/Paris"), read)
        self.pages = pages
        self.asked: list[str] = []

    def now(self) -> datetime:
        return NOW

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        self.asked.append(url)
        answer = self.pages.get(url)
        if answer is None:
            raise ProbeStopped(LOST, TimeoutError(url))
        page = answer if isinstance(answer, Page) else Page(url, 200, {}, answer.encode())
        self.url = page.url
        return read(page)


def walk(
    spider: type[DeskSpider], url: str, pages: Mapping[str, str | Page], **params: Any
) -> tuple[TableProbe, dict[str | None, Line]]:
    """Walk a desk with this entry; its lines by counter, None for the desk."""
    desk = Desk(
        id="92-essai", family=spider.name, departement="92", office="Préfecture", procedure="recepisse",
        label="Essai", url=url, params=params,
    )  # fmt: skip
    probe = TableProbe(desk, pages, spider().read)
    try:
        asyncio.run(spider().walk(probe))
    except ProbeStopped as stop:
        probe.stop(stop.reading)
    return probe, {line.counter.key if line.counter else None: line for line in probe.lines()}
