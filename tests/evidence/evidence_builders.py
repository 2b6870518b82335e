"""Exchanges, instants and identifiers for the tests of the evidence library: same input, same bytes."""

from __future__ import annotations

import gzip
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from guichets.evidence import ArchiveWriter
from guichets.evidence.exchange import EvidenceRef, Exchange
from guichets.note import Note

START = datetime(2025, 5, 13, 7, 12, 44, 123456, tzinfo=UTC)
AGENT = b"Guichets/0.1.0 (+https://guichets.example/robot)"
NO_SLOT = (
    "<html><body><div id='inner_Booking'><h2>Vérification de disponibilité</h2>"
    "<form id='FormBookingCreate'>Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement.</form></div></body></html>"
)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, instant: datetime = START) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant

    def forward(self, **amount: float) -> None:
        self.instant += timedelta(**amount)


def seeded_ids(seed: int = 1) -> Callable[[], uuid.UUID]:
    source = random.Random(seed)
    return lambda: uuid.UUID(int=source.getrandbits(128), version=4)


def page_bytes(number: int = 0, size: int = 6000) -> bytes:
    """A page of its own for each number."""
    source = random.Random(number)
    words = ["préfecture", "rendez-vous", "titre", "séjour", "guichet", "planning", "demande", "horaire"]
    text = " ".join(source.choice(words) + str(source.randrange(1000)) for _ in range(size // 12))
    return f"<!-- {number} -->{NO_SLOT}<p>{text}</p>".encode()


def write_noted(writer: ArchiveWriter, sent: Exchange) -> EvidenceRef:
    """Archive a page and the note of what was read from it."""
    ref = writer.write_exchange(sent)
    note = Note(row=ref.sha256, desk="92-nanterre-remise-titre", outcome="none", rule="ezbooking.none.step2")
    record_id = uuid.uuid5(uuid.NAMESPACE_OID, ref.record_id).urn
    writer.write_note(note, record_id=record_id, at=sent.finished_at, rests_on=[ref.record_id])
    return ref


def exchange(
    body: bytes = NO_SLOT.encode(),
    *,
    at: datetime = START,
    url: str = "https://www.hauts-de-seine.gouv.fr/booking/create/12083/2",
    method: str = "GET",
    request_body: bytes = b"",
    session: str = "k3v9fj2mq8s7t6r5p4n3m2l1k0",
    status: int = 200,
    compress: bool = True,
    ip: str | None = "185.24.185.1",
) -> Exchange:
    """An exchange with the headers of a real préfecture site, its body compressed as there."""
    raw = gzip.compress(body, mtime=0) if compress else body
    stamp = at.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
    response_headers = [
        (b"Date", stamp),
        (b"Server", b"Apache"),
        (b"Cache-Control", b"no-cache, must-revalidate"),
        (b"Pragma", b"no-cache"),
        (b"Expires", b"Mon, 26 Jul 1997 05:00:00 GMT"),
        (b"Last-Modified", stamp),
        (b"X-Powered-By", b"eZ Publish"),
        (b"Served-by", b"www.hauts-de-seine.gouv.fr"),
        (b"Content-language", b"fr-FR"),
        (b"Vary", b"Accept-Encoding"),
        (b"Set-Cookie", b"eZSESSID=" + session.encode() + b"; path=/"),
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"Content-Length", str(len(raw)).encode()),
    ]
    if compress:
        response_headers.append((b"Content-Encoding", b"gzip"))
    request_headers = [
        (b"Host", b"www.hauts-de-seine.gouv.fr"),
        (b"User-Agent", AGENT),
        (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"Accept-Language", b"fr"),
        (b"Accept-Encoding", b"gzip, deflate, br"),
        (b"Cookie", b"eZSESSID=" + session.encode()),
    ]
    if request_body:
        request_headers.append((b"Content-Type", b"application/x-www-form-urlencoded"))
        request_headers.append((b"Content-Length", str(len(request_body)).encode()))
    return Exchange(
        method=method,
        url=url,
        request_headers=tuple(request_headers),
        request_body=request_body,
        status=status,
        reason="OK",
        response_headers=tuple(response_headers),
        raw_body=raw,
        started_at=at,
        finished_at=at + timedelta(microseconds=183_412),
        ip=ip,
    )
