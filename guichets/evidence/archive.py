"""Writes exchanges and observations into WARC 1.1 files that any standard reader opens.

A page seen for the first time becomes a ``response`` and a ``request`` record; a payload archived already
becomes one ``revisit`` record that points at the first and carries the lines in which the heads differ; what
a browser made of a page becomes ``resource`` records; what an observation established becomes a ``metadata``
record. See docs/evidence.md for the fields and decision
0021 for what they cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import uuid_utils

from guichets import __version__
from guichets.evidence.decoding import body_sha256
from guichets.evidence.errors import ArchiveError
from guichets.evidence.exchange import EvidenceRef, Exchange
from guichets.evidence.heads import (
    REPEATS,
    REPEATS_SEPARATOR,
    changed_lines,
    coding_lines,
    request_head,
    response_head,
)
from guichets.evidence.layout import archive_folder, path_of_name
from guichets.evidence.packing import Fields, pack_record
from guichets.evidence.payload_index import Archived, PayloadIndex
from guichets.evidence.reader import ArchiveReader
from guichets.evidence.storage import Appending, ArchiveFile, Place
from guichets.evidence.warc import format_warc_date, parse_warc_date
from guichets.note import COMMITTED, CONTENT_TYPE, Note

LARGEST_FILE_BYTES = 512 * 1024 * 1024  # a file grows to this and one exchange more
REFER_BACK = timedelta(days=30)  # then a page is stored whole again, so that retention stays a local decision
SHORT_PAYLOAD_BYTES = 512  # no longer than what it takes to say where it was archived before
REVISIT_PROFILE = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
INDEX_NAME = "payloads.sqlite"


class ArchiveWriter:
    """The archive of one process; not for use by two threads at once."""

    def __init__(
        self,
        home: Path,
        worker: str,
        *,
        now: Callable[[], datetime],
        largest_file_bytes: int = LARGEST_FILE_BYTES,
        new_id: Callable[[], object] = uuid_utils.uuid4,  # several times faster than Python's own
        information: Mapping[str, str] | None = None,  # added to each file's warcinfo
    ) -> None:
        self._home = home
        self._worker = worker
        self._now = now
        self._largest_file_bytes = largest_file_bytes
        self._new_id = new_id
        self._information = dict(information or {})
        archive_folder(home).mkdir(parents=True, exist_ok=True)
        self._index = PayloadIndex(archive_folder(home) / INDEX_NAME)
        self._reader = ArchiveReader(home)
        self._present: set[str] = set()  # names of files known to be there
        self._file: ArchiveFile | None = None

    def write_exchange(self, exchange: Exchange) -> EvidenceRef:
        """Archive an exchange and return the reference of its response (or revisit) record."""
        file = self._current_file()
        payload = hashlib.sha256(exchange.raw_body).digest()
        keys = _keys(exchange, payload)
        known = self._find(keys, exchange.started_at)
        record_id = self._make_id()
        heads = _Heads(request_head(exchange), response_head(exchange))
        changes = None if known is None else _changes(exchange, heads, known)
        if known is not None and changes is None and len(exchange.raw_body) <= SHORT_PAYLOAD_BYTES:
            # A redirect, most often: stored whole it costs less, and its next repetition refers to it.
            known = None
        with file.appending() as target:
            if known is None:
                place, request = self._pack_full(target, exchange, heads, record_id, payload)
            else:
                place = self._pack_revisit(target, exchange, heads, record_id, payload, known, changes)
        if known is None:
            sha256 = exchange.body_sha256 or body_sha256(exchange.raw_body, exchange.response_headers)
            archived = _archived(exchange, heads, file.name, place, sha256)
            self._index.record(keys, archived, place, request)
        elif coding_lines(heads.response) == coding_lines(known.response_head):
            sha256 = known.sha256  # the same bytes, decoded alike
        else:
            sha256 = exchange.body_sha256 or body_sha256(exchange.raw_body, exchange.response_headers)
        return EvidenceRef(file.relative, place.offset, place.length, sha256, record_id, place.digest)

    def write_resource(
        self, url: str, content_type: str, body: bytes, *, at: datetime, drawn_from: str | None = None
    ) -> EvidenceRef:
        """Archive what no host answered, such as a screenshot, under an address of the caller's making.

        ``drawn_from``: the record id of the page it was made of.
        """
        file = self._current_file()
        record_id = self._make_id()
        digest = hashlib.sha256(body).digest()
        fields = [
            ("WARC-Record-ID", f"<{record_id}>"),
            ("WARC-Date", format_warc_date(at)),
            ("WARC-Target-URI", url),
            *([] if drawn_from is None else [("WARC-Concurrent-To", f"<{drawn_from}>")]),
            ("WARC-Payload-Digest", _digest_text(digest)),
            ("Content-Type", content_type),
        ]
        with file.appending() as target:
            pack_record(target, "resource", fields, body=body)
            place = target.end_member()
        return EvidenceRef(file.relative, place.offset, place.length, digest.hex(), record_id, place.digest)

    def write_note(
        self, note: Note, *, record_id: str, at: datetime, rests_on: Sequence[str] = ()
    ) -> EvidenceRef:
        """Archive what one observation established, under a record id of the caller's and its own instant.

        ``rests_on``: the record ids of the pages it was read from.
        """
        file = self._current_file()
        fields = [
            ("WARC-Record-ID", f"<{record_id}>"),
            ("WARC-Date", format_warc_date(at)),
            *(("WARC-Concurrent-To", f"<{other}>") for other in rests_on),
            ("Content-Type", CONTENT_TYPE),
        ]
        body = note.line()
        with file.appending() as target:
            pack_record(target, "metadata", fields, body=body)
            place = target.end_member()
        sha256 = hashlib.sha256(body).hexdigest()
        return EvidenceRef(file.relative, place.offset, place.length, sha256, record_id, place.digest)

    def write_committed(self) -> None:
        """Say that the rows of all notes so far are in the database.

        For whoever writes its notes first and its rows in one transaction. Where this is missing, it was
        killed in between, and its notes claim nothing.
        """
        fields = [
            ("WARC-Record-ID", f"<{self._make_id()}>"),
            ("WARC-Date", format_warc_date(self._now())),
            ("Content-Type", CONTENT_TYPE),
        ]
        with self._current_file().appending() as target:
            pack_record(target, "metadata", fields, body=COMMITTED)
            target.end_member()

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if self._file is not None:
            self._file.sync()

    def close_if_past(self, now: datetime) -> None:
        """Close the file of an hour that is over, so that its day can be sealed."""
        if self._file is not None and _hour(now) != self._file.hour:
            self._close_file()

    def close(self) -> None:
        self._close_file()
        self._index.close()

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- files -----------------------------------------------------------------------------------------

    def _current_file(self) -> ArchiveFile:
        now = self._now()
        if self._file is not None:
            # A clock set back must not open a file in a day that may be sealed.
            over = _hour(now) > self._file.hour
            if not over and self._file.size < self._largest_file_bytes:
                return self._file
            now = max(now, self._file.hour)
            self._close_file()
        self._file = ArchiveFile(self._home, self._worker, now)
        self._present.clear()
        with self._file.appending() as target:
            self._pack_warcinfo(target, self._file.name, now)
            target.end_member()
        return self._file

    def _close_file(self) -> None:
        self._index.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    # --- known payloads --------------------------------------------------------------------------------

    def _find(self, keys: tuple[bytes, bytes], at: datetime) -> Archived | None:
        """The archived exchange to refer to: the same request's if there is one, else any of that payload."""
        for key in keys:
            archived = self._index.recall(key) or self._find_on_disk(key)
            if archived is None:
                continue
            is_recent = at - parse_warc_date(archived.date, archived.name) < REFER_BACK
            if is_recent and self._is_present(archived.name):
                return archived
            self._index.forget(key)
        return None

    def _is_present(self, name: str) -> bool:
        """Whether a file is there; asked once an hour, because pruning takes none that young."""
        if name not in self._present:
            if not path_of_name(self._home, name).exists():
                return False
            self._present.add(name)
        return True

    def _find_on_disk(self, key: bytes) -> Archived | None:
        try:
            return self._index.find(key, self._reader.hash_of)
        except (ArchiveError, OSError):
            self._index.forget(key)  # pruned, or lost with the power
            return None

    # --- records ---------------------------------------------------------------------------------------

    def _make_id(self) -> str:
        return f"urn:uuid:{self._new_id()}"

    def _pack_full(
        self, target: Appending, exchange: Exchange, heads: _Heads, record_id: str, payload: bytes
    ) -> tuple[Place, Place]:
        fields = [
            *_common_fields(exchange, record_id),
            ("WARC-Payload-Digest", _digest_text(payload)),
            ("Guichets-Elapsed", _elapsed(exchange)),
            ("Content-Type", "application/http; msgtype=response"),
        ]
        pack_record(target, "response", fields, head=heads.response, body=exchange.raw_body)
        response = target.end_member()
        return response, self._pack_request(target, exchange, heads, record_id)

    def _pack_request(self, target: Appending, exchange: Exchange, heads: _Heads, response_id: str) -> Place:
        fields = [
            *_common_fields(exchange, self._make_id()),
            ("WARC-Concurrent-To", f"<{response_id}>"),
            ("Content-Type", "application/http; msgtype=request"),
        ]
        pack_record(target, "request", fields, head=heads.request, body=exchange.request_body)
        return target.end_member()

    def _pack_revisit(
        self,
        target: Appending,
        exchange: Exchange,
        heads: _Heads,
        record_id: str,
        payload: bytes,
        known: Archived,
        changes: tuple[list[str], list[str]] | None,
    ) -> Place:
        """``changes``: the lines in which request and response heads differ; None: they are kept whole."""
        fields = [
            *_common_fields(exchange, record_id, known_ip=known.ip),
            ("WARC-Refers-To-Target-URI", known.url),
            ("WARC-Refers-To-Date", known.date),
            ("WARC-Profile", REVISIT_PROFILE),
            ("WARC-Payload-Digest", _digest_text(payload)),
        ]
        repeats = [f"{known.name}@{known.offset}", _elapsed(exchange)]
        if changes is None:
            fields += [
                (REPEATS, REPEATS_SEPARATOR.join(repeats)),
                ("Content-Type", "application/http; msgtype=response"),
            ]
            pack_record(target, "revisit", fields, head=heads.response)
            place = target.end_member()
            self._pack_request(target, exchange, heads, record_id)
            return place
        repeats += [f">{line}" for line in changes[0]]
        repeats += [f"<{line}" for line in changes[1]]
        fields.append((REPEATS, REPEATS_SEPARATOR.join(repeats)))
        pack_record(target, "revisit", fields)
        return target.end_member()

    def _pack_warcinfo(self, target: Appending, name: str, now: datetime) -> None:
        fields = [
            ("WARC-Record-ID", f"<{self._make_id()}>"),
            ("WARC-Date", format_warc_date(now)),
            ("WARC-Filename", name),
            ("Content-Type", "application/warc-fields"),
        ]
        information = {
            "software": f"Guichets/{__version__}",
            "format": "WARC File Format 1.1",
            "conformsTo": "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
            "robots": "obey",
            **self._information,
        }
        body = "".join(f"{key}: {value}\r\n" for key, value in information.items()).encode()
        pack_record(target, "warcinfo", fields, body=body)


@dataclass(frozen=True, slots=True)
class _Heads:
    """The heads of an exchange, as they are archived."""

    request: bytes
    response: bytes


def _archived(exchange: Exchange, heads: _Heads, name: str, place: Place, sha256: str) -> Archived:
    return Archived(
        name=name,
        offset=place.offset,
        date=format_warc_date(exchange.started_at),
        url=exchange.url,
        ip=exchange.ip,
        sha256=sha256,
        request_head=heads.request,
        response_head=heads.response,
        request_body=exchange.request_body,
    )


def _changes(exchange: Exchange, heads: _Heads, known: Archived) -> tuple[list[str], list[str]] | None:
    """The lines in which the heads differ from the archived ones; None when they must be kept whole."""
    if exchange.request_body != known.request_body:
        return None
    of_request = changed_lines(heads.request, known.request_head)
    of_response = changed_lines(heads.response, known.response_head)
    if of_request is None or of_response is None:
        return None
    return of_request, of_response


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _keys(exchange: Exchange, payload: bytes) -> tuple[bytes, bytes]:
    """Two keys of an exchange: this payload as the answer to this very request, and this payload at all."""
    question = f"{exchange.method} {exchange.url}\n".encode() + exchange.request_body
    return hashlib.sha256(payload + question).digest()[:16], payload[:16]


def _common_fields(exchange: Exchange, record_id: str, *, known_ip: str | None = None) -> Fields:
    fields = [
        ("WARC-Record-ID", f"<{record_id}>"),
        ("WARC-Date", format_warc_date(exchange.started_at)),
        ("WARC-Target-URI", exchange.url),
    ]
    if exchange.ip is not None and exchange.ip != known_ip:
        fields.append(("WARC-IP-Address", exchange.ip))
    if exchange.http_version not in ("HTTP/1.0", "HTTP/1.1"):
        fields.append(("WARC-Protocol", exchange.http_version.lower()))
    return fields


def _digest_text(digest: bytes) -> str:
    return f"sha256:{digest.hex()}"


def _elapsed(exchange: Exchange) -> str:
    return f"{(exchange.finished_at - exchange.started_at).total_seconds():.6f}"
