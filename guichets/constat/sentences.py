"""The sentence of a page that decided what was read from it.

Readers decide by landmarks and do not tell which words those were. They are found by trial: a sentence is
decisive when the page without it reads otherwise. So no list of sentences has to be kept beside the readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from lxml import etree

from guichets.outcomes import Outcome
from guichets.page import HTML, Page, Reading, fold, text_lines, visible_text
from guichets.visit import SHOWN

LONGEST = 300  # characters of a sentence that are shown; longer ones end with […]
SHORTEST = 8  # characters of a text that may be a sentence
MOST_TRIED = 400  # texts of one page
CONVERSATION = 101  # the status of a WebSocket's messages
_HEADINGS = ("h1", "h2", "h3")
_QUOTED = re.compile(r"""(["'])((?:(?!\1)[^\\\n]|\\.)*)\1""")
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

Read = Callable[[Page], Reading]
_Read = tuple[Outcome | None, str]  # outcome and rule


class Sentences:
    """Finds decisive sentences, and remembers those of pages that read the same to a person."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[tuple[str | None, ...], str | None] = {}

    def read(self, page: Page) -> Reading:
        """What the page alone says."""
        return self._read(page)

    def of(self, page: Page) -> str | None:
        """The decisive sentence, else the page's headings after « [titre] »; None where it has neither."""
        if page.status == CONVERSATION:
            return None  # messages between programs: they show no sentence to anybody
        reading = self._read(page)
        if page.url.startswith(SHOWN):  # a part of a visit: its message is what the reader took from it
            said = dict(reading.facts).get("messages")
            if isinstance(said, str) and said:
                return _cut(said)
        usual = (reading.outcome, reading.rule)
        key = (*usual, *_lines(page))  # a page that is cut short may show the same words
        if key not in self._known:
            self._known[key] = self._find(page, usual)
        return self._known[key]

    def _find(self, page: Page, usual: _Read) -> str | None:
        decisive: list[str] = []
        if usual[0] is not None and usual[0] is not Outcome.OFFERED:
            decisive = list(self._decisive(page, usual))
        if decisive:
            return _cut(max(decisive, key=len))
        headings = dict.fromkeys(_headings(page))  # each once
        return _cut(f"[titre] {' — '.join(headings)}") if headings else None

    def _decisive(self, page: Page, usual: _Read) -> Iterator[str]:
        for without, sentence in self._trials(page, usual):
            if self._read_as(page, without) != usual:
                yield sentence

    def _trials(self, page: Page, usual: _Read) -> Iterator[tuple[bytes, str]]:
        """The page without each of its texts in turn, and that text as a person reads it."""
        if page.json is not None:
            yield from _trials_of_data(page.json)
        elif _is_script(page):
            yield from _trials_of_script(page.text)
        elif page.root is not None:
            parsed = etree.tostring(page.root, encoding="utf-8", method="html")
            if self._read_as(page, parsed) == usual:
                yield from _trials_of_markup(page.root)
            else:  # its scripts decide too, and the parsed page has none
                yield from _trials_of_source(page.text, page.root)

    def _read_as(self, page: Page, body: bytes) -> _Read:
        reading = self._read(Page(url=page.url, status=page.status, headers=page.headers, body=body))
        return reading.outcome, reading.rule


def reader_of(readers: Mapping[str, Read]) -> Read:
    """A family's reader of pages; what a browser showed has one of its own where the family has it."""

    def read(page: Page) -> Reading:
        part = "shown" if page.url.startswith(SHOWN) and "shown" in readers else "page"
        return readers[part](page)

    return read


def _is_script(page: Page) -> bool:
    return page.media_type not in HTML | {""}


def _trials_of_markup(root: etree._Element) -> Iterator[tuple[bytes, str]]:
    for element, place in islice(_places_of_texts(root), MOST_TRIED):
        kept = getattr(element, place)
        setattr(element, place, " ")
        without = etree.tostring(root, encoding="utf-8", method="html")
        setattr(element, place, kept)
        yield without, fold(kept)


def _trials_of_source(source: str, root: etree._Element) -> Iterator[tuple[bytes, str]]:
    texts = dict.fromkeys(getattr(element, place) for element, place in _places_of_texts(root))
    for text in islice(texts, MOST_TRIED):
        if text in source:
            yield source.replace(text, " ").encode("utf-8", "replace"), fold(text)


def _places_of_texts(root: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    for element in list(root.iter(etree.Element)):
        for place in ("text", "tail"):
            text = getattr(element, place) or ""
            # one with control characters may be read, but not be put back
            if len(fold(text)) >= SHORTEST and _NOT_XML.search(text) is None:
                yield element, place


def _trials_of_data(data: Any) -> Iterator[tuple[bytes, str]]:
    for holder, key in _texts_in(data):
        kept = holder[key]
        if len(fold(kept)) < SHORTEST:
            continue
        holder[key] = ""
        without = json.dumps(data).encode()
        holder[key] = kept
        yield without, fold(kept)


def _trials_of_script(text: str) -> Iterator[tuple[bytes, str]]:
    for found in islice(_QUOTED.finditer(text), MOST_TRIED):
        words = fold(_ESCAPED.sub(lambda one: chr(int(one[1], 16)), found[2]))
        if len(words) >= SHORTEST and " " in words:
            yield f"{text[: found.start(2)]}{text[found.end(2) :]}".encode(), words


def _texts_in(data: Any) -> Iterator[tuple[Any, Any]]:
    """Where texts stand in JSON data: the object or list, and the key or place."""
    places = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(places):
        if isinstance(value, str):
            yield data, key
        else:
            yield from _texts_in(value)


def _lines(page: Page) -> list[str]:
    if page.json is not None or _is_script(page):
        return [page.text]
    return text_lines(page.root) if page.root is not None else []


def _headings(page: Page) -> list[str]:
    if page.root is None or page.json is not None or _is_script(page):
        return []
    found = [visible_text(heading) for heading in page.root.iter(*_HEADINGS)]
    return [words for words in found if words] or [
        words for title in page.root.iter("title") if (words := visible_text(title))
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} […]"
