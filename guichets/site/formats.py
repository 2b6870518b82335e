"""Numbers, shares and dates as people read them, in French and in English."""

from __future__ import annotations

from datetime import date

from guichets.statistics.intervals import Share
from guichets.statistics.periods import Quarter

FRENCH, ENGLISH = "fr", "en"
LANGUAGES = (FRENCH, ENGLISH)
LONGEST_LABEL = 160  # characters of a label shown; some are pages long
_NARROW = "\N{NARROW NO-BREAK SPACE}"
_HARD = "\N{NO-BREAK SPACE}"
_MONTHS = {
    FRENCH: (
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
    ENGLISH: (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}


def number(value: int | float, language: str, decimals: int = 0) -> str:
    text = f"{value:,.{decimals}f}"
    if language == ENGLISH:
        return text
    return text.replace(",", _NARROW).replace(".", ",")


def percent(share: float | None, language: str) -> str:
    """Whole per cents, tenths below ten: more would promise what no probe knows. None is a dash."""
    if share is None:
        return "–"
    decimals = 1 if 0 < share < 0.1 or 0.9 < share < 1 else 0
    if 0 < share < 0.0005:
        return ("moins de 0,1" + _HARD + "%") if language == FRENCH else "under 0.1%"
    text = number(100 * share, language, decimals)
    return text + (_HARD + "%" if language == FRENCH else "%")


def interval(share: Share | None, language: str) -> str:
    """« 1,2 % à 3,4 % »."""
    if share is None:
        return "–"
    joint = " à " if language == FRENCH else " to "
    low, high = percent(share.low, language), percent(share.high, language)
    return low if low == high else low + joint + high


def day(value: date | None, language: str) -> str:
    if value is None:
        return "–"
    first = "1er" if value.day == 1 and language == FRENCH else str(value.day)
    return f"{first} {_MONTHS[language][value.month - 1]} {value.year}".replace(" ", _HARD, 1)


def quarter(value: Quarter, language: str) -> str:
    if language == FRENCH:
        return f"{'1er' if value.number == 1 else f'{value.number}e'} trimestre {value.year}"
    return f"quarter {value.number} of {value.year}"


def days(count: int | None, language: str) -> str:
    if count is None:
        return "–"
    word = ("jour" if language == FRENCH else "day") + (
        "s" if count > 1 or (count == 0 and language == ENGLISH) else ""
    )
    return f"{number(count, language)}{_HARD}{word}"


def minutes(count: int, language: str) -> str:
    """A length of time, in the unit that suits it."""
    if count < 120:
        return f"{count}{_HARD}min"
    if count < 72 * 60:
        return f"{round(count / 60)}{_HARD}h"
    return days(round(count / 1440), language)


def label(text: str) -> str:
    """A label of a site, cut where nobody reads on; control characters left out."""
    cleaned = " ".join("".join(part if part.isprintable() else " " for part in text).split())
    return cleaned if len(cleaned) <= LONGEST_LABEL else cleaned[: LONGEST_LABEL - 1].rstrip() + "…"
