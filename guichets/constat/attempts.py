"""What a constat tells of: one desk over some days, attempt by attempt. Facts, and no judgement yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from guichets.french import PARIS
from guichets.outcomes import Outcome


class Column(StrEnum):
    """What an attempt says, as the summary of weeks counts it. No two are ever added up."""

    OFFERED = "offered"
    NONE = "none"
    CLOSED = "closed"
    FAILING = "failing"
    CAPTCHA = "captcha"
    REFUSED = "refused"
    OTHER = "other"  # open, moved, gone, unrecognised: says nothing of dates
    OURS = "ours"  # our own failure: no attempt at all


COLUMN_OF: dict[Outcome, Column] = {
    Outcome.OFFERED: Column.OFFERED,
    Outcome.NONE: Column.NONE,
    Outcome.CLOSED: Column.CLOSED,
    Outcome.OVERLOADED: Column.FAILING,
    Outcome.UNREACHABLE: Column.FAILING,
    Outcome.CAPTCHA: Column.CAPTCHA,
    Outcome.BLOCKED: Column.REFUSED,
    Outcome.OPEN: Column.OTHER,
    Outcome.MOVED: Column.OTHER,
    Outcome.GONE: Column.OTHER,
    Outcome.UNRECOGNISED: Column.OTHER,
    Outcome.OBSERVER_FAULT: Column.OURS,
}


class Standing(StrEnum):
    """How an attempt stands with the archive."""

    SEALED = "sealed"  # its note and pages are there, under the seal of their day
    UNSEALED = "unsealed"  # they are there; the day has no seal yet
    PRUNED = "pruned"  # retention took them
    BROKEN = "broken"  # they are not what was archived, or the row is not the one that was noted
    ELSEWHERE = "elsewhere"  # another machine's archive holds them
    UNARCHIVED = "unarchived"  # nothing was ever archived of it


PROVED = frozenset({Standing.SEALED, Standing.UNSEALED})
"""Where what was seen can be shown. Only such attempts speak for the absence of dates."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days a constat covers, both included, by the clock of Paris."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return datetime.combine(self.first, time(), PARIS).astimezone(UTC)

    @property
    def until(self) -> datetime:
        """Left out."""
        return datetime.combine(self.last + timedelta(days=1), time(), PARIS).astimezone(UTC)

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskFacts:
    """The desk, in the catalogue's words."""

    id: str
    family: str
    departement: str
    departement_name: str
    office: str
    procedure: str
    label: str
    url: str
    valid_from: date | None
    valid_to: date | None
    moved_to: str | None
    counter_key: str | None = None  # None: the desk as a whole
    counter_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One visit, as far as it concerns the desk or counter asked for."""

    number: int  # of its line, from 1 on
    id: UUID
    at: datetime  # aware
    outcome: Outcome
    rule: str
    parser: str
    purpose: str
    standing: Standing
    why: str | None = None  # what is wrong with its proof, in French
    sentence: str | None = None  # shown by the site, where a page could be read
    first_slot: str | None = None  # the two earliest dates offered, if they are past by now
    second_slot: str | None = None
    http_status: int | None = None
    corrects: UUID | None = None  # the observation it replaces

    @property
    def column(self) -> Column:
        return COLUMN_OF[self.outcome]

    @property
    def is_contributed(self) -> bool:
        return self.purpose == "contributed"

    @property
    def is_ours(self) -> bool:
        """A visit of the robot that came about: what watching is made of."""
        return not self.is_contributed and self.column is not Column.OURS

    @property
    def is_without_date(self) -> bool:
        """The site itself said that nothing is free, or that the desk is closed; and we can show it.

        Never a failure, a captcha, a refusal or an unknown page; never a page that somebody gave, whose
        address and hour nobody of ours can vouch for.
        """
        return (
            self.column in (Column.NONE, Column.CLOSED)
            and not self.is_contributed
            and self.standing in PROVED
        )

    @property
    def is_offer(self) -> bool:
        """A date was seen: counted whoever saw it and whatever became of the proof."""
        return self.column is Column.OFFERED
