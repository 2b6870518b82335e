"""The watch: learns when desks open, and allots the probes the baseline schedule leaves over.

Pure: no clock, no database, no file. Instants are arguments, aware, and chance comes from a seed.
"""

from guichets.schedule.watch.model import (
    LearntDesk,
    LearntRelease,
    PlannedProbe,
    Reason,
    Sighting,
    WatchedDesk,
    WatchStateError,
)
from guichets.schedule.watch.watch import Watch

__all__ = [
    "LearntDesk",
    "LearntRelease",
    "PlannedProbe",
    "Reason",
    "Sighting",
    "Watch",
    "WatchStateError",
    "WatchedDesk",
]
