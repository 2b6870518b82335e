"""From a body as received to the bytes a reader of pages wants, within a limit."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

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
    if _is_chunked(headers) and _looks_chunked(raw):
        raw = remove_chunks(raw)
    for coding in reversed(_codings(headers)):
        raw = _uncompress(raw, coding, limit)
    if len(raw) > limit:
        raise BodyTooLarge(f"body of {len(raw)} bytes is over the limit of {limit}")
    return raw


def body_sha256(raw: bytes, headers: Headers) -> str:
    """SHA-256 of the decoded body, or of the body as received where it cannot be decoded."""
    try:
        return hashlib.sha256(decode_body(raw, headers)).hexdigest()
    except (UndecodableBody, BodyTooLarge):
        return hashlib.sha256(raw).hexdigest()


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


def _uncompress(raw: bytes, coding: bytes, limit: int) -> bytes:
    if not raw:
        return raw  # a HEAD, 204 or 304 names the coding of a body it does not send
    if coding in (b"gzip", b"x-gzip"):
        return _inflate(raw, zlib.MAX_WBITS + 16, limit)
    if coding == b"deflate":
        # Servers send either zlib or bare deflate under this name.
        zlib_header = len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
        return _inflate(raw, zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS, limit)
    if coding == b"br":
        return _unbrotli(raw, limit)
    raise UndecodableBody(f"content coding {coding.decode('latin-1')!r} is not one we read")


def _inflate(raw: bytes, window_bits: int, limit: int) -> bytes:
    engine = zlib.decompressobj(window_bits)
    try:
        body = engine.decompress(raw, limit + 1)
    except zlib.error as problem:
        raise UndecodableBody(f"compressed body does not unpack: {problem}") from None
    if len(body) > limit:
        raise BodyTooLarge(f"a body of {len(raw)} bytes unpacks to more than {limit}")
    if not engine.eof:
        raise UndecodableBody("compressed body is cut short")
    return body


def _unbrotli(raw: bytes, limit: int) -> bytes:
    engine = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _brotli_pieces(engine, raw):
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(f"a body of {len(raw)} bytes unpacks to more than {limit}")
            pieces.append(piece)
    except brotli.error:
        raise UndecodableBody("compressed body does not unpack: brotli stream is wrong") from None
    if not engine.is_finished():
        raise UndecodableBody("compressed body is cut short")
    return b"".join(pieces)


def _brotli_pieces(engine: brotli.Decompressor, raw: bytes) -> Iterator[bytes]:
    # output_buffer_limit bounds each step, so that a bomb is met after _STEP_BYTES, not after gigabytes.
    piece = engine.process(raw, output_buffer_limit=_STEP_BYTES)
    while piece:
        yield piece
        piece = b"" if engine.is_finished() else engine.process(b"", output_buffer_limit=_STEP_BYTES)
