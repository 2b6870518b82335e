"""Reading one page of each family against parsel parsing the same bytes, processor time on one core.

The pages are those of ``tests/pages``, each as it stands and inside the menus of a whole site. Answers that
are no HTML are left out: parsel has no business there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import parsel

from guichets.page import Page, Reading
from tests.bench.crawl import pin_to
from tests.bench.replay import FRAME
from tests.spiders.page_table import Expected, expected_pages, families_with_pages, reader_of

ROUNDS = 7
TIMES = 20  # each page per round
GOAL = 1.5


def main() -> None:
    pin_to(0)
    print(f"Reading a page ÷ parsing it with parsel   goal {GOAL} or less")
    for family in families_with_pages():
        pages = [expected for expected in expected_pages(family) if _is_html(expected)]
        bare = _ratio(pages, lambda body: body)
        framed = _ratio(pages, _framed)
        print(
            f"  {family:<20} {bare:5.2f} as it stands  {framed:5.2f} inside a whole site  {len(pages)} pages"
        )


def _is_html(expected: Expected) -> bool:
    return b"</html>" in expected.page.body and b"<body" in expected.page.body


def _framed(body: bytes) -> bytes:
    place = body.index(b">", body.index(b"<body")) + 1
    return body[:place] + FRAME + body[place:]


def _ratio(rows: list[Expected], dress: Callable[[bytes], bytes]) -> float:
    """Median over the rounds; both halves of a round are timed one after the other."""
    work = [(reader_of(row), replace(row.page, body=dress(row.page.body))) for row in rows]
    return median(_seconds(work, _read) / _seconds(work, _parse) for _ in range(ROUNDS))


def _seconds(
    work: list[tuple[Callable[[Page], Reading], Page]],
    each: Callable[[Callable[[Page], Reading], Page], object],
) -> float:
    began = time.process_time()
    for read, page in work:
        for _ in range(TIMES):
            each(read, page)
    return time.process_time() - began


def _read(read: Callable[[Page], Reading], page: Page) -> Reading:
    return read(replace(page))  # a page remembers what was parsed


def _parse(_: Callable[[Page], Reading], page: Page) -> object:
    return parsel.Selector(body=page.body, encoding="utf-8").root
