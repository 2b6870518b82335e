"""Evidence: the archived pages observations rest on, and the proof that nobody changed them since.

Knows nothing of spiders or pipelines: exchanges come in, references go out.
"""

from guichets.evidence.archive import ArchiveWriter
from guichets.evidence.errors import EvidenceError
from guichets.evidence.exchange import EvidenceRef, Exchange
from guichets.evidence.reader import ArchivedPage, ArchiveReader
from guichets.evidence.repair import repair

__all__ = [
    "ArchiveReader",
    "ArchiveWriter",
    "ArchivedPage",
    "EvidenceError",
    "EvidenceRef",
    "Exchange",
    "repair",
]
