"""Reads the archive back: one record by its reference, or all records of a file in order.

Everything is checked on the way: checksum of the member, length of the record, digest of the payload. What
does not hold raises an ArchiveError that names file and offset; nothing is ever guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from guichets.evidence.decoding import decode_body
from guichets.evidence.errors import BodyTooLarge, BrokenRecord, UndecodableBody
from guichets.evidence.exchange import EvidenceRef, Headers
from guichets.evidence.heads import REPEATS, REPEATS_SEPARATOR, apply_changes, coding_lines
from guichets.evidence.layout import path_of_name, resolve
from guichets.evidence.members import LARGEST_RECORD_BYTES, read_members, unpack_member
from guichets.evidence.tombstone import present_place
from guichets.evidence.warc import (
    WarcRecord,
    parse_headers,
    parse_record,
    parse_status_line,
    split_head,
)

ORIGINALS_KEPT_BYTES = 64 * 1024 * 1024  # of pages held in memory, because most are repeated again and again
FILES_OPEN = 16  # at once: visits of several workers lie in several files
PIECE_BYTES = 64 * 1024
FIRST_PIECE_BYTES = 8192  # enough for most members


@dataclass(frozen=True, slots=True)
class RawExchange:
    """Heads and bodies of one exchange, as bytes; of a revisit, after resolving it."""

    record: WarcRecord  # the response or revisit
    response_head: bytes
    raw_body: bytes
    request_head: bytes
    request_body: bytes
    ip: str | None  # of the server, where known
    decoded: _Decoded  # shared by a page and its revisits


class _Decoded:
    """The body decoded and hashed, when somebody first asks: revisits of a page ask for the same again."""

    __slots__ = ("_body", "_headers", "_raw", "_sha256", "payload_sha256")

    def __init__(self, raw: bytes, headers: Headers) -> None:
        self._raw = raw
        self._headers = headers
        self._body: bytes | None = None
        self._sha256: str | None = None
        self.payload_sha256 = hashlib.sha256(raw).digest()

    def body(self) -> bytes:
        """Raises as ``decode_body``."""
        if self._body is None:
            self._body = decode_body(self._raw, self._headers)
        return self._body

    def sha256(self) -> str:
        """As references have it: of the body as received where it cannot be decoded."""
        if self._sha256 is None:
            try:
                self._sha256 = hashlib.sha256(self.body()).hexdigest()
            except (UndecodableBody, BodyTooLarge):
                self._sha256 = self.payload_sha256.hex()
        return self._sha256

    @property
    def size(self) -> int:
        """Bytes it holds."""
        return len(self._raw) + len(self._body or b"")


@dataclass(frozen=True, slots=True)
class ArchivedPage:
    """One exchange as the archive holds it, or what a browser made of one, without method and request."""

    url: str
    started_at: datetime
    finished_at: datetime
    status: int
    reason: str
    headers: Headers  # as received
    raw_body: bytes  # as received, content coding kept
    method: str
    request_headers: Headers
    request_body: bytes
    ip: str | None
    record_id: str
    is_revisit: bool
    _decoded: _Decoded = field(repr=False, compare=False)

    def body(self) -> bytes:
        """The body decoded; UndecodableBody or BodyTooLarge when that cannot be done."""
        return self._decoded.body()

    def sha256(self) -> str:
        """Of the body decoded, or as received where it cannot be decoded: as references have it."""
        return self._decoded.sha256()


class ArchiveReader:
    """Reads records under one home folder."""

    def __init__(self, home: Path, *, record_limit: int = LARGEST_RECORD_BYTES) -> None:
        self._home = home
        self._record_limit = record_limit
        self._originals: OrderedDict[tuple[str, str], RawExchange] = OrderedDict()
        self._originals_bytes = 0
        self._paths: dict[str, Path] = {}
        self._open: OrderedDict[Path, int] = OrderedDict()
        weakref.finalize(self, _close_all, self._open)

    def read_record(self, ref: EvidenceRef) -> WarcRecord:
        """The record a reference points at, its bytes checked against the reference's digest."""
        return self._read_record(ref, *self._place(ref))

    def _read_record(self, ref: EvidenceRef, path: Path, offset: int) -> WarcRecord:
        place = f"{ref.file}@{ref.offset}"
        packed = self._read_bytes(path, offset, ref.length)
        if hashlib.sha256(packed).hexdigest() != ref.digest:
            raise BrokenRecord(f"{place}: the record is not the one that was archived")
        return parse_record(unpack_member(packed, place, limit=self._record_limit), place)

    def read_page(self, ref: EvidenceRef) -> ArchivedPage:
        """The exchange a reference points at; its decoded body is checked against the reference."""
        path, offset = self._place(ref)
        record = self._read_record(ref, path, offset)
        if record.type == "resource":
            page = _resource_page(record)
        else:
            page = _build_page(self._resolved(record, path, offset + ref.length))
        if page.sha256() != ref.sha256:
            raise BrokenRecord(
                f"{ref.file}@{ref.offset}: the page is not the one the observation was read from"
            )
        return page

    def records(self, path: Path, *, start: int = 0) -> Iterator[tuple[int, int, WarcRecord]]:
        """Offset, length and record, in order; ArchiveError where the file stops being sound."""
        for offset, length, data in read_members(path, start=start, limit=self._record_limit):
            yield offset, length, parse_record(data, f"{path.name}@{offset}")

    def pages(self, path: Path, *, start: int = 0) -> Iterator[tuple[int, int, ArchivedPage]]:
        """Offset, length and exchange of each response and revisit of a file, revisits resolved.

        ``start``: the offset of the first record looked at.
        """
        for offset, length, record in self.records(path, start=start):
            if record.type in ("response", "revisit"):
                yield offset, length, _build_page(self._resolved(record, path, offset + length))

    def _resolved(self, record: WarcRecord, path: Path, next_offset: int) -> RawExchange:
        """The exchange of a response or revisit; its request stands in the member that follows, if any."""
        if record.type == "response":
            return self._whole(record, path, next_offset)
        if record.type != "revisit":
            raise BrokenRecord(f"{record.place}: a {record.type or 'nameless'} record holds no page")
        repeats = _repeats(record)
        original = self._original(record, repeats[0])
        check_payload(record, original.raw_body, sha256=original.decoded.payload_sha256)
        ip = record.field("warc-ip-address") or original.ip
        if record.block:
            head, _ = split_head(record.block, record.place)
            request_head, request_body = self._request_after(record, path, next_offset)
        else:
            changes = [line[1:] for line in repeats[2:] if line.startswith("<")]
            request_changes = [line[1:] for line in repeats[2:] if line.startswith(">")]
            head = apply_changes(changes, original.response_head, record.place)
            request_head = apply_changes(request_changes, original.request_head, record.place)
            request_body = original.request_body
        decoded = original.decoded
        if coding_lines(head) != coding_lines(original.response_head):
            decoded = _Decoded(original.raw_body, parse_headers(head, record.place)[1])
        return RawExchange(record, head, original.raw_body, request_head, request_body, ip, decoded)

    def _whole(self, record: WarcRecord, path: Path, next_offset: int) -> RawExchange:
        head, body = split_head(record.block, record.place)
        decoded = _Decoded(body, parse_headers(head, record.place)[1])
        check_payload(record, body, sha256=decoded.payload_sha256)
        request_head, request_body = self._request_after(record, path, next_offset)
        ip = record.field("warc-ip-address")
        return RawExchange(record, head, body, request_head, request_body, ip, decoded)

    def hash_of(self, name: str, offset: int, length: int) -> str:
        """SHA-256 of bytes of an archive file, in hexadecimal, in constant memory. ArchiveError, OSError."""
        path, present = self._present(self._path_of(name), offset)
        descriptor = self._descriptor(path)
        piece = os.pread(descriptor, min(length, PIECE_BYTES), present)
        hasher = hashlib.sha256(piece)
        while piece and (length := length - len(piece)) > 0:
            present += len(piece)
            piece = os.pread(descriptor, min(length, PIECE_BYTES), present)
            hasher.update(piece)
        return hasher.hexdigest()

    def _path_of(self, name: str) -> Path:
        path = self._paths.get(name)
        if path is None:
            path = self._paths[name] = path_of_name(self._home, name)
        return path

    def _place(self, ref: EvidenceRef) -> tuple[Path, int]:
        path = self._paths.get(ref.file)
        if path is None:
            path = self._paths[ref.file] = resolve(self._home, ref.file)
        return self._present(path, ref.offset)

    def _present(self, path: Path, offset: int) -> tuple[Path, int]:
        """File and offset of today; RecordPruned. A file that is open is read on, whatever happens to it."""
        return (path, offset) if path in self._open else present_place(path, offset)

    def _read_bytes(self, path: Path, offset: int, length: int) -> bytes:
        if offset < 0 or not 0 < length <= LARGEST_RECORD_BYTES:
            raise BrokenRecord(f"{path.name}@{offset}: a record of {length} bytes is none of ours")
        try:
            packed = os.pread(self._descriptor(path), length, offset)
        except OSError as problem:
            raise BrokenRecord(f"{path}: cannot be read ({problem.strerror})") from None
        if len(packed) != length:
            raise BrokenRecord(f"{path.name}@{offset}: the file ends before the record does")
        return packed

    def _descriptor(self, path: Path) -> int:
        """The file, kept open: the next page read is most often in it too."""
        known = self._open.get(path)
        if known is None:
            if len(self._open) >= FILES_OPEN:
                os.close(self._open.popitem(last=False)[1])
            known = self._open[path] = os.open(path, os.O_RDONLY)
        else:
            self._open.move_to_end(path)
        return known

    def _record_at(self, path: Path, offset: int) -> WarcRecord | None:
        """The record of the member that begins there; None at the end of the file."""
        found = self._member_at(path, offset)
        return None if found is None else parse_record(found[1], f"{path.name}@{offset}")

    def _member_at(self, path: Path, offset: int) -> tuple[int, bytes] | None:
        """Length and unpacked bytes of the member that begins there; None at the end of the file."""
        piece = os.pread(self._descriptor(path), FIRST_PIECE_BYTES, offset)
        if not piece:
            return None
        engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
        try:
            data = engine.decompress(piece, self._record_limit)
        except zlib.error:
            data = b""
        if engine.eof:
            return len(piece) - len(engine.unused_data), data
        # longer, or broken: the slow way says which
        found = next(read_members(path, start=offset, limit=self._record_limit), None)
        return None if found is None else found[1:]

    def _request_after(self, record: WarcRecord, path: Path, offset: int) -> tuple[bytes, bytes]:
        request = self._record_at(path, offset)
        if request is None or request.type != "request":
            raise BrokenRecord(f"{record.place}: the request record that belongs to it is missing")
        if (request.field("warc-concurrent-to") or "").strip("<>") != record.record_id:
            raise BrokenRecord(f"{request.place}: this request belongs to another response")
        return split_head(request.block, request.place)

    def _original(self, revisit: WarcRecord, page: str) -> RawExchange:
        name, _, offset = page.rpartition("@")
        known = self._originals.get((name, offset))
        if known is None:
            if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
                raise BrokenRecord(f"{revisit.place}: the revisit does not say where its page stands")
            known = self._response_at(name, int(offset), revisit.place)
            self._originals[name, offset] = known
            self._originals_bytes += len(known.raw_body)
            while self._originals_bytes > ORIGINALS_KEPT_BYTES and len(self._originals) > 1:
                self._originals_bytes -= len(self._originals.popitem(last=False)[1].raw_body)
        return known

    def _response_at(self, name: str, offset: int, asked_from: str) -> RawExchange:
        path, present = self._present(self._path_of(name), offset)
        try:
            found = self._member_at(path, present)
        except OSError as problem:
            raise BrokenRecord(
                f"{asked_from}: its page in {name} cannot be read ({problem.strerror})"
            ) from None
        if found is None:
            raise BrokenRecord(f"{asked_from}: no record stands at {name}@{offset}, where its page should be")
        length, data = found
        record = parse_record(data, f"{name}@{offset}")
        if record.type != "response":
            raise BrokenRecord(f"{asked_from}: {name}@{offset} holds a {record.type} record, not a response")
        return self._whole(record, path, present + length)


def check_payload(record: WarcRecord, payload: bytes, *, sha256: bytes | None = None) -> None:
    """BrokenRecord unless the payload has the digest the record declares (if it declares one).

    ``sha256``: of the payload, where the caller has it.
    """
    declared = record.field("warc-payload-digest")
    if declared is None:
        return
    algorithm, _, text = declared.partition(":")
    if algorithm.lower() not in ("sha1", "sha256"):
        raise BrokenRecord(f"{record.place}: payload digest {declared[:20]!r} is not SHA-1 or SHA-256")
    if algorithm.lower() == "sha256" and sha256 is not None:
        actual = sha256
    else:
        actual = hashlib.new(algorithm.lower(), payload, usedforsecurity=False).digest()
    if _digest_bytes(text, len(actual), record.place) != actual:
        raise BrokenRecord(f"{record.place}: the payload does not have the digest its record declares")


def _digest_bytes(text: str, size: int, place: str) -> bytes:
    """A digest written in hexadecimal or base32, as archives in the wild do."""
    try:
        if len(text) == size * 2:
            return bytes.fromhex(text)
        bare = text.rstrip("=").upper()
        return base64.b32decode(bare + "=" * (-len(bare) % 8))
    except (ValueError, binascii.Error):
        raise BrokenRecord(f"{place}: payload digest {text[:80]!r} cannot be read") from None


def _close_all(descriptors: OrderedDict[Path, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()


def _build_page(raw: RawExchange) -> ArchivedPage:
    record = raw.record
    status_line, headers = parse_headers(raw.response_head, record.place)
    request_line, request_headers = parse_headers(raw.request_head, record.place)
    _, status, reason = parse_status_line(status_line, record.place)
    started_at = record.date
    return ArchivedPage(
        url=record.url,
        started_at=started_at,
        finished_at=started_at + _elapsed(record),
        status=status,
        reason=reason,
        headers=headers,
        raw_body=raw.raw_body,
        method=request_line.split(b" ")[0].decode("latin-1"),
        request_headers=request_headers,
        request_body=raw.request_body,
        ip=raw.ip,
        record_id=record.record_id,
        is_revisit=record.type == "revisit",
        _decoded=raw.decoded,
    )


def _resource_page(record: WarcRecord) -> ArchivedPage:
    """A record that is a page by itself; HTTP calls that 200."""
    headers = ((b"Content-Type", (record.field("content-type") or "").encode("latin-1", "replace")),)
    decoded = _Decoded(record.block, headers)
    check_payload(record, record.block, sha256=decoded.payload_sha256)
    return ArchivedPage(
        url=record.url,
        started_at=record.date,
        finished_at=record.date,
        status=200,
        reason="",
        headers=headers,
        raw_body=record.block,
        method="",
        request_headers=(),
        request_body=b"",
        ip=None,
        record_id=record.record_id,
        is_revisit=False,
        _decoded=decoded,
    )


def _repeats(revisit: WarcRecord) -> list[str]:
    """The page a revisit repeats, its seconds, and the changed lines of its heads."""
    parts = (revisit.field(REPEATS.lower()) or "").split(REPEATS_SEPARATOR)
    if len(parts) < 2:
        raise BrokenRecord(f"{revisit.place}: the revisit does not say where its page stands")
    return parts


def _elapsed(record: WarcRecord) -> timedelta:
    text = _repeats(record)[1] if record.type == "revisit" else record.field("guichets-elapsed") or "0"
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise BrokenRecord(f"{record.place}: {text[:20]!r} is not a number of seconds") from None
