"""What a constat tells, gathered and judged, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from guichets.constat.attempts import Attempt, Days, DeskFacts
from guichets.constat.comparison import Compared
from guichets.constat.criterion import Judgement
from guichets.constat.gather import Correction, Erratum
from guichets.constat.pages import Shot
from guichets.constat.watching import Gap, Stretch, WeekTally
from guichets.evidence.seal import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that the document tells."""

    desk: DeskFacts
    days: Days
    created: datetime
    contact: str
    attempts: Sequence[Attempt]
    judgement: Judgement
    weeks: Sequence[WeekTally]
    gaps: Sequence[Gap]
    stretch: Stretch | None
    comparison: Sequence[Compared]
    shots: Sequence[Shot]
    shots_left_out: int
    pictures: Mapping[str, Sequence[str]]  # name of each page drawn -> what its reader must know
    no_pictures: str | None  # why there are none
    corrections: Sequence[Correction]
    errata: Sequence[Erratum]
    seals: Sequence[Seal]  # of the period
    stamped: int  # days of the period with a third party's time-stamp
    warnings: Sequence[str]
    data: str  # SHA-256 of all data files
