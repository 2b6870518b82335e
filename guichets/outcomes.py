"""The closed list of outcomes a probe may have, and how counters' outcomes make a desk's.

An error can never become a zero, and an unknown page can never become a slot: each outcome is decided
by positive landmarks, and what no rule recognises is ``unrecognised``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class Outcome(StrEnum):
    """What one probe established about one desk or counter at one instant."""

    OFFERED = "offered"  # at least one slot can be chosen
    NONE = "none"  # the platform itself says nothing is free
    OPEN = "open"  # requests are accepted, and the platform tells nothing about slots
    CLOSED = "closed"  # switched off by the administration
    MOVED = "moved"  # the desk says the procedure is now elsewhere
    CAPTCHA = "captcha"  # a human check stands before the answer
    BLOCKED = "blocked"  # our visit was refused, or robots.txt forbids it
    OVERLOADED = "overloaded"  # the platform answers that it is failing
    UNREACHABLE = "unreachable"  # DNS, TCP, TLS, time-out, empty or truncated reply
    GONE = "gone"  # 404/410 or the platform's « unknown form »
    UNRECOGNISED = "unrecognised"  # a page on which no rule's landmarks hold
    OBSERVER_FAULT = "observer_fault"  # our side failed

    @property
    def in_french(self) -> str:
        """A short sentence for people."""
        return _IN_FRENCH[self]


_IN_FRENCH: dict[Outcome, str] = {
    Outcome.OFFERED: "au moins un rendez-vous est proposé",
    Outcome.NONE: "la plateforme dit qu'aucun rendez-vous n'est libre",
    Outcome.OPEN: "les demandes sont acceptées ; la plateforme ne dit rien des rendez-vous",
    Outcome.CLOSED: "l'administration a fermé ce guichet",
    Outcome.MOVED: "la démarche se fait maintenant ailleurs",
    Outcome.CAPTCHA: "un contrôle humain précède la réponse ; nous nous arrêtons là",
    Outcome.BLOCKED: "notre visite a été refusée",
    Outcome.OVERLOADED: "la plateforme répond qu'elle est en panne",
    Outcome.UNREACHABLE: "le site n'a pas répondu",
    Outcome.GONE: "ce guichet n'existe plus",
    Outcome.UNRECOGNISED: "page non reconnue : elle ne prouve rien",
    Outcome.OBSERVER_FAULT: "la visite a échoué de notre côté",
}


class OutcomeGroup(StrEnum):
    """The columns people read: several outcomes shown as one."""

    OFFERED = "offered"
    NONE = "none"
    CLOSED = "closed"
    DYSFUNCTION = "dysfunction"
    BARRIER = "barrier"
    UNRECOGNISED = "unrecognised"
    OTHER = "other"


GROUP_OF: dict[Outcome, OutcomeGroup] = {
    Outcome.OFFERED: OutcomeGroup.OFFERED,
    Outcome.NONE: OutcomeGroup.NONE,
    Outcome.CLOSED: OutcomeGroup.CLOSED,
    Outcome.OVERLOADED: OutcomeGroup.DYSFUNCTION,
    Outcome.UNREACHABLE: OutcomeGroup.DYSFUNCTION,
    Outcome.CAPTCHA: OutcomeGroup.BARRIER,
    Outcome.BLOCKED: OutcomeGroup.BARRIER,
    Outcome.UNRECOGNISED: OutcomeGroup.UNRECOGNISED,
    Outcome.OPEN: OutcomeGroup.OTHER,
    Outcome.MOVED: OutcomeGroup.OTHER,
    Outcome.GONE: OutcomeGroup.OTHER,
    Outcome.OBSERVER_FAULT: OutcomeGroup.OTHER,
}

RATED = frozenset({Outcome.OFFERED, Outcome.NONE, Outcome.CLOSED})
"""Outcomes that enter the availability rate; ``offered`` is its numerator."""


def best_of(outcomes: Iterable[Outcome]) -> Outcome:
    """The desk's outcome from its counters': any ``offered`` wins; else the one most counters share.

    ``none`` wins ties; other ties go to the outcome that comes first in the list of outcomes.
    Raises ValueError when there is no counter, because absence says nothing.
    """
    counts = Counter(outcomes)
    if not counts:
        raise ValueError("no counter outcome to choose from: a desk without counters has its own outcome")
    if Outcome.OFFERED in counts:
        return Outcome.OFFERED
    most = max(counts.values())
    tied = [outcome for outcome in Outcome if counts[outcome] == most]
    return Outcome.NONE if Outcome.NONE in tied else tied[0]
