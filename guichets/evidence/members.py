"""The gzip members of an archive file: one per WARC record.

Reading is strict and bounded: a member is whole, its checksum holds and it unpacks to no more than a
limit, or BrokenRecord / BodyTooLarge names the file and the offset.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from guichets.evidence.errors import BodyTooLarge, BrokenRecord

GZIP_MAGIC = b"\x1f\x8b\x08"
LARGEST_RECORD_BYTES = 32 * 1024 * 1024  # unpacked; eight times the largest page the crawl reads
HEAD_BYTES = 512  # unpacked bytes of a record kept while scanning: enough for its type
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One gzip member as found by a scan."""

    offset: int
    length: int
    digest: str  # SHA-256 of its bytes in the file, hexadecimal
    head: bytes  # the first unpacked bytes


def unpack_member(packed: bytes, place: str, *, limit: int = LARGEST_RECORD_BYTES) -> bytes:
    """The record inside exactly one gzip member; ``place`` names it in an error."""
    engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        record = engine.decompress(packed, limit + 1)
    except zlib.error as problem:
        raise BrokenRecord(f"{place}: the compressed record does not unpack ({problem})") from None
    if len(record) > limit:
        raise BodyTooLarge(f"{place}: the record unpacks to more than {limit} bytes")
    if not engine.eof:
        raise BrokenRecord(f"{place}: the compressed record is cut short")
    if engine.unused_data:
        raise BrokenRecord(f"{place}: {len(engine.unused_data)} bytes follow the record's end")
    return record


def scan_members(path: Path, *, start: int = 0) -> Iterator[Member]:
    """Each member of a file from ``start`` on, in constant memory.

    Raises BrokenRecord at the first place where no whole, sound member stands.
    """
    with path.open("rb") as file:
        offset = start
        while True:
            file.seek(offset)
            member = _scan_one(file, offset, path)
            if member is None:
                return
            yield member
            offset += member.length


def read_members(
    path: Path, *, start: int = 0, limit: int = LARGEST_RECORD_BYTES
) -> Iterator[tuple[int, int, bytes]]:
    """Offset, length and unpacked bytes of each member from ``start`` on, in one pass.

    Holds one record at a time. Raises BrokenRecord or BodyTooLarge where the file stops being sound.
    """
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        ahead = file.read(_PIECE_BYTES)
        while ahead:
            place = f"{path.name}@{offset}"
            engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
            pieces = []
            unpacked = length = 0
            while not engine.eof:
                if not ahead:
                    raise BrokenRecord(f"{place}: the compressed record is cut short")
                try:
                    pieces.append(engine.decompress(ahead, limit + 1 - unpacked))
                except zlib.error as problem:
                    raise BrokenRecord(
                        f"{place}: the compressed record does not unpack ({problem})"
                    ) from None
                unpacked += len(pieces[-1])
                if unpacked > limit:
                    raise BodyTooLarge(f"{place}: the record unpacks to more than {limit} bytes")
                rest = engine.unused_data if engine.eof else engine.unconsumed_tail
                length += len(ahead) - len(rest)
                ahead = rest or file.read(_PIECE_BYTES)
            yield offset, length, b"".join(pieces)
            offset += length


def _scan_one(file: BinaryIO, offset: int, path: Path) -> Member | None:
    piece = file.read(_PIECE_BYTES)
    if not piece:
        return None
    engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
    hasher = hashlib.sha256()
    head = b""
    length = 0
    unpacked = 0
    while True:
        feed = piece
        while feed and not engine.eof:
            try:
                data = engine.decompress(feed, _PIECE_BYTES)
            except zlib.error as problem:
                raise BrokenRecord(f"{path}@{offset}: no sound gzip member ({problem})") from None
            unpacked += len(data)
            if unpacked > LARGEST_RECORD_BYTES:
                raise BrokenRecord(f"{path}@{offset}: unpacks to more than {LARGEST_RECORD_BYTES} bytes")
            if len(head) < HEAD_BYTES:
                head += data[: HEAD_BYTES - len(head)]
            feed = engine.unconsumed_tail
        used = len(piece) - len(engine.unused_data)
        hasher.update(piece[:used] if used < len(piece) else piece)
        length += used
        if engine.eof:
            return Member(offset, length, hasher.hexdigest(), head)
        piece = file.read(_PIECE_BYTES)
        if not piece:
            raise BrokenRecord(f"{path}@{offset}: the last record is cut short")


def next_sound_member(path: Path, after: int) -> int | None:
    """The offset of the first whole member beyond ``after``, or None: where a scan can take up again."""
    size = path.stat().st_size
    position = after + 1
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            block = file.read(_PIECE_BYTES + len(GZIP_MAGIC) - 1)
            found = block.find(GZIP_MAGIC)
            if found < 0:
                position += _PIECE_BYTES
                continue
            candidate = position + found
            file.seek(candidate)
            try:
                member = _scan_one(file, candidate, path)
            except BrokenRecord:
                member = None
            if member is not None and member.head.startswith(b"WARC/"):
                return candidate
            position = candidate + 1
    return None
