"""Scripts and style sheets that a page's host lets a browser keep: kept for the pages of later visits.

A browser would not ask for them again either. A visit that uses one rests on the record it was archived in.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from guichets.items import Evidence
from guichets.page import Page

KINDS = frozenset({"script", "stylesheet"})
LONGEST_SECONDS = 86_400.0  # whatever the host allows: a day's visits rest on records of that day
MOST_BYTES = 32 * 1024 * 1024
_MAX_AGE = re.compile(r"max-age=(\d{1,9})\b")


class Assets:
    """What one crawl keeps, by address; the one used longest ago goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Page, Evidence]] = OrderedDict()
        self._bytes = 0

    def find(self, url: str, now: float) -> tuple[Page, Evidence] | None:
        """The answer kept for an address, if it is fresh at ``now`` (monotonic seconds)."""
        found = self._kept.get(url)
        if found is None:
            return None
        if now >= found[0]:
            self._drop(url)
            return None
        self._kept.move_to_end(url)
        return found[1:]

    def keep(self, kind: str, page: Page, evidence: Evidence, now: float) -> None:
        """Keep an answer to GET, if its kind and its host allow."""
        seconds = fresh_seconds(page)
        if kind not in KINDS or seconds <= 0 or page.redirects or len(page.body) > MOST_BYTES // 4:
            return
        self._drop(page.url)
        self._kept[page.url] = (now + seconds, page, evidence)
        self._bytes += len(page.body)
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, url: str) -> None:
        found = self._kept.pop(url, None)
        if found is not None:
            self._bytes -= len(found[1].body)


def fresh_seconds(page: Page) -> float:
    """How long an answer may be used again without asking, as its host says; 0 where it says nothing."""
    said = page.headers.get("cache-control", "").lower()
    age = _MAX_AGE.search(said)
    if (
        page.status != 200
        or age is None
        or "no-store" in said
        or "no-cache" in said
        or page.headers.get("vary", "") == "*"
    ):
        return 0.0
    return min(float(age[1]), LONGEST_SECONDS)
