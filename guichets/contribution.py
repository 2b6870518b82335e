"""What a contributed file says of a desk: which of its pages count, their one verdict, and its instant.

Pages people save come in any order and with pages of no concern beside them. What is kept of a file: the
pages of the desk's own form, and the style sheets and images of its host, without the person's session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from guichets.catalogue.model import Desk
from guichets.evidence.decoding import decode_body
from guichets.evidence.errors import ImportRefused
from guichets.evidence.exchange import Exchange
from guichets.gate import Gate, same_host
from guichets.items import counter_observation_id
from guichets.outcomes import RATED, best_of
from guichets.page import Page, Reading
from guichets.visit import read_headers, redirect_target

EARLIEST = datetime(2012, 1, 1, tzinfo=UTC)  # no desk of ours is older
CLOCK_ERROR = timedelta(minutes=10)  # by which a contributor's clock may be ahead
PARTS_OF_A_PAGE = ("text/css", "image/", "font/")
SESSION_HEADERS = frozenset({b"cookie", b"authorization", b"proxy-authorization", b"set-cookie"})
BEYOND = "beyond-calendar"  # how a family's rule for pages past its calendar ends


@dataclass(frozen=True, slots=True)
class Judged:
    """One contributed file: what of it is kept, and what it establishes."""

    kept: tuple[Exchange, ...]
    pages: tuple[int, ...]  # places in ``kept`` of the form's own pages, in order
    reading: Reading
    observed_at: datetime
    http_status: int
    id: UUID  # of the observation: the same file given again makes the same


def judge(
    exchanges: Sequence[Exchange], *, desk: Desk, gate: Gate, read: Callable[[Page], Reading], now: datetime
) -> Judged:
    """Raises ImportRefused for a file that says nothing of this desk, or says it past the calendar."""
    kept = [
        _without_session(exchange)
        for exchange in exchanges
        if belongs(desk, exchange.url, gate) or _is_part(desk, exchange)
    ]
    places = [place for place, exchange in enumerate(kept) if belongs(desk, exchange.url, gate)]
    if not places:
        raise ImportRefused(f"it holds no page of {desk.url}, the form of the desk {desk.id}")
    pages = [page_of_exchange(kept[place]) for place in places]
    readings = [read(page) for page in pages]
    if any(reading.rule.endswith(BEYOND) for reading in readings):
        raise ImportRefused("refused and not stored, because it holds a page past the calendar")
    reading = verdict_of(pages, read)
    if reading is None:
        raise ImportRefused("its pages do not say whether there are appointments: save the last page reached")
    decisive = kept[max(place for place, said in zip(places, readings, strict=True) if said == reading)]
    for place in places:
        _check_instant(kept[place].finished_at, now)
    identity = "\n".join([desk.id, *(_fingerprint(kept[place], pages[i]) for i, place in enumerate(places))])
    milliseconds = int(decisive.finished_at.timestamp() * 1000)
    return Judged(
        kept=tuple(kept),
        pages=tuple(places),
        reading=reading,
        observed_at=decisive.finished_at,
        http_status=decisive.status,
        id=counter_observation_id(UUID(int=milliseconds << 80), identity),
    )


def verdict_of(pages: Sequence[Page], read: Callable[[Page], Reading]) -> Reading | None:
    """The desk's reading; None when no page concludes anything.

    A person may have tried several counters, in any order: as with counters, any offer wins. Of pages that
    agree, the last one that shows dates is taken, else the last one.
    """
    conclusive = [
        reading
        for page in pages
        # what only leads elsewhere says nothing
        if redirect_target(page.url, page.status, page.headers.get("location")) is None
        and (reading := read(page)).outcome is not None
    ]
    rated = [reading for reading in conclusive if reading.outcome in RATED] or conclusive
    if not rated:
        return None
    outcome = best_of(reading.outcome for reading in rated if reading.outcome is not None)
    agreeing = [reading for reading in rated if reading.outcome is outcome]
    return next((reading for reading in reversed(agreeing) if reading.slots), agreeing[-1])


def belongs(desk: Desk, url: str, gate: Gate) -> bool:
    """Whether an address is the desk's form or a step of it, and asks for what the entry's query does."""
    try:
        page, entry = urlsplit(url), urlsplit(desk.url)
        port = page.port
    except ValueError:
        return False
    if not same_host(desk.host, page.hostname or "", port):
        return False
    form = gate.plain_path(entry.path).rstrip("/").removesuffix("/0")
    path = gate.plain_path(page.path).rstrip("/")
    if not (path == form or path.startswith(form + "/")):
        return False
    asked = dict(parse_qsl(page.query))
    return all(asked.get(name) == value for name, value in parse_qsl(entry.query))


def page_of_exchange(exchange: Exchange) -> Page:
    """A contributed exchange as readers see it."""
    body = decode_body(exchange.raw_body, exchange.response_headers)
    return Page(
        url=exchange.url,
        status=exchange.status,
        headers=read_headers(exchange.response_headers),
        body=body,
    )


def _is_part(desk: Desk, exchange: Exchange) -> bool:
    """A style sheet, image or font of the desk's host: what its picture needs."""
    try:
        page = urlsplit(exchange.url)
        on_host = same_host(desk.host, page.hostname or "", page.port)
    except ValueError:
        return False
    kind = read_headers(exchange.response_headers).get("content-type", "")
    return on_host and kind.strip().lower().startswith(PARTS_OF_A_PAGE)


def _without_session(exchange: Exchange) -> Exchange:
    """The contributor's cookies and log-in are not ours to keep, not even in the private archive."""
    return replace(
        exchange,
        request_headers=tuple(p for p in exchange.request_headers if p[0].lower() not in SESSION_HEADERS),
        response_headers=tuple(p for p in exchange.response_headers if p[0].lower() not in SESSION_HEADERS),
    )


def _check_instant(instant: datetime, now: datetime) -> None:
    if not EARLIEST <= instant <= now + CLOCK_ERROR:
        raise ImportRefused(f"its pages are dated {instant:%Y-%m-%d %H:%M} UTC, which cannot be")


def _fingerprint(exchange: Exchange, page: Page) -> str:
    return f"{exchange.url} {exchange.finished_at.isoformat()} {hashlib.sha256(page.body).hexdigest()}"
