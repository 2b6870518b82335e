"""A visit whose page asks by itself: the page runs in a browser, and the browser has no network.

Whatever the page asks for is taken from the browser, judged and sent like any request of a probe: the same
gate, robots.txt, pace, lease and archive, by the same connection, one after the other. The answer is handed
back to the page. See docs/decisions/0050.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from scrapy import Request

from guichets import configuration
from guichets.crawl import meta
from guichets.crawl.archive import CrawlArchive
from guichets.crawl.faults import RedirectLoop, Refused, read_failure
from guichets.crawl.pacing import REFUSALS
from guichets.crawl.probe import LiveProbe, page_of
from guichets.gate import Ask, Gate
from guichets.items import Evidence
from guichets.page import Page
from guichets.settings import DOWNLOAD_HANDLERS
from guichets.visit import (
    MAX_REDIRECTS,
    REDIRECT_AS_IS,
    SCREENSHOT,
    SHOWN,
    Asking,
    ProbeStopped,
    View,
    Watch,
)

if TYPE_CHECKING:
    from guichets.crawl.tab import PageAsk, Tab

SETTINGS = {
    "DOWNLOAD_HANDLERS": {**DOWNLOAD_HANDLERS, "browser": "guichets.crawl.browser_handler.BrowserHandler"}
}
"""Scrapy settings of a spider whose probes are BrowserProbes; no other spider loads a browser."""

LOOK_SECONDS = 0.25  # between two looks whether the page is stuck


class BrowserProbe(LiveProbe):
    """A visit of the site itself that may open the page it asked last in a browser of its own context."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked_last: Page | None = None
        self._turn = asyncio.Lock()  # one request after the other, however many the page asks for at once
        self._answers: list[Page] = []

    async def _fetch(self, url: str, asking: Asking) -> Page:
        self._asked_last = None
        self._asked_last = await super()._fetch(url, asking)
        return self._asked_last

    async def _view(self, watch: Watch) -> View:
        document = self._asked_last
        if document is None:
            raise RuntimeError(f"{self.desk.id}: nothing was asked that a browser could show")
        self._answers = [document]
        try:
            tab = self._new_tab(document, watch)
            await self._open(tab)
            return self._kept(tab)
        except Exception as error:
            raise ProbeStopped(read_failure(error), error) from error

    def _new_tab(self, document: Page, watch: Watch) -> Tab:
        from guichets.crawl.tab import Tab  # Playwright is slow to import, and most crawls need none

        settings = self._crawler.settings
        return Tab(
            name=str(self.id),
            document=document,
            host=self.lease.host,
            watch=watch,
            answer=self._answer,
            user_agent=settings["USER_AGENT"],
            patience_seconds=settings.getfloat("DOWNLOAD_TIMEOUT"),
            most_characters=configuration.read_from(settings, "GUICHETS_MAX_BODY"),
            clock=self._clock,
        )

    async def _open(self, tab: Tab) -> None:
        """Run the page until it has settled, or something ends it. Its context is gone afterwards."""
        assert self._crawler.engine is not None
        request = Request(f"browser://{tab.name}", meta={meta.TAB: tab})
        opening = asyncio.ensure_future(
            self._crawler.engine.downloader.handlers.download_request_async(request)
        )
        over = asyncio.create_task(tab.over.wait())
        try:
            while not opening.done() and not over.done():
                tab.check(self._clock.monotonic())
                await asyncio.wait({opening, over}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if tab.failure is not None:
                raise tab.failure
            await opening
        finally:
            over.cancel()
            opening.cancel()
            await tab.end()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await opening

    # What the page asks for

    async def _answer(self, ask: PageAsk, tab: Tab) -> Page | None:
        """The answer to a request of the page, asked in its turn; None for what is judged and never sent.

        Raises what ends the visit.
        """
        asking = Asking(ask.method, ask.body, ask.content_type, ask.headers)
        async with self._turn:
            if ask.is_only_judged and self._is_allowed(ask):
                return None
            if (
                kept := tab.assets.find(ask.url, self._clock.monotonic())
            ) is not None and ask.method == "GET":
                page, evidence = kept
                self._evidence.append(evidence)
                self._answers.append(page)
                return page
            page = await self._follow(ask.url, asking)
            if page.status in REFUSALS:
                raise Refused(page.status)
            if ask.method == "GET":
                tab.assets.keep(ask.kind, page, self._evidence[-1], self._clock.monotonic())
            return page

    async def _follow(self, url: str, asking: Asking) -> Page:
        """As for a page: hop by hop, each through the gate and into the evidence."""
        request = self._request(url, asking)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._download(request)
            page = page_of(response)
            self._answers.append(page)
            if response.status not in REDIRECT_AS_IS:
                asking = Asking()
            follow = self._redirect(response, asking)
            if follow is None:
                return page
            request = follow
        raise RedirectLoop(f"more than {MAX_REDIRECTS} redirects, the last to {request.url}")

    def _is_allowed(self, ask: PageAsk) -> bool:
        """Whether the gate would let it leave. What it would not goes on, so that it refuses and counts."""
        gate = getattr(self._crawler.spider, "gate", None)
        judged = Ask(ask.method, ask.url, ask.body, ask.content_type, host=self.lease.host)
        return isinstance(gate, Gate) and gate.refusal(judged) is None

    # What is kept of it

    def _kept(self, tab: Tab) -> View:
        """Archive what the page showed; the text comes last, because it is what decides."""
        url = tab.document.url
        drawn_from = next(
            (part.record_id for part in reversed(self._evidence) if part.url == url and part.record_id), None
        )
        if tab.picture:
            self._keep(SCREENSHOT + url, "image/png", tab.picture, drawn_from)
        kind = "text/html; charset=utf-8"
        body = tab.shown.encode("utf-8", "replace")
        self._keep(SHOWN + url, kind, body, drawn_from)
        shown = Page(url=SHOWN + url, status=200, headers={"content-type": kind}, body=body)
        return View(shown=shown, answers=tuple(self._answers))

    def _keep(self, url: str, content_type: str, body: bytes, drawn_from: str | None) -> None:
        archive = getattr(self._crawler.spider, "archive", None)
        if not isinstance(archive, CrawlArchive):
            digest = hashlib.sha256(body).hexdigest()
            self._evidence.append(Evidence(url=url, status=200, sha256=digest, size=len(body)))
            return
        ref = archive.write_drawn(url, content_type, body, drawn_from=drawn_from)
        self._evidence.append(
            Evidence(
                url=url,
                status=200,
                sha256=ref.sha256,
                size=len(body),
                file=ref.file,
                offset=ref.offset,
                length=ref.length,
                record_id=ref.record_id,
                digest=ref.digest,
            )
        )
