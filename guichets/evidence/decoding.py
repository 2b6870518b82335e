"""From a body as received to the bytes a reader of pages wants, within a limit."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from itertools import chain

import brotli  # type: ignore[import-untyped]  # ships no types

from guichets.evidence.errors import BodyTooLarge, UndecodableBody
from guichets.evidence.exchange import Headers

LARGEST_BODY_BYTES = 16 * 1024 * 1024  # decoded; the crawl itself stops at 4 MB
_STEP_BYTES = 64 * 1024


def header_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of a header, in order; names are compared without case."""
    lowered = name.lower()
    return [value for key, value in headers if key.lower() == lowered]


def decode_body(raw: bytes, headers: Headers, *, limit: int = LARGEST_BODY_BYTES) -> bytes:
    """The body without transfer and content codings.

    Raises UndecodableBody when a coding does not hold, BodyTooLarge past ``limit`` bytes.
    """
    return b"".join(decoded_pieces(raw, headers, limit=limit))


def decoded_pieces(raw: bytes, headers: Headers, *, limit: int = LARGEST_BODY_BYTES) -> Iterator[bytes]:
    """The same piece by piece, so that a large body costs no memory."""
    if _is_chunked(headers) and _looks_chunked(raw):
        raw = remove_chunks(raw)
    pieces = _bounded(_slices(raw), limit)
    if raw:  # a HEAD, 204 or 304 names the coding of a body it does not send
        for coding in reversed(_codings(headers)):
            pieces = _bounded(_uncompress(pieces, coding), limit)
    return pieces


def _slices(raw: bytes) -> Iterator[bytes]:
    """The body in steps; a small one, as most are, without a copy."""
    if len(raw) <= _STEP_BYTES:
        yield raw
        return
    for start in range(0, len(raw), _STEP_BYTES):
        yield raw[start : start + _STEP_BYTES]


def _bounded(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(f"a body unpacks to more than {limit} bytes")
        yield piece


def body_sha256(raw: bytes, headers: Headers) -> str:
    """SHA-256 of the decoded body, or of the body as received where it cannot be decoded."""
    hasher = hashlib.sha256()
    try:
        for piece in decoded_pieces(raw, headers):
            hasher.update(piece)
    except (UndecodableBody, BodyTooLarge):
        return hashlib.sha256(raw).hexdigest()
    return hasher.hexdigest()


def remove_chunks(raw: bytes) -> bytes:
    """The body inside a chunked transfer coding; UndecodableBody when any chunk is wrong."""
    pieces: list[bytes] = []
    position = 0
    while True:
        end = raw.find(b"\r\n", position, position + 64)
        size = _chunk_size(raw[position:end]) if end >= 0 else None
        if size is None:
            raise UndecodableBody(f"chunked body: no chunk size at byte {position}")
        position = end + 2
        if size == 0:
            return b"".join(pieces)  # trailers, if any, are not part of the body
        if raw[position + size : position + size + 2] != b"\r\n":
            raise UndecodableBody(f"chunked body: the chunk at byte {position} is not {size} bytes long")
        pieces.append(raw[position : position + size])
        position += size + 2


def _chunk_size(line: bytes) -> int | None:
    text = line.split(b";")[0].strip()
    if not text or len(text) > 8 or text.strip(b"0123456789abcdefABCDEF"):
        return None
    return int(text, 16)


def _is_chunked(headers: Headers) -> bool:
    values = header_values(headers, b"transfer-encoding")
    return any(value.strip().lower().endswith(b"chunked") for value in values)


def _looks_chunked(raw: bytes) -> bool:
    """Whether the chunks are still there: HTTP clients commonly hand the body over without them."""
    return _chunk_size(raw[:64].split(b"\r\n")[0]) is not None and b"\r\n" in raw[:64]


def _codings(headers: Headers) -> list[bytes]:
    joined = b",".join(header_values(headers, b"content-encoding"))
    codings = [coding.strip().lower() for coding in joined.split(b",")]
    return [coding for coding in codings if coding and coding != b"identity"]


def _uncompress(pieces: Iterator[bytes], coding: bytes) -> Iterator[bytes]:
    if coding in (b"gzip", b"x-gzip"):
        return _inflate(pieces, zlib.MAX_WBITS + 16)
    if coding == b"deflate":
        return _inflate_bare_or_not(pieces)
    if coding == b"br":
        return _unbrotli(pieces)
    raise UndecodableBody(f"content coding {coding.decode('latin-1')!r} is not one we read")


def _inflate_bare_or_not(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # Servers send either zlib or bare deflate under this name.
    first = next(pieces, b"")
    zlib_header = len(first) > 1 and first[0] & 0x0F == 8 and (first[0] << 8 | first[1]) % 31 == 0
    return _inflate(chain((first,), pieces), zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)


def _inflate(pieces: Iterator[bytes], window_bits: int) -> Iterator[bytes]:
    engine = zlib.decompressobj(window_bits)
    try:
        for packed in pieces:
            waiting = packed
            while not engine.eof:
                # bounded, so that a bomb is met after a step, not after gigabytes
                piece = engine.decompress(waiting, _STEP_BYTES)
                waiting = engine.unconsumed_tail
                if piece:
                    yield piece
                elif not waiting:
                    break
    except zlib.error as problem:
        raise UndecodableBody(f"compressed body does not unpack: {problem}") from None
    if not engine.eof:
        raise UndecodableBody("compressed body is cut short")


def _unbrotli(pieces: Iterator[bytes]) -> Iterator[bytes]:
    engine = brotli.Decompressor()
    try:
        for packed in pieces:
            piece = engine.process(packed, output_buffer_limit=_STEP_BYTES)
            while piece:
                yield piece
                piece = b"" if engine.is_finished() else engine.process(b"", output_buffer_limit=_STEP_BYTES)
    except brotli.error:
        raise UndecodableBody("compressed body does not unpack: brotli stream is wrong") from None
    if not engine.is_finished():
        raise UndecodableBody("compressed body is cut short")
