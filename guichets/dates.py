"""Dates as platforms write them: in addresses for machines, in French for people."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from guichets.items import DESK_TIME, DeskTime, Slot

MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
FRENCH_DATE = r"(?:\w+ )?(\d{1,2})(?:er)? (\w+) (\d{4})(?:,? à (\d{1,2}) ?[h:] ?(\d{2})?)?"
MACHINE_DATE = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?"

YEARS = range(1990, 2200)  # beyond, no date is one: zones could not even be put to it

_FRENCH = re.compile(FRENCH_DATE)
_MACHINE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?(?: ?(Z|UTC|[+-]?\d\d:?\d\d))?)?", re.ASCII
)


def read_machine_date(text: str) -> Slot | None:
    """A date of an address, its offset kept; without one in the desk's own time; None for no real date."""
    found = _MACHINE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        day = date.fromisoformat(found[1])
        if day.year not in YEARS:
            return None
        if found[2] is None:
            return Slot(day)
        starts = datetime.fromisoformat(f"{found[1]}T{found[2]}")
        if found[3] is None:
            return Slot(starts.replace(tzinfo=DESK_TIME))
        if found[3] in {"Z", "UTC"}:
            return Slot(starts.replace(tzinfo=UTC))
        offset = found[3] if found[3][0] in "+-" else f"+{found[3]}"  # a plus left unescaped is a space
        return Slot(datetime.fromisoformat(f"{starts.isoformat()}{offset}"))
    except ValueError:
        return None


def read_french_date(text: str) -> Slot | None:
    """The first date of a sentence, « lundi 13 décembre 2021 à 08h50 », in the desk's own time."""
    found = _FRENCH.search(text)
    if found is None or found[2].lower() not in MONTHS:
        return None
    try:
        day = date(int(found[3]), MONTHS.index(found[2].lower()) + 1, int(found[1]))
        if day.year not in YEARS:
            return None
        if found[4] is None:
            return Slot(day)
        hour, minute = int(found[4]), int(found[5] or 0)
        return Slot(datetime(day.year, day.month, day.day, hour, minute, tzinfo=DESK_TIME))
    except ValueError:  # 31 February
        return None


def wall_of(slot: Slot) -> datetime | None:
    """The hour as it is shown, without its zone; None for a day alone."""
    return slot.starts.replace(tzinfo=None) if isinstance(slot.starts, datetime) else None


def day_of(slot: Slot) -> date:
    return slot.starts.date() if isinstance(slot.starts, datetime) else slot.starts


def in_order(slot: Slot) -> tuple[date, bool, float]:
    """Key of the order of time; a day without an hour comes before the hours of its day."""
    if isinstance(slot.starts, datetime):
        return slot.starts.date(), True, slot.starts.timestamp()
    return slot.starts, False, 0.0


def in_zone(slot: Slot, zone: ZoneInfo) -> Slot:
    """The same slot in the zone of its desk; a day alone stays as it is."""
    starts = slot.starts
    if not isinstance(starts, datetime):
        return slot
    if isinstance(starts.tzinfo, DeskTime):
        starts = starts.replace(tzinfo=zone).astimezone(UTC)  # an hour that DST skips becomes a real one
    return Slot(starts.astimezone(zone))
