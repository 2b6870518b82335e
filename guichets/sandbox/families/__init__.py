"""The platform families the sandbox can play: one module each, found by its file.

A family's module holds ``FAMILY``, an object of the shape below. It draws what is its own of a desk, says
its address, and answers requests; hosts, faults, sessions, lives, ledger and truth are common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from guichets.outcomes import Outcome
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import Scene, Stage

if TYPE_CHECKING:
    from guichets.sandbox.plans import DeskPlan
    from guichets.sandbox.play import CounterNow, Play, Situation


@dataclass(frozen=True, slots=True)
class Draft:
    """A family's own part of a desk."""

    number: int  # what the address holds, unique on its host
    counters: Mapping[str, str]  # the platform's key of each sub-choice -> its label
    manners: Any  # a frozen dataclass of the family: how this site behaves


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as families see it."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]  # of a form body, in its order
    session: str  # the cookie's value, or a new one
    origin: str  # http://name:port of the host
    host: int
    title: str  # of the site
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case

    def parameter(self, name: str) -> str | None:
        """The first value of a name in the query."""
        return next((value for known, value in self.query if known == name), None)

    def field(self, name: str) -> str | None:
        return next((value for known, value in self.fields if known == name), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a family answers, before faults befall it."""

    reply: Reply
    desk: DeskPlan | None = None
    situation: Situation | None = None  # what the desk was living, at the visit's instant
    stage: Stage | None = None  # ANSWER for a page that tells, CALENDAR for one after it
    counter: str | None = None
    violation: str | None = None  # name of the tripwire this request hit


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pages of a visit let one read of a counter's slots."""

    slots: tuple[datetime | date, ...] = ()  # distinct, sorted, in the desk's zone
    horizon: date | None = None  # last day the pages cover
    count: int | None = None  # of free places, where the pages tell it; None: as many as slots


class Family(Protocol):
    """What a family's module provides."""

    name: str
    cookie: str  # name of the session's cookie; empty where there is none
    scenes: tuple[Scene, ...]
    departement: str | None  # the only one it serves: 75, or 99 for consulates; None: any
    office: str  # what receives people there, such as Préfecture
    overload_scene: str  # what a site plays in its overload hours
    realistic: Mapping[str, float]  # scenes of its own in the realistic mixture, with their percentages

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        """Draw a desk; numbers in ``taken`` are in use on its host, and the new ones are added."""

    def entry(self, desk: DeskPlan) -> str:
        """Path of the desk's first page, as the catalogue writes it."""

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        """What the catalogue says beside the address."""

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        """What robots.txt must disallow to forbid the desk."""

    def counters(self, desk: DeskPlan, manners: Any, visit: int) -> Mapping[str, str]:
        """The sub-choices a visit finds; empty for a desk without."""

    def ends_before_choice(self, manners: Any, counters: tuple[CounterNow, ...]) -> bool:
        """Whether a visit has its verdict before it sees the sub-choices."""

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        """What an honest visit makes of a counter: its outcome, or what stands before it."""

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        """What a visit can read of an offering counter's slots."""

    def tripwire(self, call: Call) -> str | None:
        """Name of the rule a request breaks wherever it is sent; None for a permitted one."""

    def answer(self, call: Call, play: Play) -> Answer | None:
        """The answer; None when the path is no desk's of this family."""

    def new_session(self) -> str:
        """A fresh value for the cookie."""


@runtime_checkable
class ListsWhatIsFree(Protocol):
    """A family whose pages list a sub-choice only while it has something free."""

    def seen(self, situation: Situation) -> tuple[CounterNow, ...]:
        """The counters a visit can tell apart, in place of the situation's."""


@runtime_checkable
class DatesMoreThanOffers(Protocol):
    """A family whose pages tell a horizon without an offer: a calendar is full, or behind a captcha."""

    dated: frozenset[Outcome]  # of counters, of which ``shown`` is asked


@cache
def families() -> Mapping[str, Family]:
    """Every family that has a module here, by name."""
    found: dict[str, Family] = {}
    for module in iter_modules(__path__):
        if not module.name.startswith("_"):
            family: Family = import_module(f"{__name__}.{module.name}").FAMILY
            found[family.name] = family
    return found
