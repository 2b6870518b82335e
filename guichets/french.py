"""Words of ours that people read in French: outcomes in short, and instants on the clock of Paris."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from guichets.dates import MONTHS
from guichets.outcomes import Outcome

PARIS = ZoneInfo("Europe/Paris")
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
OUTCOMES: Mapping[str, str] = {
    Outcome.OFFERED: "des rendez-vous sont proposés",
    Outcome.NONE: "aucun rendez-vous proposé",
    Outcome.OPEN: "demandes acceptées, sans indication de créneau",
    Outcome.CLOSED: "fermé par l'administration",
    Outcome.MOVED: "démarche déplacée ailleurs",
    Outcome.CAPTCHA: "contrôle anti-robot avant la réponse",
    Outcome.BLOCKED: "visite refusée",
    Outcome.OVERLOADED: "service en panne ou surchargé",
    Outcome.UNREACHABLE: "site injoignable",
    Outcome.GONE: "page disparue",
    Outcome.UNRECOGNISED: "page non reconnue",
    Outcome.OBSERVER_FAULT: "défaillance de notre côté",
}


def day_in_words(day: date) -> str:
    """« vendredi 1er mai 2026 »"""
    first = "1er" if day.day == 1 else str(day.day)
    return f"{DAYS[day.weekday()]} {first} {MONTHS[day.month - 1]} {day.year}"


def in_paris(instant: datetime) -> str:
    """« vendredi 1er mai 2026 à 00:00:00 (heure de Paris, UTC+0200) »"""
    local = instant.astimezone(PARIS)
    return f"{day_in_words(local.date())} à {local:%H:%M:%S} (heure de Paris, UTC{local:%z})"
