"""One WARC record as one gzip member, written by warcio without touching the bytes of the exchange."""

from __future__ import annotations

import io
import zlib
from typing import Any, Protocol

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

WARC_VERSION = "WARC/1.1"
Fields = list[tuple[str, str]]

SMALL_BLOCK_BYTES = 4096  # below, the best compression costs nothing worth counting
_BEST, _USUAL = 9, 6  # zlib levels; on a page of 40 kB, 9 takes twice the time of 6 to save 2 %
# zlib's memory levels: clearing tables of the largest one takes four times as long as packing a small record,
# which gets no smaller by it.
_SMALL_MEMORY, _USUAL_MEMORY = 4, 8


class _RawHead(StatusAndHeaders):  # type: ignore[misc]  # warcio has no types
    """An HTTP head as it was on the wire: warcio would normalise and percent-encode it."""

    def __init__(self, head: bytes) -> None:
        super().__init__("", [])
        self.headers_buff = head

    def compute_headers_buffer(self, header_filter: object = None) -> None:
        """The buffer is given; nothing to compute."""

    def __bool__(self) -> bool:
        return True


class _PlainWriter(WARCWriter):  # type: ignore[misc]
    """Adds no digest of its own: we give the payload's, and the seal covers the whole record."""

    def ensure_digest(self, record: Any, block: bool = True, payload: bool = True) -> None:
        """Nothing is added."""


class Target(Protocol):
    """Where packed bytes go."""

    def write(self, data: bytes, /) -> object: ...


class _Member:
    """Packs what the writer writes into one gzip member, and hands it on as it comes."""

    def __init__(self, target: Target, level: int, memory: int) -> None:
        self._engine = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS + 16, memory)
        self._target = target

    def write(self, data: bytes) -> None:
        packed = self._engine.compress(data)
        if packed:
            self._target.write(packed)

    def flush(self) -> None:
        self._target.write(self._engine.flush())


def pack_record(
    target: Target, record_type: str, fields: Fields, *, head: bytes | None = None, body: bytes = b""
) -> None:
    """Write the gzip member of a record whose block is ``head`` (an HTTP head, or None) and ``body``."""
    size = len(head or b"") + len(body)
    record = ArcWarcRecord(
        "warc",
        record_type,
        StatusAndHeaders("", [("WARC-Type", record_type), *fields], protocol=WARC_VERSION),
        io.BytesIO(body),
        None if head is None else _RawHead(head),
        None,
        size,
        payload_length=len(body),
    )
    is_small = size <= SMALL_BLOCK_BYTES
    member = _Member(target, *((_BEST, _SMALL_MEMORY) if is_small else (_USUAL, _USUAL_MEMORY)))
    writer = _PlainWriter(member, gzip=False, warc_version=WARC_VERSION)
    writer.write_record(record)
