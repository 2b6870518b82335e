"""Evidence: the archived pages observations rest on, and the proof that nobody changed them since.

Knows nothing of spiders or pipelines: exchanges come in, references go out.
"""

from guichets.evidence.archive import ArchiveWriter
from guichets.evidence.errors import EvidenceError
from guichets.evidence.exchange import EvidenceRef, Exchange
from guichets.evidence.imports import read_contribution
from guichets.evidence.prune import carry_out, plan_prune
from guichets.evidence.reader import ArchivedPage, ArchiveReader
from guichets.evidence.repair import repair
from guichets.evidence.scrub import scrub_headers, scrub_html, scrub_text, scrub_url
from guichets.evidence.seal import prove, read_seals, seal_until
from guichets.evidence.verify import verify

__all__ = [
    "ArchiveReader",
    "ArchiveWriter",
    "ArchivedPage",
    "EvidenceError",
    "EvidenceRef",
    "Exchange",
    "carry_out",
    "plan_prune",
    "prove",
    "read_contribution",
    "read_seals",
    "repair",
    "scrub_headers",
    "scrub_html",
    "scrub_text",
    "scrub_url",
    "seal_until",
    "verify",
]
