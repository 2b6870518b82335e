"""What can go wrong with evidence, as one family of errors.

EvidenceError               a person can act on it; one line: what, where, what to do
├── ArchiveError            a record or file of the archive cannot be read as it stands
│   ├── BrokenRecord        truncated, wrong length, bad checksum, bad digest, not WARC
│   ├── BodyTooLarge        a body unpacks to more than the limit (a bomb, or no page of ours)
│   ├── UndecodableBody     wrong chunks, bad or unknown content coding
│   └── RecordPruned        the record went by retention; its digest is still in the sealed list
├── ImportRefused           a contributed file refused whole; nothing of it was stored
├── SealError               a day cannot be sealed now, or seals.txt is not readable
└── TimestampError          the time-stamp authority did not answer, or its answer proves nothing
"""

from __future__ import annotations

from guichets.errors import GuichetsError


class EvidenceError(GuichetsError):
    """Raised for evidence that cannot be written, read, sealed or imported."""


class ArchiveError(EvidenceError):
    """Raised by readers of the archive; names the file and the offset."""


class BrokenRecord(ArchiveError):
    """The bytes are not one whole, sound WARC record."""


class BodyTooLarge(ArchiveError):
    """Unpacking stopped at the limit, before memory was taken."""


class UndecodableBody(ArchiveError):
    """The transfer or content coding of a body does not hold."""


class RecordPruned(ArchiveError):
    """The record was removed by retention; its tombstone says when."""


class ImportRefused(EvidenceError):
    """A contributed file that is not taken; its text says why, without repeating personal data."""


class SealError(EvidenceError):
    """A day that cannot be sealed, or a seals file that cannot be read."""


class TimestampError(EvidenceError):
    """No valid RFC 3161 time-stamp could be had or verified."""
