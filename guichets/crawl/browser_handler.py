"""The download handler of scheme ``browser``: opens a Tab in scrapy-playwright's browser, closes its context.

One browser for the crawl, started at the first page and again after it died; one context for each page.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from playwright.async_api import Error
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy_playwright.handler import BrowserContextWrapper, ScrapyPlaywrightDownloadHandler
from scrapy_playwright.page import PageMethod

from guichets.browser import CUT_OFF, WIDTH, find_browser, wants_sandbox
from guichets.crawl import meta
from guichets.crawl.assets import Assets
from guichets.crawl.faults import BrowserFailed
from guichets.crawl.tab import Tab

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0  # a context that is not closed by then is closed with the whole browser
MOST_HEAP_MB = 256  # of a page's script: what wants more crashes, and the machine does not


class BrowserHandler(ScrapyPlaywrightDownloadHandler):  # type: ignore[misc]  # has no types
    """Its requests bear the Tab they are to be opened in: ``meta.TAB``."""

    lazy = True  # the browser's driver is a process of its own, which a crawl without a due desk never starts

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.config.target_closed_max_retries = 0  # a visit that is repeated asks the host twice
        self._starting = asyncio.Lock()
        self._assets = Assets()

    async def download_request(self, request: Request) -> Response:
        """Run the tab's page until it has settled. Raises BrowserFailed, or what the tab raised."""
        tab: Tab = request.meta[meta.TAB]
        tab.assets = self._assets
        try:
            await self._start()
            response: Response = await super().download_request(_page_request(tab))
            return response
        except Error as error:
            raise BrowserFailed(error.message.strip().splitlines()[0]) from error
        finally:
            await asyncio.shield(self._close_context(tab.name))

    async def _start(self) -> None:
        """Start the driver; scrapy-playwright would when the engine starts, which was before."""
        async with self._starting:
            if not hasattr(self, "browser_provider"):
                self.config.launch_options = {
                    "executable_path": await asyncio.to_thread(find_browser),
                    "chromium_sandbox": wants_sandbox(),
                    "args": [*CUT_OFF, f"--js-flags=--max-old-space-size={MOST_HEAP_MB}"],
                    # a signal ends the crawl in order; the browser ends with it, not before
                    "handle_sigint": False,
                    "handle_sigterm": False,
                    "handle_sighup": False,
                }
                await self._launch()

    async def _close_context(self, name: str) -> None:
        """Close a tab's context, whatever became of its page; the browser with it when it does not answer."""
        wrapper: BrowserContextWrapper | None = self.context_wrappers.get(name)
        if wrapper is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await wrapper.context.close()
        except TimeoutError:
            logger.warning(
                "a page could not be closed, the browser is started anew",
                extra={"action": "browser_restarted"},
            )
            await self._close_browser()
        except Error:
            pass  # it is gone
        finally:
            self.context_wrappers.pop(name, None)

    async def _close_browser(self) -> None:
        browser = getattr(self, "browser", None)
        if browser is not None:
            with contextlib.suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await browser.close()


def _page_request(tab: Tab) -> Request:
    return Request(
        tab.document.url,
        meta={
            "playwright": True,
            "playwright_include_page": True,
            "playwright_context": tab.name,
            "playwright_context_kwargs": {
                "viewport": {"width": WIDTH, "height": 768},
                "user_agent": tab.user_agent,
                "locale": "fr-FR",
                "timezone_id": "Europe/Paris",
                "service_workers": "block",
                "accept_downloads": False,
            },
            "playwright_page_init_callback": tab.prepare,
            "playwright_page_goto_kwargs": {"wait_until": "commit"},
            "playwright_page_methods": [PageMethod(tab.settle)],
        },
    )
