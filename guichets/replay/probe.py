"""A visit made again from the archive: the family's own walk, answered by what was archived. No network.

The walk is today's, so that the archive is read exactly as a live visit would be. What it asks is looked for
among the visit's exchanges, in their order; what was never asked then has no answer, and the walk is told so
as it would be of a page that does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from guichets.catalogue.model import Desk
from guichets.evidence import ArchivedPage
from guichets.evidence.exchange import WITHHELD
from guichets.messages import spoken_address
from guichets.outcomes import Outcome
from guichets.page import CounterChoice, Page, Reading, Redirect
from guichets.visit import (
    MAX_REDIRECTS,
    REDIRECT_AS_IS,
    SCREENSHOT,
    SHOWN,
    Asking,
    Probe,
    ProbeStopped,
    R,
    View,
    Watch,
    read_headers,
    redirect_target,
)

NOT_ARCHIVED = Reading(
    outcome=Outcome.UNRECOGNISED,
    rule="replay.not-archived",
    note="today's readers would have asked for a page that was not asked for then",
)
UNREAD_HEADERS = frozenset({b"date", b"set-cookie", b"content-encoding", b"transfer-encoding", b"age"})
"""Of no meaning for a reader, and different at each visit: left out, so that equal pages are read once."""


class NotInArchive(Exception):
    """What the walk asks for is not among the visit's archived exchanges."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One archived exchange: what was asked, and the page as readers see it."""

    method: str
    url: str
    request_body: bytes
    is_signed: bool  # with a credential
    finished_at: datetime
    elapsed_seconds: float
    location: str | None
    page: Page
    sha256: str  # of the page's body, as its evidence says and the archive was checked against


def answer_of(archived: ArchivedPage, body: bytes, sha256: str) -> Answer:
    """An archived exchange, its body decoded, as a replay uses it."""
    headers = read_headers(pair for pair in archived.headers if pair[0].lower() not in UNREAD_HEADERS)
    is_handshake = (b"upgrade", b"websocket") in (
        (name.lower(), value) for name, value in archived.request_headers
    )
    url = spoken_address(archived.url) if is_handshake else archived.url
    return Answer(
        method=archived.method,
        url=url,
        request_body=archived.request_body,
        is_signed=any(value == WITHHELD for _, value in archived.request_headers),
        finished_at=archived.finished_at,
        elapsed_seconds=(archived.finished_at - archived.started_at).total_seconds(),
        location=headers.get("location"),
        page=Page(url=url, status=archived.status, headers=headers, body=body),
        sha256=sha256,
    )


class Memory:
    """Readings of pages already read: readers are pure, and most pages of an archive are repetitions."""

    def __init__(self, most: int = 20_000) -> None:
        self.is_timeless = True  # set to False by a walk that asks what time it is
        self._most = most
        self._readings: dict[tuple[object, ...], Reading] = {}

    def read(self, read: Callable[[Page], R], answer: Answer) -> R:
        page = answer.page
        key = (read, page.url, page.status, page.redirects, tuple(page.headers.items()), answer.sha256)
        found = self._readings.get(key)
        if found is None:
            if len(self._readings) >= self._most:
                self._readings.clear()
            found = self._readings[key] = read(page)
        return cast(R, found)  # the reader is part of the key


class ReplayedProbe(Probe):
    """One visit from its archived exchanges; the clock is that of the page read last."""

    def __init__(
        self,
        desk: Desk,
        zone: ZoneInfo,
        read: Callable[[Page], Reading],
        answers: Sequence[Answer],
        memory: Memory | None = None,
    ) -> None:
        super().__init__(desk, zone, read)
        self._answers = answers
        self._memory = memory or Memory()
        self._next = 0
        self._instant = answers[0].finished_at

    @property
    def asked(self) -> int:
        """How many exchanges were found and used up, or passed over on the way."""
        return self._next

    @property
    def counters(self) -> tuple[CounterChoice, ...]:
        """The counters announced, in the page's order."""
        return self._announced

    def readings(self) -> dict[str | None, Reading]:
        """What the walk concluded, by counter; None is the desk."""
        return {line.counter.key if line.counter else None: line.reading for line in self._lines}

    def now(self) -> datetime:
        self._memory.is_timeless = False
        return self._instant

    @property
    def elapsed_seconds(self) -> float:
        self._memory.is_timeless = False
        return super().elapsed_seconds

    def is_signed_for(self, url: str) -> bool:
        return any(answer.is_signed for answer in self._answers)

    def conclude(self, reading: Reading, counter: CounterChoice | None = None) -> None:
        was_timeless = self._memory.is_timeless
        super().conclude(reading, counter)  # stamps the line, which is no question of the walk's
        self._memory.is_timeless = was_timeless

    async def _ask(self, url: str, asking: Asking, read: Callable[[Page], R]) -> R:
        try:
            place, answer = self._find(url, asking)
            if asking.follows:
                answer = self._follow(place, answer)
            else:
                self._next = place + 1
        except NotInArchive as error:
            raise ProbeStopped(NOT_ARCHIVED, error) from error
        self.url = answer.url
        self._instant = answer.finished_at
        self._elapsed_seconds = answer.elapsed_seconds
        return self._memory.read(read, answer)

    async def _view(self, watch: Watch) -> View:
        """As the archive keeps it: a browser that drew it again would draw what nobody saw."""
        drawn = [place for place, answer in enumerate(self._answers) if answer.url.startswith(SHOWN)]
        if not drawn or drawn[0] < self._next:
            error = NotInArchive("what the browser showed")
            raise ProbeStopped(NOT_ARCHIVED, error) from error
        shown = self._answers[drawn[0]]
        exchanges = self._answers[max(self._next - 1, 0) : drawn[0]]  # the document was asked last
        self._next = drawn[0] + 1
        self._instant = shown.finished_at
        answers = tuple(answer.page for answer in exchanges if not answer.url.startswith(SCREENSHOT))
        return View(shown=shown.page, answers=answers)

    def _find(self, url: str, asking: Asking) -> tuple[int, Answer]:
        """The next exchange that asked exactly this; those passed over were asked by other readers."""
        for place in range(self._next, len(self._answers)):
            answer = self._answers[place]
            if answer.url == url and answer.method == asking.method and answer.request_body == asking.body:
                return place, answer
        raise NotInArchive(f"{asking.method} {url}")

    def _follow(self, place: int, answer: Answer) -> Answer:
        """The end of the redirects that begin there."""
        redirects: list[Redirect] = []
        for _ in range(MAX_REDIRECTS + 1):
            self._next = place + 1
            target = redirect_target(answer.url, answer.page.status, answer.location)
            if target is None:
                if redirects:
                    answer = replace(answer, page=replace(answer.page, redirects=tuple(redirects)))
                return answer
            redirects.append(Redirect(answer.page.status, target))
            place += 1
            method = answer.method if answer.page.status in REDIRECT_AS_IS else "GET"
            if place >= len(self._answers):
                break
            answer = self._answers[place]
            if (answer.url, answer.method) != (target, method):
                break
        raise NotInArchive(f"the end of the redirects that begin at {self._answers[self._next - 1].url}")


def walk_now(walk: Coroutine[Any, Any, None]) -> None:
    """Run a walk to its end at once: a replayed probe never waits. ProbeStopped ends it, as it would live."""
    try:
        walk.send(None)
    except (StopIteration, ProbeStopped):
        return
    walk.close()
    raise RuntimeError("the walk waited for something other than its probe: the archive cannot answer that")
