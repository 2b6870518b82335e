"""The hand-made pages of a family and what each must be read as: ``tests/pages/<family>/expected.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guichets.page import Page

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
        return f"{reader}-{self.file}-{step}-{self.row.get('status', 200)}{headers}"

    @property
    def page(self) -> Page:
        body = (PAGES / self.family / self.file).read_bytes()
        return Page(self.row["url"], self.row.get("status", 200), self.row.get("headers", {}), body)


def expected_pages(family: str) -> list[Expected]:
    """The rows of a family's table, in the order of the file."""
    table = tomllib.loads((PAGES / family / "expected.toml").read_text(encoding="utf-8"))
    return [Expected(family, row["file"], row) for row in table["page"]]
