"""The archived pages that a constat gives out: which of them, blanked of what, and drawn once each."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from guichets.constat.attempts import Attempt
from guichets.constat.criterion import monday_of
from guichets.constat.proofs import Proof
from guichets.constat.sentences import Sentences
from guichets.constat.wacz import Copy
from guichets.evidence.errors import EvidenceError
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.reader import ArchivedPage
from guichets.evidence.scrub import scrub_headers, scrub_html, scrub_url, secrets_of_headers
from guichets.french import OUTCOMES, in_paris
from guichets.outcomes import Outcome
from guichets.page import HTML, Page
from guichets.shown import Part, page_of

MOST_SHOTS = 80  # pages shown: a constat of 80 pictures is not read
LEAST_HEIGHT = 160  # pixels of a picture: most of these pages are short
NOT_GIVEN_OUT = frozenset(
    (b"content-length", b"content-encoding", b"transfer-encoding", b"content-type", b"connection")
)
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

    @property
    def key(self) -> str:
        """The same for pages that look the same."""
        return hashlib.sha256(self.part.content_type.encode() + b"\n" + self.part.body).hexdigest()

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
        key = (ref.sha256, archived.url, archived.status)
        if key not in self._coming:
            try:
                reading = self._sentences.read(page_of(archived))
            except EvidenceError:
                self._coming[key] = (None, False)
                return self._coming[key]
            starts = [slot.starts for slot in reading.slots]
            self._coming[key] = (reading.outcome, any(is_coming(one, self._now) for one in starts))
        return self._coming[key]

    def copy(self, ref: EvidenceRef, archived: ArchivedPage) -> Copy | None:
        """The page as it is given out; None where it cannot be decoded."""
        try:
            page = page_of(archived)
        except EvidenceError:
            return None
        text, scrubbed = self._scrubbed(ref.sha256, page, archived)
        is_exact = text == scrubbed
        kind = page.media_type or "text/html"
        headers = scrub_headers(archived.headers, self._family)
        declared = page.headers.get("content-type", "text/html")
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

    def shot(self, attempt: Attempt, ref: EvidenceRef, archived: ArchivedPage) -> Shot | None:
        """The page as a picture shows it."""
        copy = self.copy(ref, archived)
        if copy is None or not copy.body.strip():
            return None
        kind = copy.content_type.split(";")[0].strip().lower()
        shown = kind if kind in HTML else "text/plain"
        text = self._texts[ref.sha256][1]
        part = Part(text.encode("utf-8", "replace"), f"{shown}; charset=utf-8")
        return Shot(attempt, copy.url, archived.finished_at, archived.status, ref.sha256, part, copy.is_exact)

    def decisive(self, row: Mapping[str, Any], proof: Proof) -> tuple[EvidenceRef, ArchivedPage] | None:
        """The page that decided: the last one that says alone what the observation says, else the last."""
        for ref, archived in reversed(proof.pages):
            if self.judge(ref, archived)[0] == row["outcome"]:
                return ref, archived
        return proof.pages[-1] if proof.pages else None

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
