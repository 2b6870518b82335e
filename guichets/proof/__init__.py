"""What ties the archive to the database: rows to their proof, seals to a second keeper, pages to holds."""

from guichets.proof.check import IMPORT_WORKER, REPLAY_WORKER, Check, check_rows, count_rows
from guichets.proof.holds import Hold, add_hold, held, read_holds, release_hold
from guichets.proof.seals import published_seals, record_seals

__all__ = [
    "IMPORT_WORKER",
    "REPLAY_WORKER",
    "Check",
    "Hold",
    "add_hold",
    "check_rows",
    "count_rows",
    "held",
    "published_seals",
    "read_holds",
    "record_seals",
    "release_hold",
]
