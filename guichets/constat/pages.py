"""The archived pages that a constat gives out: which of them, blanked of what, and drawn once each."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from guichets.constat.attempts import Attempt
from guichets.constat.criterion import monday_of
from guichets.constat.proofs import Proof
from guichets.constat.sentences import CONVERSATION, Sentences
from guichets.constat.wacz import Copy, is_drawn
from guichets.evidence.errors import EvidenceError
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.reader import ArchivedPage
from guichets.evidence.scrub import SCRUBBED, scrub_headers, scrub_html, scrub_url, secrets_of_headers
from guichets.french import OUTCOMES, in_paris
from guichets.outcomes import Outcome
from guichets.page import HTML, JSON, Page, visible_text
from guichets.shown import Part, page_of
from guichets.visit import SCREENSHOT, SHOWN

MOST_SHOTS = 80  # pages shown: a constat of 80 pictures is not read
LEAST_HEIGHT = 160  # pixels of a picture: most of these pages are short
NOT_GIVEN_OUT = frozenset(
    (b"content-length", b"content-encoding", b"transfer-encoding", b"content-type", b"connection")
)
_DAY = re.compile(r"(?<!\d)(?:(20\d\d)-([01]\d)-([0-3]\d)|([0-3]\d)/([01]\d)/(20\d\d))(?!\d)")
_POLICY = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; {allowed}">\n'
_OF_COPIES = _POLICY.format(allowed="style-src 'unsafe-inline'; img-src data:")
_OF_LIST = _POLICY.format(allowed="img-src 'self' file:")


@dataclass(frozen=True, slots=True)
class Shot:
    """A page that is shown: what decided one attempt."""

    attempt: Attempt
    url: str  # scrubbed
    at: datetime
    status: int
    sha256: str  # of the archived body
    part: Part  # as shown
    is_exact: bool
    was_drawn: bool = False  # the part is what a browser showed during the visit, and no answer
    photograph: bytes | None = None  # PNG, taken during the visit

    @property
    def key(self) -> str:
        """The same for pages that look the same."""
        look = self.part.content_type.encode() + b"\n" + self.part.body + (self.photograph or b"")
        return hashlib.sha256(look).hexdigest()

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return f"page-{self.key[:12]}"

    @property
    def ending(self) -> str:
        return "html" if self.part.content_type.split(";")[0] in HTML else "txt"


class Showcase:
    """Turns archived pages into copies to give out. Not for use by two threads."""

    def __init__(self, family: str, sentences: Sentences, now: datetime) -> None:
        self._family = family
        self._sentences = sentences
        self._now = now
        self._texts: dict[str, tuple[str, str]] = {}  # sha256 of a body -> its text, and that text scrubbed
        self._coming: dict[tuple[str, str, int], tuple[Outcome | None, bool]] = {}

    def judge(self, ref: EvidenceRef, archived: ArchivedPage) -> tuple[Outcome | None, bool]:
        """What a page says alone, and whether it shows a slot that is still to come."""
        if archived.url.startswith(SCREENSHOT):
            return None, False
        key = (ref.sha256, archived.url, archived.status)
        if key not in self._coming:
            try:
                page = page_of(archived)
                reading = self._sentences.read(page)
            except EvidenceError:
                self._coming[key] = (None, False)
                return self._coming[key]
            starts = [slot.starts for slot in reading.slots]
            is_kept_back = any(is_coming(one, self._now) for one in starts) or self._names_coming_day(page)
            self._coming[key] = (reading.outcome, is_kept_back)
        return self._coming[key]

    def _names_coming_day(self, page: Page) -> bool:
        """Whether data names a day to come: it may be a slot of another desk, which no reader looks at."""
        if page.media_type not in JSON and page.status != CONVERSATION:
            return False
        today = f"{self._now:%Y%m%d}"
        found = (day.groups("") for day in _DAY.finditer(page.text))
        return any(f"{day[0]}{day[1]}{day[2]}{day[5]}{day[4]}{day[3]}" >= today for day in found)

    def given(self, proof: Proof) -> list[tuple[EvidenceRef, ArchivedPage]]:
        """The pages that may be given out; neither slots to come, nor what a browser made of them."""
        coming = [self.judge(*page)[1] for page in proof.pages]
        return [
            (ref, archived)
            for (ref, archived), is_kept_back in zip(proof.pages, coming, strict=True)
            if not is_kept_back and not (any(coming) and is_drawn(archived.url))
        ]

    def copy(self, ref: EvidenceRef, archived: ArchivedPage) -> Copy | None:
        """The page as it is given out; None where it cannot be decoded."""
        try:
            page = page_of(archived)
        except EvidenceError:
            return None
        is_picture = archived.url.startswith(SCREENSHOT)
        text, scrubbed = ("", "") if is_picture else self._scrubbed(ref.sha256, page, archived)
        is_exact = text == scrubbed
        usual = "text/plain" if page.status == CONVERSATION else "text/html"
        kind = page.media_type or usual
        headers = scrub_headers(archived.headers, self._family)
        declared = page.headers.get("content-type", usual)
        return Copy(
            record_id=archived.record_id,
            record_digest=ref.digest,
            original_sha256=ref.sha256,
            url=scrub_url(archived.url, self._family),
            at=archived.started_at,
            status=archived.status,
            reason=archived.reason,
            headers=[
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in headers
                if name.lower() not in NOT_GIVEN_OUT
            ],
            body=page.body if is_exact else scrubbed.encode("utf-8", "replace"),
            content_type=declared if is_exact else f"{kind}; charset=utf-8",
            is_exact=is_exact,
        )

    def shot(
        self, attempt: Attempt, ref: EvidenceRef, archived: ArchivedPage, photograph: bytes | None = None
    ) -> Shot | None:
        """The page as a picture shows it; ``photograph``: the one taken of it during the visit."""
        copy = self.copy(ref, archived)
        if copy is None or not copy.body.strip():
            return None
        kind = copy.content_type.split(";")[0].strip().lower()
        shown = kind if kind in HTML else "text/plain"
        text = self._texts[ref.sha256][1]
        if archived.status == CONVERSATION:
            text = text.replace("\x1e", "")  # a message a line
        part = Part(text.encode("utf-8", "replace"), f"{shown}; charset=utf-8")
        return Shot(
            attempt=attempt,
            url=copy.url.removeprefix(SHOWN),
            at=archived.finished_at,
            status=archived.status,
            sha256=ref.sha256,
            part=part,
            is_exact=copy.is_exact,
            was_drawn=is_drawn(archived.url),
            photograph=None if _hides_something(part, archived.url) else photograph,
        )

    def decisive(self, row: Mapping[str, Any], proof: Proof) -> tuple[EvidenceRef, ArchivedPage] | None:
        """The page that decided: the last one that says alone what the observation says, else the last.

        Where a browser showed one, what it showed: its answers are not what a person reads.
        """
        pages = [page for page in proof.pages if not page[1].url.startswith(SCREENSHOT)]
        shown = [page for page in pages if page[1].url.startswith(SHOWN)]
        if shown:
            return shown[-1]
        for ref, archived in reversed(pages):
            if self.judge(ref, archived)[0] == row["outcome"]:
                return ref, archived
        return pages[-1] if pages else None

    def _scrubbed(self, sha256: str, page: Page, archived: ArchivedPage) -> tuple[str, str]:
        known = self._texts.get(sha256)
        if known is None:
            if len(self._texts) > 64:  # most pages come again and again; others would fill the memory
                self._texts.pop(next(iter(self._texts)))
            known = (page.text, scrub_html(page.text, self._family, url=page.url))
            self._texts[sha256] = known
        if any(secret in known[1] for secret in secrets_of_headers(archived.headers)):
            known = (page.text, scrub_html(page.text, self._family, headers=archived.headers, url=page.url))
            self._texts[sha256] = known
        return known


class Choice:
    """Which pages are shown: the first, the last, one a week, and the first of every distinct message."""

    def __init__(self) -> None:
        self._first: Shot | None = None
        self._last: Shot | None = None
        self._weeks: dict[date, Shot] = {}
        self._messages: dict[tuple[str, str | None], Shot] = {}

    def offer(self, shot: Shot) -> None:
        """Consider the page of an attempt; attempts come in the order of time."""
        self._first = self._first or shot
        self._last = shot
        monday = monday_of(shot.attempt.at)
        week = self._weeks.get(monday)
        if week is None or (shot.attempt.is_without_date and not week.attempt.is_without_date):
            self._weeks[monday] = shot
        self._messages.setdefault((str(shot.attempt.outcome), shot.attempt.sentence), shot)

    def chosen(self) -> tuple[list[Shot], int]:
        """Those shown, in the order of time, and how many more were left out."""
        found = [self._first, self._last, *self._weeks.values(), *self._messages.values()]
        by_number = {shot.attempt.number: shot for shot in found if shot is not None}
        ordered = [by_number[number] for number in sorted(by_number)]
        return ordered[:MOST_SHOTS], max(0, len(ordered) - MOST_SHOTS)


def photograph_of(pages: Iterable[tuple[EvidenceRef, ArchivedPage]]) -> bytes | None:
    """The last photograph taken during a visit, as PNG."""
    taken = [archived for _, archived in pages if archived.url.startswith(SCREENSHOT)]
    return taken[-1].body() if taken else None


def _hides_something(part: Part, url: str) -> bool:
    """Whether something a person could read was blanked: then the photograph would still show it."""
    root = Page(url=url, status=200, headers={"content-type": part.content_type}, body=part.body).root
    return root is not None and SCRUBBED in visible_text(root)


def is_coming(starts: datetime | date, now: datetime) -> bool:
    """Whether a slot is still to come; one without an hour as long as its day is not over everywhere."""
    if isinstance(starts, datetime):
        return starts.timestamp() >= now.timestamp()
    return starts >= now.date()


def reading_copy(shot: Shot) -> bytes:
    """The page to be read in a browser, which may load nothing and run nothing of it."""
    return (_OF_COPIES.encode() if shot.ending == "html" else b"") + shot.part.body


def list_of_pages(shots: Sequence[Shot], pictured: Iterable[str], title: str) -> bytes:
    """``pages/index.html``: every page shown, with where and when it was seen."""
    drawn = set(pictured)
    items = []
    for shot in shots:
        picture = f'<img src="{shot.name}.png" width="512" alt="{html.escape(alt_of(shot))}">' * (
            shot.name in drawn
        )
        items.append(
            f"<li><p>Tentative n° {shot.attempt.number}, {html.escape(in_paris(shot.attempt.at))} : "
            f"{html.escape(OUTCOMES[shot.attempt.outcome])}. "
            f'<a href="{shot.name}.{shot.ending}">Texte de la page</a></p>'
            f"<p>{html.escape(shot.url)}<br>SHA-256 <code>{shot.sha256}</code></p>{picture}</li>\n"
        )
    return (
        '<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8">'
        f"{_OF_LIST}"
        f"<title>{html.escape(title)}</title></head><body><h1>{html.escape(title)}</h1>\n"
        f"<ol>\n{''.join(items)}</ol></body></html>\n"
    ).encode()


def alt_of(shot: Shot) -> str:
    """What a picture shows, for who cannot see it."""
    said = f" On y lit : « {shot.attempt.sentence} »." if shot.attempt.sentence else ""
    return f"Page archivée : {OUTCOMES[shot.attempt.outcome]}.{said}"


def write_photographs(shots: Iterable[Shot], folder: Path) -> dict[str, tuple[str, ...]]:
    """Write the photographs taken during visits into ``folder``; by name, as of drawn ones."""
    written: dict[str, tuple[str, ...]] = {}
    for shot in shots:
        if shot.photograph is not None and shot.name not in written:
            (folder / f"{shot.name}.png").write_bytes(shot.photograph)
            written[shot.name] = ()
    return written


def draw_all(
    shots: Sequence[Shot],
    parts: Mapping[str, Mapping[str, Part]],
    browser: Path,
    folder: Path,
    progress: Callable[[], None],
) -> dict[str, tuple[str, ...]]:
    """Draw each distinct page once into ``folder``; by name, what a reader of the picture must know.

    Raises PictureFailed.
    """
    from guichets.picture import Drawing, warnings_of  # loads a browser's library

    drawn: dict[str, tuple[str, ...]] = {}
    with Drawing(browser) as drawing:
        for shot in shots:
            if shot.name not in drawn:
                image, missing = drawing.shoot(
                    shot.part, shot.url, parts.get(shot.name, {}), height=LEAST_HEIGHT
                )
                (folder / f"{shot.name}.png").write_bytes(image)
                drawn[shot.name] = tuple(warnings_of(missing, image))
            progress()
    return drawn
