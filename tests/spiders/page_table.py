"""The hand-made pages of a family and what each must be read as: ``tests/pages/<family>/expected.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from guichets.page import Page, Reading, Redirect

PAGES = Path(__file__).resolve().parent.parent / "pages"


@dataclass(frozen=True)
class Expected:
    """One row: an answer, and what must be read from it."""

    family: str
    file: str
    row: dict[str, Any]

    @property
    def id(self) -> str:
        headers = "".join(f"-{value}" for value in self.row.get("headers", {}).values())
        reader = self.row.get("reader", "page")
        step = self.row["url"].rpartition("/")[2]
        return f"{self.family}-{reader}-{self.file}-{step}-{self.row.get('status', 200)}{headers}"

    @property
    def page(self) -> Page:
        body = (PAGES / self.family / self.file).read_bytes()
        redirects = tuple(Redirect(status, url) for status, url in self.row.get("redirects", []))
        return Page(
            self.row["url"], self.row.get("status", 200), self.row.get("headers", {}), body, redirects
        )


def families_with_pages() -> list[str]:
    return sorted(path.parent.name for path in PAGES.glob("*/expected.toml"))


def reader_of(expected: Expected) -> Callable[[Page], Reading]:
    """The reader that the row names, "page" unless it says otherwise."""
    loader = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["spiders"]}))
    found: Callable[[Page], Reading] = loader.load(expected.family).readers[
        expected.row.get("reader", "page")
    ]
    return found


def expected_pages(family: str) -> list[Expected]:
    """The rows of a family's table, in the order of the file."""
    table = tomllib.loads((PAGES / family / "expected.toml").read_text(encoding="utf-8"))
    return [Expected(family, row["file"], row) for row in table["page"]]
