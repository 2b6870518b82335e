"""A response as readers see it, and what a reader says of it.

Readers are pure: bytes, URL, status and headers in, a ``Reading`` out. The same readers re-read the
archive, so nothing here knows of requests, clocks or settings.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from lxml import etree

from guichets.items import Slot
from guichets.outcomes import Outcome

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_UNREAD_TAGS = ("script", "style", "template", "noscript")


@dataclass(frozen=True, slots=True)
class Redirect:
    """One hop on the way to a page: the status that ordered it, and where it led."""

    status: int
    url: str


@dataclass(frozen=True)
class Page:
    """One response: ``body`` after decompression, header names in lower case."""

    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    redirects: tuple[Redirect, ...] = ()  # those that led here, in their order

    @cached_property
    def media_type(self) -> str:
        """The content type without its parameters, lower case; empty when the header is absent."""
        first = self.headers.get("content-type", "").split(",")[0]  # the header may come twice
        return first.split(";")[0].strip().lower()

    @cached_property
    def text(self) -> str:
        """The body decoded: UTF-8 when it is, else the declared charset, else Windows-1252.

        A label cut in the middle of a letter does not make a UTF-8 page another charset's: more letters
        right than wrong do.
        """
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError:
            text = self.body.decode("utf-8", "replace")
        if len(_NOT_ASCII.findall(text)) > text.count("\ufffd"):
            return text
        declared = _HEADER_CHARSET.search(self.headers.get("content-type", ""))
        meta = _META_CHARSET.search(self.body, 0, 4096)
        for label in (declared and declared[1], meta and meta[1].decode("ascii")):
            charset = _charset(label) if label else None
            if charset is not None:
                return self.body.decode(charset, "replace")
        return self.body.decode("cp1252", "replace")

    @cached_property
    def root(self) -> etree._Element | None:
        """The parsed document before its footer, where trap words live; None when nothing parses."""
        markup = self.body
        try:
            markup.decode("utf-8")
        except UnicodeDecodeError:
            markup = self.text.encode("utf-8", "replace")
        footer = _FOOTER.search(markup)
        if footer:
            markup = markup[: footer.start()]
        markup = markup.replace(b"\x00", b"")  # libxml2 would take it for the end
        if not markup.strip():
            return None
        parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        try:
            root = etree.fromstring(markup, parser)
        except (etree.LxmlError, ValueError):
            return None
        if root is None:
            return None
        etree.strip_elements(root, *_UNREAD_TAGS, with_tail=False)
        return root

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None when it is none, nested too deep, or ``null``."""
        try:
            return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError):  # numbers of thousands of digits and bad UTF-8 are ValueErrors
            return None

    @cached_property
    def may_be_cut(self) -> bool:
        """Whether the body may be a beginning only: a document that is opened and never closed.

        How it was framed does not count: a back-end that dies in mid-page ends its chunks politely.
        """
        if "</html" in self.text:  # nearly always; folding the case of a whole page is slow
            return False
        text = self.text.replace("\x00", "").lower()
        return "<html" in text and "</html" not in text


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_CHARSETS = {  # by Python's name; browsers read the first two as Windows-1252
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "cp1252": "cp1252",
    "iso8859-15": "iso8859-15",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
}


def _charset(label: str) -> str | None:
    """The charset of a declared label; None for what no page is written in (Python also knows codecs)."""
    try:
        return _CHARSETS.get(codecs.lookup(label).name)
    except LookupError:
        return None


_NOT_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
_FOOTER = re.compile(rb"<footer[\s>]", re.IGNORECASE)


def fold(text: str) -> str:
    """Text as it is compared: white space folded, typographic apostrophes straight, accents composed."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    return " ".join(text.split())


def visible_text(element: etree._Element) -> str:
    """The folded text a person reads in an element of ``Page.root``, from which scripts are gone."""
    if len(element):
        # several times faster than joining itertext(), and than a path's string()
        return fold(etree.tostring(element, method="text", encoding="unicode", with_tail=False))
    return fold(element.text or "")


_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figure", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "legend"),
        *("li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "td", "th", "tr", "ul"),
    )
)


def text_lines(element: etree._Element, leave_out: Collection[str] = ()) -> list[str]:
    """What a person reads in an element, one line a block, so that two versions can be compared.

    Elements whose tag is in ``leave_out`` are passed over with all they hold.
    """
    pieces: list[str] = []
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, node in walk:
        is_block = node.tag in _BLOCKS
        if event == "start":
            if is_block:
                pieces.append("\n")
            if node.tag in leave_out:
                walk.skip_subtree()
            elif node.text:
                pieces.append(node.text.replace("\n", " "))
        else:
            if is_block:
                pieces.append("\n")
            if node.tail and node is not element:
                pieces.append(node.tail.replace("\n", " "))
    text = "".join(pieces)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    return [" ".join(words) for line in text.split("\n") if (words := line.split())]


MAINTENANCE = ("maintenance", "site indisponible")


def is_maintenance(page: Page) -> bool:
    """Whether a whole HTML page says by its title or first heading that its site is being worked on."""
    if page.root is None or page.may_be_cut:
        return False
    titles = [visible_text(title).lower() for title in page.root.iter("title", "h1")]
    return any(word in title for title in titles for word in MAINTENANCE)


@dataclass(frozen=True, slots=True)
class CounterChoice:
    """A sub-choice found on a page: the platform's key and the words beside it."""

    key: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one page says. ``outcome`` is None while the funnel goes on."""

    rule: str
    outcome: Outcome | None = None
    step: str | None = None
    action: str | None = None  # where the page's form posts to, as written
    counters: tuple[CounterChoice, ...] = ()
    slots: tuple[Slot, ...] = ()
    slot_count: int | None = None
    counts_places: bool = False  # slot_count counts free places, of which one instant may have several
    horizon_end: date | None = None
    may_advance: bool = False  # the page bears the harmless button that leads to the next step
    is_wall: bool = False  # what refuses us stands before the whole host, whatever the status
    note: str | None = None
    facts: tuple[tuple[str, str], ...] = ()  # what else the page tells and is kept by date, by name


HTML = frozenset({"text/html", "application/xhtml+xml"})
JSON = frozenset({"application/json"})


def read_transport(page: Page, *, family: str, kinds: frozenset[str] = HTML) -> Reading | None:
    """What any family says of an answer that is not what it asked for: its status, an empty or cut body.

    Called after the family looked for its own sentences in the body. None: it is a whole 2xx answer of one
    of these ``kinds`` (media types).
    """
    status = page.status
    if status in {401, 403, 429}:
        return Reading(outcome=Outcome.BLOCKED, rule=f"http.{status}")
    if status in {404, 410}:
        return Reading(outcome=Outcome.GONE, rule=f"http.{status}")
    if 500 <= status <= 599:
        return Reading(outcome=Outcome.OVERLOADED, rule=f"http.{status}")
    if not 200 <= status <= 299:
        return Reading(outcome=Outcome.UNRECOGNISED, rule=f"http.status-{status}")
    if not page.body.strip():
        return Reading(outcome=Outcome.UNREACHABLE, rule="http.empty")
    if kinds is HTML and page.may_be_cut:
        return Reading(outcome=Outcome.UNREACHABLE, rule="http.truncated")
    if page.media_type and page.media_type not in kinds:
        kind = "html" if kinds is HTML else "its-kind"
        return Reading(outcome=Outcome.UNRECOGNISED, rule=f"{family}.unrecognised.not-{kind}")
    return None
