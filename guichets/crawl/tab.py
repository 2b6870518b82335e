"""One page of one visit in the browser: what it may load, when it has settled, and what it then shows.

The browser asks no network for anything (``guichets.browser.CUT_OFF``): every request is answered here, by
what the visit got for it, or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Error, Page, Request, Route, WebSocketRoute
from scrapy.exceptions import DownloadCancelledError

from guichets.browser import LONGEST, WIDTH
from guichets.clock import Clock
from guichets.crawl.assets import Assets
from guichets.crawl.faults import AsksTooMuch, BrowserFailed, PageStuck
from guichets.gate import same_host
from guichets.page import HTML
from guichets.page import Page as Answered
from guichets.visit import Watch

logger = logging.getLogger(__name__)

LOADED = frozenset({"document", "script", "stylesheet", "xhr", "fetch", "eventsource", "ping"})
"""Kinds of requests a page needs to tell anything; images, fonts, media and icons are not loaded."""

MOST_REQUESTS = 40  # of one page; an application of this kind makes some ten
POLL_SECONDS = 0.1  # between two looks at what the page shows
SETTLED_SECONDS = 0.3  # without a change or a request, once answer and message are there
UNTOLD_SECONDS = 1.5  # the same with one of the two alone
SILENT_SECONDS = 10.0  # the same with neither
LONGEST_SECONDS = 15.0  # after the last request, for a page that goes on moving
PICTURE_SECONDS = 15.0
START_SECONDS = 60.0  # given to a browser that has to be started, on a busy machine
END_SECONDS = 5.0  # given to the requests under way when the page is closed

# The document as it can be seen: nothing hidden, no script, no address a person could not see.
SEEN = """
(selector) => {
  const blank = document.implementation.createHTMLDocument("");
  const unseen = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "LINK", "META", "BASE", "IFRAME", "SVG",
    "OBJECT", "EMBED", "CANVAS", "IMG", "VIDEO", "AUDIO"]);
  const kept = ["class", "id", "lang", "role"];
  const copy = (element) => {
    const name = element.tagName.toUpperCase();
    if (unseen.has(name)) return null;
    const inHead = name === "HEAD" || name === "TITLE";
    const style = getComputedStyle(element);
    if (!inHead && (style.display === "none" || Number(style.opacity) === 0)) return null;
    const isSeen = inHead || style.visibility === "visible";
    const made = blank.createElement(name);
    for (const one of kept) if (element.hasAttribute(one)) made.setAttribute(one, element.getAttribute(one));
    for (const child of (element.shadowRoot || element).childNodes) {
      if (child.nodeType === Node.TEXT_NODE && isSeen) made.append(blank.createTextNode(child.data));
      if (child.nodeType === Node.ELEMENT_NODE) made.append(copy(child) || "");
    }
    return made;
  };
  const root = copy(document.documentElement) || blank.createElement("html");
  const says = [...root.querySelectorAll(selector)].some((one) => one.textContent.trim());
  return [says, "<!DOCTYPE html>\\n" + root.outerHTML + "\\n"];
}
"""


@dataclass(frozen=True, slots=True)
class PageAsk:
    """A request of the page, on its way to the host."""

    method: str
    url: str
    kind: str  # Chromium's word: script, xhr, …
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...]  # what its script set, Origin and Referer
    is_only_judged: bool = False  # a window or a connection we do not open: the gate is asked, nothing sent


Answer = Callable[[PageAsk, "Tab"], Awaitable[Answered | None]]

OURS = frozenset({"user-agent", "accept-language", "accept-encoding", "cookie", "host", "connection"})
"""Headers that every request of ours has by itself, or that belong to a connection."""

NOT_HANDED_ON = frozenset(
    {
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "connection",
        "set-cookie",
        "content-disposition",
    }
)
"""Headers of the answer that no longer hold, or would make the browser save what it should show."""


class Tab:
    """The page and all that is known of it. ``over`` is set when something ends the visit."""

    assets: Assets  # lent by the handler, for all pages of the crawl

    def __init__(
        self,
        *,
        name: str,
        document: Answered,
        host: str,
        watch: Watch,
        answer: Answer,
        user_agent: str,
        patience_seconds: float,
        most_characters: int,
        clock: Clock,
    ) -> None:
        self.name = name
        self.document = document
        self.user_agent = user_agent
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        self.shown = ""
        self.picture = b""  # PNG; empty when none could be taken
        self.left_out = 0  # requests that were not loaded
        self._host = host
        self._watch = watch
        self._answer = answer
        self._patience_seconds = patience_seconds
        self._most_characters = most_characters
        self._clock = clock
        self._page: Page | None = None
        self._is_document_given = False
        self._is_drawing = False
        self._has_settled = False
        self._is_answered = False  # the awaited answer has reached the page
        self._asked = 0
        self._under_way: set[asyncio.Task[Any]] = set()
        self._heard_at = clock.monotonic()  # the page last asked for something, or answered the browser
        self._served_at = self._heard_at  # a request last ended

    # What the handler calls

    async def prepare(self, page: Page, _request: object) -> None:
        """Take over every request of a new page, of its workers and of windows it opens."""
        context = page.context
        await asyncio.gather(
            context.route("**/*", self._route),
            context.route_web_socket("**/*", self._refuse_socket),
            page.route("**/*", self._route),  # before what the handler itself put there
        )
        context.on("page", self._close_window)
        page.on("crash", lambda _: self._lose("the page crashed"))
        page.on("close", lambda _: self._lose("the page was closed"))
        self._page = page
        self._heard_at = self._served_at = self._clock.monotonic()

    async def settle(self, page: Page) -> None:
        """Wait until the page shows what it has to tell, then keep its text and its picture."""
        if page is not self._page:
            raise BrowserFailed("the page could not be cut off from the network")
        text, changed_at, looks = "", self._clock.monotonic(), 0
        while True:
            says, now_shown = await self._look(page)
            now = self._heard_at = self._clock.monotonic()
            looks += 1
            if now_shown != text or self._under_way:
                text, changed_at, looks = now_shown, now, 0
            # In looks too: a page that answers slowly, on a busy machine, draws as slowly.
            calm = min(now - max(changed_at, self._served_at), looks * POLL_SECONDS)
            is_late = not self._under_way and now - self._served_at >= LONGEST_SECONDS
            if calm >= self._enough(says) or is_late:
                break
            await asyncio.sleep(POLL_SECONDS)
        self.shown = text
        self._is_drawing = True
        self.picture = await self._draw(page)
        self._has_settled = True

    # What the visit calls

    def check(self, now: float) -> None:
        """End the visit of a page when nothing moves and nothing is under way."""
        silence = now - self._heard_at
        if self._page is None:
            if silence > START_SECONDS:
                self.fail(BrowserFailed(f"the browser opened no page within {START_SECONDS:g} s"))
        elif not self._under_way and silence > self._patience_seconds + self._is_drawing * PICTURE_SECONDS:
            self.fail(PageStuck(f"no sign of the page's script for {self._patience_seconds:g} s"))

    def fail(self, error: Exception) -> None:
        """End the visit; what ended it first is what is told."""
        if self.failure is None:
            self.failure = error
        self.over.set()

    async def end(self) -> None:
        """Leave no request under way."""
        self.over.set()
        left = {task for task in self._under_way if task is not asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=END_SECONDS)

    def _lose(self, why: str) -> None:
        if not self._has_settled:
            self.fail(BrowserFailed(why))

    # Requests

    async def _route(self, route: Route, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if self.over.is_set() or not self._is_loaded(request):
                self.left_out += 1
                await route.abort("blockedbyclient")
                return
            if not self._is_document_given and self._is_main(request):
                self._is_document_given = True
                await _hand_over(route, self.document)
                return
            self._under_way.add(task)
            try:
                await self._serve(route, request)
            finally:
                self._under_way.discard(task)
                self._served_at = self._heard_at = self._clock.monotonic()
        except Error:
            pass  # the page is gone, or went elsewhere: nobody waits for this
        except Exception as error:  # noqa: BLE001 - told when the visit ends, which it does now
            self.fail(error)
            with contextlib.suppress(Error):
                await route.abort("failed")

    async def _serve(self, route: Route, request: Request) -> None:
        self._asked += 1
        if self._asked > MOST_REQUESTS:
            raise AsksTooMuch(f"more than {MOST_REQUESTS} requests, the last to {request.url[:200]}")
        is_elsewhere = request.is_navigation_request() and not self._is_of_page(request)
        answer = await self._answer(_ask(request, is_only_judged=is_elsewhere), self)
        is_shown = answer is not None and not (self._is_main(request) and answer.media_type not in HTML)
        if answer is None or not is_shown:
            await route.abort("aborted")  # a window is not opened, a file not saved: the page stays
            return
        await _hand_over(route, answer)
        if self._watch.matches(request.url):
            self._is_answered = True

    async def _refuse_socket(self, socket: WebSocketRoute) -> None:
        """No connection is opened; one to the desk's host is judged as any request is."""
        try:
            if self._is_of_host(socket.url):
                self._asked += 1
                await self._answer(PageAsk("GET", socket.url, "websocket", b"", "", (), True), self)
            self.left_out += 1
            await socket.close()
        except Error:
            pass
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(error)

    def _is_loaded(self, request: Request) -> bool:
        """Whether a request may go on to be judged: of the desk's host and of use, or where the page goes."""
        if request.resource_type not in LOADED or urlsplit(request.url).scheme not in {"http", "https"}:
            return False
        return self._is_of_host(request.url) or self._is_main(request)

    def _is_of_host(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            secure = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
            return secure in {"http", "https"} and same_host(self._host, parts.hostname or "", parts.port)
        except ValueError:
            return False

    def _is_main(self, request: Request) -> bool:
        """Whether it takes the page itself elsewhere."""
        if not request.is_navigation_request() or self._page is None:
            return False
        try:
            return request.frame == self._page.main_frame
        except Error:
            return False  # a window that is only being made

    def _is_of_page(self, request: Request) -> bool:
        """Whether it is made by the page or a frame of it, not by a window it opened."""
        try:
            return request.frame.page == self._page
        except Error:
            return False

    async def _close_window(self, page: Page) -> None:
        if page is not self._page:
            with contextlib.suppress(Error):
                await page.close()

    # What it shows

    def _enough(self, says: bool) -> float:
        if self._under_way:
            return float("inf")
        if says and self._is_answered:
            return SETTLED_SECONDS
        return UNTOLD_SECONDS if says or self._is_answered else SILENT_SECONDS

    async def _look(self, page: Page) -> tuple[bool, str]:
        """Whether a message can be seen, and the visible document."""
        while True:
            try:
                says, text = await page.evaluate(SEEN, self._watch.message)
                break
            except Error as error:
                if page.is_closed() or "crash" in error.message.lower():
                    raise
                await asyncio.sleep(POLL_SECONDS)  # it went elsewhere meanwhile
        if len(text) > self._most_characters:
            raise DownloadCancelledError(f"the page shows more than {self._most_characters} characters")
        return bool(says), str(text)

    async def _draw(self, page: Page) -> bytes:
        """The picture of the page; empty when the browser cannot draw it, which proves nothing less."""
        try:
            return await page.screenshot(
                full_page=True,
                clip={"x": 0, "y": 0, "width": WIDTH, "height": LONGEST},
                animations="disabled",
                timeout=PICTURE_SECONDS * 1000,
            )
        except Error as error:
            if page.is_closed():
                raise
            logger.warning(
                "no picture of %s: %s",
                self.document.url,
                error.message.splitlines()[0],
                extra={"action": "no_screenshot"},
            )
            return b""


async def _hand_over(route: Route, answer: Answered) -> None:
    headers = {name: value for name, value in answer.headers.items() if name not in NOT_HANDED_ON}
    await route.fulfill(status=answer.status, headers=headers, body=answer.body)


def _ask(request: Request, *, is_only_judged: bool) -> PageAsk:
    headers = request.headers  # names in lower case
    kept = tuple(
        (name, value)
        for name, value in headers.items()
        if name not in OURS and name != "content-type" and not name.startswith((":", "sec-", "upgrade-"))
    )
    return PageAsk(
        method=request.method,
        url=request.url.partition("#")[0],
        kind=request.resource_type,
        body=request.post_data_buffer or b"",
        content_type=headers.get("content-type", ""),
        headers=kept,
        is_only_judged=is_only_judged,
    )
