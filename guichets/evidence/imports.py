"""Reads what people contribute: WARC, WACZ or one saved HTML page, into exchanges. Writes nothing.

A file is taken whole or refused whole, with one sentence. Sizes are bounded before memory is taken, names
inside a WACZ are never used as paths, and pages that must not be kept are refused (see ``personal``).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from guichets.evidence.decoding import decode_body
from guichets.evidence.errors import ArchiveError, ImportRefused
from guichets.evidence.exchange import Exchange
from guichets.evidence.personal import refusal
from guichets.evidence.reader import check_payload
from guichets.evidence.warc import (
    WarcRecord,
    parse_headers,
    parse_record_at,
    parse_status_line,
    split_head,
)

LARGEST_FILE_BYTES = 64 * 1024 * 1024
LARGEST_UNPACKED_BYTES = 256 * 1024 * 1024
LARGEST_PAGE_BYTES = 16 * 1024 * 1024
MOST_ENTRIES = 2000  # of a WACZ
_PIECE_BYTES = 256 * 1024

_SAVED_FROM = (
    re.compile(rb"<!--\s*saved from url=\(\d+\)(https?://[^\s>]+)\s*-->"),
    re.compile(rb"<!--\s*Page saved with SingleFile\s+url:\s*(https?://\S+)"),
    re.compile(rb"<!--\s*saved from (https?://[^\s>]+)\s*-->"),
)


def read_contribution(
    path: Path, *, url: str | None = None, seen_at: datetime | None = None
) -> list[Exchange]:
    """The exchanges of a contributed file, in order.

    ``url`` and ``seen_at`` are needed for a saved HTML page that does not tell them; they must be those of
    the visit. Raises ImportRefused, in one sentence, for a file that cannot or must not be taken.
    """
    try:
        data = _read_whole(path)
        if data.startswith(b"PK"):
            exchanges = [found for part in _parts_of_wacz(path) for found in _exchanges(part)]
        elif data.startswith((b"\x1f\x8b", b"WARC/")):
            exchanges = list(_exchanges(_unpacked(data, LARGEST_UNPACKED_BYTES)))
        else:
            exchanges = [_saved_page(data, url, seen_at)]
        if not exchanges:
            raise ImportRefused("it holds no page")
        for exchange in exchanges:
            _refuse_if_private(exchange)
    except ImportRefused as problem:
        raise ImportRefused(f"{path.name}: {problem}") from None
    except ArchiveError as problem:
        raise ImportRefused(f"{path.name}: it is broken: {problem}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as problem:
        raise ImportRefused(f"{path.name}: it is broken ({problem})") from None
    except OSError as problem:
        raise ImportRefused(f"{path.name}: it cannot be read ({problem.strerror or problem})") from None
    return exchanges


def _read_whole(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE_BYTES + 1)
    if len(data) > LARGEST_FILE_BYTES:
        raise ImportRefused(f"it is larger than {LARGEST_FILE_BYTES // 2**20} MiB")
    if not data.strip():
        raise ImportRefused("it is empty")
    return data


def _refuse_if_private(exchange: Exchange) -> None:
    body = decode_body(exchange.raw_body, exchange.response_headers, limit=LARGEST_PAGE_BYTES)
    reason = refusal(exchange, body)
    if reason is not None:
        raise ImportRefused(f"refused and not stored, because {reason}")


# --- WACZ: a ZIP whose archive/ folder holds WARC files --------------------------------------------------


def _parts_of_wacz(path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as container:
        entries = container.infolist()
        if len(entries) > MOST_ENTRIES:
            raise ImportRefused(f"it holds more than {MOST_ENTRIES} files")
        for entry in entries:
            _check_entry(entry)
        left = LARGEST_UNPACKED_BYTES
        found = False
        for entry in sorted(entries, key=lambda one: one.filename):
            name = PurePosixPath(entry.filename)
            if name.parts[:1] == ("archive",) and name.name.endswith((".warc", ".warc.gz")):
                found = True
                with container.open(entry) as file:
                    packed = _read_bounded(file, left)
                part = _unpacked(packed, left)
                left -= len(part)
                yield part
        if not found:
            raise ImportRefused("it is a ZIP file without an archive/ folder of WARC files, so no WACZ")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise ImportRefused("it holds a file whose name leads out of it")
    if entry.flag_bits & 0x1:
        raise ImportRefused("it is encrypted")
    if entry.external_attr >> 16 & 0o170000 == 0o120000:
        raise ImportRefused("it holds a symbolic link")


def _read_bounded(file: IO[bytes], limit: int) -> bytes:
    pieces = []
    size = 0
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        if size > limit:
            raise ImportRefused(f"it unpacks to more than {LARGEST_UNPACKED_BYTES // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)


# --- WARC ------------------------------------------------------------------------------------------------


def _unpacked(data: bytes, limit: int) -> bytes:
    """The records of a WARC file, whatever the number of gzip members they are packed in."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    pieces = []
    size = 0
    while data:
        engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
        piece = engine.decompress(data, limit + 1 - size)
        size += len(piece)
        if size > limit:
            raise ImportRefused(f"it unpacks to more than {LARGEST_UNPACKED_BYTES // 2**20} MiB")
        if not engine.eof:
            raise ImportRefused("it is cut short")
        pieces.append(piece)
        data = engine.unused_data
    return b"".join(pieces)


def _exchanges(data: bytes) -> Iterator[Exchange]:
    responses: list[WarcRecord] = []
    requests: dict[str, WarcRecord] = {}
    position = 0
    number = 0
    while position < len(data):
        number += 1
        record, position = parse_record_at(data, position, f"record {number}")
        if not _is_http(record):
            continue
        check_digest = record.type == "response"
        if check_digest:
            check_payload(record, split_head(record.block, record.place)[1])
            responses.append(record)
        elif record.type == "request":
            for other in record.fields.get("warc-concurrent-to", ()):
                requests[other.strip("<>")] = record
            requests.setdefault(f"{record.url} {record.field('warc-date')}", record)
    for response in responses:
        # Some tools tie the request to the response, some the other way round, some only by date.
        keys = [response.record_id, *(v.strip("<>") for v in response.fields.get("warc-concurrent-to", ()))]
        keys.append(f"{response.url} {response.field('warc-date')}")
        request = next((requests[key] for key in keys if key in requests), None)
        yield _exchange(response, request)


def _is_http(record: WarcRecord) -> bool:
    kind = (record.field("content-type") or "").lower()
    return kind.startswith("application/http") and urlsplit(record.url).scheme in ("http", "https")


def _exchange(response: WarcRecord, request: WarcRecord | None) -> Exchange:
    head, body = split_head(response.block, response.place)
    status_line, headers = parse_headers(head, response.place)
    version, status, reason = parse_status_line(status_line, response.place)
    method, request_body = "GET", b""
    request_headers: tuple[tuple[bytes, bytes], ...] = ()
    if request is not None:
        request_head, request_body = split_head(request.block, request.place)
        request_line, request_headers = parse_headers(request_head, request.place)
        method = request_line.split(b" ")[0].decode("latin-1")
    try:
        return Exchange(
            method=method,
            url=response.url,
            request_headers=request_headers,
            request_body=request_body,
            status=status,
            reason=reason,
            http_version=version,
            response_headers=headers,
            raw_body=body,
            started_at=response.date,
            finished_at=response.date,
            ip=response.field("warc-ip-address"),
        )
    except ValueError:
        raise ImportRefused(f"it is broken: {response.place} is not an exchange") from None


# --- one saved page --------------------------------------------------------------------------------------


def _saved_page(data: bytes, url: str | None, seen_at: datetime | None) -> Exchange:
    if len(data) > LARGEST_PAGE_BYTES:
        raise ImportRefused(f"a page larger than {LARGEST_PAGE_BYTES // 2**20} MiB is none of a desk's")
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start.startswith(b"<") or not any(
        mark in start for mark in (b"<html", b"<!doctype html", b"<head")
    ):
        raise ImportRefused("it is neither a WARC, nor a WACZ, nor a saved HTML page")
    if url is None:
        found = next((match for match in (form.search(data, 0, 8192) for form in _SAVED_FROM) if match), None)
        if found is None:
            raise ImportRefused("the page does not say where it was saved from: give its address")
        url = found[1].decode("latin-1")
    if seen_at is None:
        raise ImportRefused("a saved page does not prove when it was seen: give the date and time")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ImportRefused(f"{url[:80]!r} is not the address of a page")
    try:
        return Exchange(
            method="GET",
            url=url,
            request_headers=(),
            status=200,
            reason="OK",
            response_headers=(
                (b"Content-Type", b"text/html; charset=utf-8"),
                (b"Content-Length", str(len(data)).encode()),
            ),
            raw_body=data,
            started_at=seen_at.astimezone(UTC),
            finished_at=seen_at.astimezone(UTC),
        )
    except ValueError:
        raise ImportRefused(f"{url[:80]!r} is not the address of a page") from None
