"""The past read again: archived pages through today's readers, and the erratum when that changes anything.

Knows no spider: who calls passes the families' readers and walks in.
"""

from guichets.replay.apply import Erratum, apply
from guichets.replay.family import Family, Normalise
from guichets.replay.reread import Change, NotReplayed, reread
from guichets.replay.run import Replay, run
from guichets.replay.visits import RecordedVisit, Selection

__all__ = [
    "Change",
    "Erratum",
    "Family",
    "Normalise",
    "NotReplayed",
    "RecordedVisit",
    "Replay",
    "Selection",
    "apply",
    "reread",
    "run",
]
