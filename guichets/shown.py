"""An archived page as it may be shown to people: without sessions, tokens and slot handles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from guichets.evidence.decoding import header_values
from guichets.evidence.errors import ArchiveError
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.layout import resolve
from guichets.evidence.reader import ArchivedPage, ArchiveReader
from guichets.evidence.scrub import scrub_html
from guichets.evidence.tombstone import present_place
from guichets.page import Page
from guichets.visit import read_headers

RECORDS_LOOKED_AT = 400  # after the page, for its style sheets and images
_SHOWN_AS_HTML = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Part:
    """Something a browser is given: a page, or a style sheet or image it refers to."""

    body: bytes
    content_type: str


def page_of(archived: ArchivedPage) -> Page:
    """An archived exchange as readers see it. Raises UndecodableBody or BodyTooLarge."""
    return Page(
        url=archived.url,
        status=archived.status,
        headers=read_headers(archived.headers),
        body=archived.body(),
    )


def shown_page(archived: ArchivedPage, family: str) -> Part:
    """The page in UTF-8, its secrets blanked. Raises UndecodableBody or BodyTooLarge."""
    page = page_of(archived)
    text = scrub_html(page.text, family, headers=archived.headers, url=archived.url)
    kind = page.media_type or "text/html"
    if page.status == 101:  # a conversation: a message a line
        kind, text = "text/plain", text.replace("\x1e", "")
    if kind not in _SHOWN_AS_HTML:
        kind = "text/plain"  # data is shown as it is written; nothing else is what a desk answers with
    return Part(text.encode("utf-8", "replace"), f"{kind}; charset=utf-8")


def parts_of(reader: ArchiveReader, home: Path, ref: EvidenceRef, archived: ArchivedPage) -> dict[str, Part]:
    """Style sheets, images and fonts archived after the page in the same visit, by address."""
    found: dict[str, Part] = {}
    path, offset = present_place(resolve(home, ref.file), ref.offset)
    try:
        for _, _, other in islice(reader.pages(path, start=offset), RECORDS_LOOKED_AT):
            kind = b"".join(header_values(other.headers, b"content-type")).decode("latin-1")
            is_near = abs((other.started_at - archived.started_at).total_seconds()) < 3600
            if is_near and other.status == 200 and kind.startswith(("text/css", "image/", "font/")):
                found.setdefault(other.url, Part(other.body(), kind))
    except (ArchiveError, OSError):
        pass  # the page itself was checked; what cannot be read of the rest counts as not archived
    return found
