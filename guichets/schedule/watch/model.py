"""What goes into the watch and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from guichets.errors import GuichetsError


class WatchStateError(GuichetsError):
    """Raised when a snapshot of a desk cannot be read; the desk is then relearnt from its observations."""


class Reason(StrEnum):
    """Why a watch probe is made."""

    RELEASE = "release"  # a release is expected about now
    CYCLE = "cycle"  # openings recur at this minute of the hour
    FOLLOW_UP = "follow_up"  # the desk was open a moment ago: until when?
    EXPLORE = "explore"  # nothing is known of this hour, or not any more


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDesk:
    """What is known of a desk before it is looked at."""

    id: str
    host: str
    timezone: str  # IANA name
    family: str = ""
    departement: str = ""
    delay_seconds: float | None = None  # least time between two requests to its host; None: as everywhere


@dataclass(frozen=True, slots=True)
class Sighting:
    """One visit that was made, whatever its purpose."""

    desk_id: str
    at: datetime  # aware
    is_offered: bool | None  # None: the visit established nothing; it still counts for spacing and budget

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"{self.desk_id}: a sighting at {self.at} without a zone")


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """One watch probe to make."""

    desk_id: str
    at: datetime  # aware, UTC, within the planned minute
    reason: Reason
    weight: float  # 1 ÷ the probability with which this probe was drawn for this minute; 1 or more
    is_dense: bool  # inside a learnt release period: may come within 15 minutes of the desk's last visit


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntRelease:
    """One learnt habit of a desk, for people. Weekdays (0 = Monday) and times are the desk's own."""

    kind: str  # "weekly", "daily", "cycle" (within the hour) or "diffuse"
    weekdays: tuple[int, ...]
    local_time: time | None  # usual time of opening; None where there is none
    minutes_of_hour: tuple[int, ...]  # of a cycle
    spread_minutes: float
    usual_length_minutes: float | None  # None: no opening was seen to end
    confidence: float  # 0 to 1: share of the expected openings that came, carefully
    since: date  # local day of the oldest evidence of the present regime
    evidence: int  # sightings it rests on


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntDesk:
    """What has been learnt of one desk."""

    releases: tuple[LearntRelease, ...]
    weekly_map: tuple[tuple[float, ...], ...]  # 7 × 24, Monday first: expected openings per hour of the week
    sightings: int
    openings: int
