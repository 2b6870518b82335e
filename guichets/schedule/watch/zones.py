"""Wall time of a zone for whole arrays of instants."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from guichets.schedule.watch.arrays import Floats

DAY = 86_400
_STEP = 14 * DAY  # no zone changes its clock twice within it


def local_seconds(timezone: str, instants: Floats) -> Floats:
    """Unix seconds as a clock on the wall would count them; instants within some years of each other."""
    if not len(instants):
        return instants
    first, last = (datetime.fromtimestamp(float(at), UTC).year for at in (instants.min(), instants.max()))
    if first == last:
        bounds, offsets = _year(timezone, first)
    else:
        years = [_year(timezone, year) for year in range(first, last + 1)]
        bounds = np.concatenate([bounds for bounds, _ in years])
        offsets = np.concatenate([offsets for _, offsets in years])
    if len(bounds) == 1:
        alike: Floats = instants + offsets[0]
        return alike
    places = np.maximum(np.searchsorted(bounds, instants, side="right") - 1, 0)
    local: Floats = instants + offsets[places]
    return local


@cache
def _year(timezone: str, year: int) -> tuple[Floats, Floats]:
    """From when on in a year, in unix seconds, which offset holds."""
    zone = _zone(timezone)
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    bounds, offsets = [start], [_offset(zone, start)]
    low = start
    while low < end - 1:
        high = min(low + _STEP, end - 1)
        after = _offset(zone, high)
        if after != offsets[-1]:
            since, until = low, high
            while until - since > 1:
                middle = (since + until) // 2
                since, until = (middle, until) if _offset(zone, middle) == offsets[-1] else (since, middle)
            bounds.append(until)
            offsets.append(after)
        low = high
    return np.asarray(bounds, dtype=np.float64), np.asarray(offsets, dtype=np.float64)


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("Europe/Paris")  # a catalogue with a wrong zone still gets a plan


def _offset(zone: ZoneInfo, at: int) -> float:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
