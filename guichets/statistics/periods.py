"""Periods of local days that figures are told for: quarters, and the blocks of seven days in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from guichets.errors import ArgumentError

BLOCK_DAYS = 7  # each block holds every weekday once
_WRITTEN = re.compile(r"(\d{4})-[QqTt]([1-4])")


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """Three months of a year, by the local days of each desk."""

    year: int
    number: int  # 1 to 4

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 4 or not 2000 <= self.year <= 2200:
            raise ValueError(f"there is no quarter {self.number} of {self.year}")

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"

    @property
    def first(self) -> date:
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def last(self) -> date:
        return self.after.first - timedelta(days=1)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def after(self) -> Quarter:
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    @property
    def before(self) -> Quarter:
        return Quarter(self.year - (self.number == 1), (self.number - 2) % 4 + 1)

    @property
    def year_before(self) -> Quarter:
        return Quarter(self.year - 1, self.number)

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def block_of(self, day: date) -> int:
        """Number of the day's block from 0; the days beyond the last whole block belong to it."""
        return block_of(day, self.first, self.last)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One month, by the local days of each desk."""

    first: date

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def last(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """Seven days from a Monday, by the local days of each desk."""

    first: date

    def __str__(self) -> str:
        year, number, _ = self.first.isocalendar()
        return f"{year}-W{number:02}"

    @property
    def last(self) -> date:
        return self.first + timedelta(days=6)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Any days somebody asks for, both included, by the local days of each desk."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first}/{self.last}"


Period = Quarter | Month | Week | Span


def block_of(day: date, first: date, last: date) -> int:
    """Number from 0 of the block of seven days that holds a day of a period."""
    whole = max(1, ((last - first).days + 1) // BLOCK_DAYS)
    return min((day - first).days // BLOCK_DAYS, whole - 1)


def quarter_of(day: date) -> Quarter:
    return Quarter(day.year, (day.month + 2) // 3)


def read_quarter(text: str) -> Quarter:
    """``2026-Q3`` or ``2026-T3``. Raises ArgumentError."""
    found = _WRITTEN.fullmatch(text.strip())
    try:
        if found:
            return Quarter(int(found[1]), int(found[2]))
    except ValueError:
        pass
    raise ArgumentError(f'--period: "{text}" is not a quarter: write 2026-Q3')


def quarters_between(first: date, last: date) -> Iterator[Quarter]:
    """Every quarter that holds a day from ``first`` to ``last``, in order."""
    quarter = quarter_of(first)
    while quarter.first <= last:
        yield quarter
        quarter = quarter.after
