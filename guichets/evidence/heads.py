"""HTTP heads as bytes, and the few lines in which a repeated head differs from an archived one.

A desk seen again answers with the same head but for its date and session. Such a head is archived as the
lines that changed, beside the place of the head they change: ``1+11=13 May 2025 07:27:51 GMT`` keeps the
first 11 characters of line 1 and puts the rest after them. Exact, readable by a person, a tenth of the size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from guichets.evidence.errors import BrokenRecord
from guichets.evidence.exchange import Exchange, Headers

REPEATS = "Guichets-Repeats"  # of a revisit: the page it repeats, its time, the changed lines of its heads
REPEATS_SEPARATOR = "\t"  # no changed line holds one
MOST_CHANGED_LINES = 8  # beyond, the whole head is as cheap and plainer
_CODING_LINE = re.compile(rb"^(?:content|transfer)-encoding[^\r]*", re.IGNORECASE | re.MULTILINE)
_CHANGE = re.compile(r"(\d{1,4})\+(\d{1,6})=(.*)")


def request_head(exchange: Exchange) -> bytes:
    """Request line and headers as sent, with the closing blank line."""
    parts = urlsplit(exchange.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _head(f"{exchange.method} {target} {_line_version(exchange)}", exchange.request_headers)


def response_head(exchange: Exchange) -> bytes:
    """Status line and headers as received, with the closing blank line."""
    line = f"{_line_version(exchange)} {exchange.status} {exchange.reason}"
    return _head(line.rstrip(), exchange.response_headers)


def _line_version(exchange: Exchange) -> str:
    # Readers of WARC know no other version; what was spoken stands in WARC-Protocol.
    return exchange.http_version if exchange.http_version in ("HTTP/1.0", "HTTP/1.1") else "HTTP/1.1"


def _head(first_line: str, headers: Headers) -> bytes:
    lines = [first_line.encode("latin-1", "replace"), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def changed_lines(head: bytes, reference: bytes) -> list[str] | None:
    """The lines of ``head`` that differ from ``reference``, numbered; None when it must be kept whole."""
    if head == reference:
        return []
    lines = head.split(b"\r\n")
    reference_lines = reference.split(b"\r\n")
    if len(lines) != len(reference_lines):
        return None
    changes = []
    for number, (line, old) in enumerate(zip(lines, reference_lines, strict=True)):
        if line != old:
            kept = _common_length(line, old)
            rest = line[kept:].decode("latin-1")
            if rest != rest.strip() or not rest.isprintable():
                return None  # would not come back unchanged from a WARC field
            changes.append(f"{number}+{kept}={rest}")
    return changes if len(changes) <= MOST_CHANGED_LINES else None


def _common_length(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    most = min(len(one), len(other))
    # as numbers: the highest bit in which they differ tells the first byte, ten times as fast as a loop
    differing = int.from_bytes(one[:most]) ^ int.from_bytes(other[:most])
    return most - (differing.bit_length() + 7) // 8


def coding_lines(head: bytes) -> list[bytes]:
    """The lines of a response's head that tell how its body is decoded."""
    return _CODING_LINE.findall(head)


def apply_changes(changes: Sequence[str], reference: bytes, place: str) -> bytes:
    """The head from its changed lines; BrokenRecord when they do not fit the reference."""
    lines = reference.split(b"\r\n")
    for change in changes:
        match = _CHANGE.fullmatch(change)
        if match is None or int(match[1]) >= len(lines):
            raise BrokenRecord(f"{place}: changed line {change[:40]!r} does not fit the head it changes")
        number, kept = int(match[1]), int(match[2])
        try:
            lines[number] = lines[number][:kept] + match[3].encode("latin-1")
        except UnicodeEncodeError:
            raise BrokenRecord(f"{place}: changed line {change[:40]!r} is not an HTTP header") from None
    return b"\r\n".join(lines)
