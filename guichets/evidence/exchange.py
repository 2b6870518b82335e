"""One request with its response, and the reference by which an observation points at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Headers = tuple[tuple[bytes, bytes], ...]

WITHHELD = b"[withheld]"  # stands for the value of our own credential, which is never archived
FORBIDDEN_IN_HEADERS = (b"\r", b"\n", b"\0")  # they would forge another line of the archived head


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request as sent and the response as received, before any decompression."""

    method: str
    url: str
    request_headers: Headers
    request_body: bytes = b""
    status: int
    reason: str = ""
    http_version: str = "HTTP/1.1"
    response_headers: Headers
    raw_body: bytes  # content coding kept; the transfer coding may be gone already (Scrapy removes it)
    started_at: datetime  # aware, when the request left
    finished_at: datetime  # aware, when the last byte had come
    ip: str | None = None  # of the server, when known
    body_sha256: str | None = None  # of the decoded body, where the caller has it; else it is computed

    def __post_init__(self) -> None:
        for name in ("started_at", "finished_at"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"exchange with {self.url}: {name} has no time zone")
        if self.finished_at < self.started_at:
            raise ValueError(f"exchange with {self.url}: it ends before it begins")
        if not 100 <= self.status <= 999:
            raise ValueError(f"exchange with {self.url}: status {self.status} is not three digits")
        for text in (self.method, self.url, self.reason, self.http_version):
            if any(character in text for character in "\r\n\0"):
                raise ValueError(f"exchange: {text!r} holds a line break")
        headers = self.request_headers + self.response_headers
        joined = b"".join([part for pair in headers for part in pair])
        if any(mark in joined for mark in FORBIDDEN_IN_HEADERS):
            for key, value in headers:
                if any(mark in key or mark in value for mark in FORBIDDEN_IN_HEADERS):
                    raise ValueError(f"exchange with {self.url}: header {key!r} holds a line break")
        for key, _ in headers:
            if not key or b":" in key or key != key.strip():
                raise ValueError(f"exchange with {self.url}: {key!r} is not a header name")


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """Where one archived record stands, and the two hashes that prove it.

    ``sha256`` answers « is this the page that was read? »; ``digest`` answers « are these the bytes that
    were archived? » and is the record's leaf in the day's seal.
    """

    file: str  # relative to the home folder, with forward slashes
    offset: int  # of the record's gzip member
    length: int  # bytes of that member
    sha256: str  # of the decoded body (of the body as received where it cannot be decoded), hexadecimal
    record_id: str  # WARC-Record-ID without its brackets
    digest: str  # SHA-256 of the gzip member as it stands in the file, hexadecimal
