"""The text of WARC and HTTP heads: parsed strictly, because a lenient reader would hide a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from guichets.evidence.errors import BrokenRecord
from guichets.evidence.exchange import Headers

WARC_VERSIONS = (b"WARC/1.1", b"WARC/1.0")
LARGEST_HEAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """One record: its named fields (names in lower case) and its block."""

    fields: Mapping[str, tuple[str, ...]]
    block: bytes
    place: str  # file@offset, for messages

    def field(self, name: str) -> str | None:
        """The first value of a field, or None."""
        values = self.fields.get(name)
        return values[0] if values else None

    @property
    def type(self) -> str:
        return self.field("warc-type") or ""

    @property
    def record_id(self) -> str:
        return (self.field("warc-record-id") or "").strip("<>")

    @property
    def url(self) -> str:
        # Wget 1.19 wrote the address in angle brackets.
        return (self.field("warc-target-uri") or "").strip("<>")

    @property
    def date(self) -> datetime:
        return parse_warc_date(self.field("warc-date") or "", self.place)


def parse_record(data: bytes, place: str) -> WarcRecord:
    """The record that fills ``data`` exactly; BrokenRecord when it does not."""
    record, end = parse_record_at(data, 0, place)
    if end != len(data):
        raise BrokenRecord(f"{place}: {len(data) - end} bytes too many for the record's Content-Length")
    return record


def parse_record_at(data: bytes, start: int, place: str) -> tuple[WarcRecord, int]:
    """The record at ``start`` and the position after its closing blank lines."""
    fields, block_start = parse_warc_head(data, start, place)
    length = content_length(fields, place)
    end = block_start + length
    if data[end : end + 4] != b"\r\n\r\n":
        raise BrokenRecord(f"{place}: the record is not as long as its Content-Length {length}")
    return WarcRecord(fields, data[block_start:end], place), end + 4


def parse_warc_head(data: bytes, start: int, place: str) -> tuple[dict[str, tuple[str, ...]], int]:
    """The named fields of the record at ``start`` and the position of its block."""
    end = data.find(b"\r\n\r\n", start, start + LARGEST_HEAD_BYTES)
    if end < 0 or not data.startswith(WARC_VERSIONS, start):
        raise BrokenRecord(f"{place}: no WARC record begins here")
    try:
        lines = data[start:end].decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise BrokenRecord(f"{place}: the record's head is not UTF-8") from None
    fields: dict[str, tuple[str, ...]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BrokenRecord(f"{place}: {line[:60]!r} is not a field of a WARC head")
        key = name.strip().lower()
        fields[key] = (*fields[key], value.strip()) if key in fields else (value.strip(),)
    return fields, end + 4


def content_length(fields: Mapping[str, tuple[str, ...]], place: str) -> int:
    """The length of the block; BrokenRecord when the field is missing or no number."""
    text = (fields.get("content-length") or ("",))[0]
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BrokenRecord(f"{place}: Content-Length {text[:20]!r} is not a number")
    return int(text)


def parse_warc_date(text: str, place: str) -> datetime:
    """An aware UTC datetime from a WARC-Date with or without fractions of a second."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise BrokenRecord(f"{place}: WARC-Date {text[:40]!r} is not a UTC instant")
    return value.astimezone(UTC)


def format_warc_date(instant: datetime) -> str:
    """A WARC 1.1 date: UTC with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def split_head(block: bytes, place: str) -> tuple[bytes, bytes]:
    """An HTTP message as (head with its blank line, body)."""
    end = block.find(b"\r\n\r\n", 0, LARGEST_HEAD_BYTES)
    if end < 0:
        raise BrokenRecord(f"{place}: the HTTP message has no end of head")
    return block[: end + 4], block[end + 4 :]


def parse_headers(head: bytes, place: str) -> tuple[bytes, Headers]:
    """The first line and the headers of an HTTP head; folded lines are joined to the one before."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and headers:
            name, value = headers[-1]
            headers[-1] = (name, value + b" " + line.strip())
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise BrokenRecord(f"{place}: {line[:60]!r} is not an HTTP header")
        headers.append((name, value.removeprefix(b" ")))
    return lines[0], tuple(headers)


def parse_status_line(line: bytes, place: str) -> tuple[str, int, str]:
    """HTTP version, status and reason."""
    version, _, rest = line.decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise BrokenRecord(f"{place}: {line[:60]!r} is not an HTTP status line")
    return version, int(code), reason
