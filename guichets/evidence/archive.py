"""Writes exchanges and observations into WARC 1.1 files that any standard reader opens.

A page seen for the first time becomes a ``response`` and a ``request`` record; a payload archived already
becomes one ``revisit`` record that points at the first and carries the lines in which the heads differ. See
docs/evidence.md for the fields and decision 0021 for what they cost.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from guichets import __version__
from guichets.evidence.decoding import body_sha256
from guichets.evidence.errors import ArchiveError
from guichets.evidence.exchange import EvidenceRef, Exchange
from guichets.evidence.heads import changed_lines, request_head, response_head
from guichets.evidence.layout import archive_folder, path_of_name
from guichets.evidence.packing import Fields, pack_record
from guichets.evidence.payload_index import Archived, PayloadIndex
from guichets.evidence.reader import ArchiveReader
from guichets.evidence.storage import ArchiveFile
from guichets.evidence.warc import format_warc_date, parse_warc_date

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
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
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

    def write_exchange(
        self, exchange: Exchange, observation: Mapping[str, object] | None = None
    ) -> EvidenceRef:
        """Archive an exchange and return the reference of its response (or revisit) record.

        ``observation``: what was read from it, where that is known already. It becomes a ``metadata`` record,
        except beside a revisit, where it rides on the revisit itself: that halves the cost of seeing the
        same page again.
        """
        file = self._current_file()
        payload = hashlib.sha256(exchange.raw_body).digest()
        keys = _keys(exchange, payload)
        known = self._find(keys, payload, exchange.started_at)
        written = None
        if known is not None:
            written = self._pack_revisit(exchange, payload, known, observation)
            if written.carries_observation:
                observation = None
            elif len(exchange.raw_body) <= SHORT_PAYLOAD_BYTES:
                # A redirect, most often: stored whole it costs less, and its next repetition refers to it.
                known = written = None
        if written is None:
            written = self._pack_full(exchange, payload)
        members = written.members
        if observation is not None:
            members = [*members, self._pack_observation(observation, [written.record_id])]
        offset = file.append(b"".join(members))
        if known is None:
            self._learn(exchange, keys, file.name, offset, len(members[0]))
        return EvidenceRef(
            file=file.relative,
            offset=offset,
            length=len(members[0]),
            sha256=exchange.body_sha256 or body_sha256(exchange.raw_body, exchange.response_headers),
            record_id=written.record_id,
            digest=hashlib.sha256(members[0]).hexdigest(),
        )

    def write_observation(
        self, observation: Mapping[str, object], rests_on: Sequence[EvidenceRef] = ()
    ) -> EvidenceRef:
        """Archive what one observation established, tied to the records it rests on."""
        file = self._current_file()
        record_id = self._make_id()
        member = self._pack_observation(observation, [ref.record_id for ref in rests_on], record_id)
        return EvidenceRef(
            file=file.relative,
            offset=file.append(member),
            length=len(member),
            sha256=hashlib.sha256(_to_json(observation)).hexdigest(),
            record_id=record_id,
            digest=hashlib.sha256(member).hexdigest(),
        )

    def write_note(
        self, note: Mapping[str, object], *, record_id: str, at: datetime, rests_on: Sequence[str] = ()
    ) -> EvidenceRef:
        """Archive what one observation established, under a record id of the caller's and its own instant.

        ``rests_on``: the record ids of the pages it was read from.
        """
        file = self._current_file()
        fields = [
            ("WARC-Record-ID", f"<{record_id}>"),
            ("WARC-Date", format_warc_date(at)),
            *(("WARC-Concurrent-To", f"<{other}>") for other in rests_on),
            ("Content-Type", "application/json"),
        ]
        body = _to_json(note)
        member = pack_record("metadata", fields, body=body)
        return EvidenceRef(
            file=file.relative,
            offset=file.append(member),
            length=len(member),
            sha256=hashlib.sha256(body).hexdigest(),
            record_id=record_id,
            digest=hashlib.sha256(member).hexdigest(),
        )

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
        self._file.append(self._pack_warcinfo(self._file.name, now))
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    # --- known payloads --------------------------------------------------------------------------------

    def _find(self, keys: tuple[bytes, bytes], payload: bytes, at: datetime) -> Archived | None:
        """The archived exchange to refer to: the same request's if there is one, else any of that payload."""
        for key in keys:
            archived = self._index.recall(key) or self._find_on_disk(key, payload)
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

    def _find_on_disk(self, key: bytes, payload: bytes) -> Archived | None:
        place = self._index.place(key)
        if place is None:
            return None
        try:
            archived = self._reader.read_archived(*place, payload_sha256=payload)
        except (ArchiveError, OSError):
            self._index.forget(key)  # pruned, or lost with the power
            return None
        self._index.remember(key, archived)
        return archived

    def _learn(
        self, exchange: Exchange, keys: tuple[bytes, bytes], name: str, offset: int, length: int
    ) -> None:
        archived = Archived(
            name=name,
            offset=offset,
            date=format_warc_date(exchange.started_at),
            url=exchange.url,
            ip=exchange.ip,
            request_head=request_head(exchange),
            request_body=exchange.request_body,
            response_head=response_head(exchange),
        )
        for key in keys:
            self._index.remember(key, archived)
        self._index.record(keys, name, offset, length)

    # --- records ---------------------------------------------------------------------------------------

    def _make_id(self) -> str:
        return f"urn:uuid:{self._new_id()}"

    def _pack_full(self, exchange: Exchange, payload: bytes) -> _Written:
        record_id = self._make_id()
        fields = [
            *_common_fields(exchange, record_id),
            ("WARC-Payload-Digest", _digest_text(payload)),
            ("Guichets-Elapsed", _elapsed(exchange)),
            ("Content-Type", "application/http; msgtype=response"),
        ]
        response = pack_record("response", fields, head=response_head(exchange), body=exchange.raw_body)
        return _Written(record_id, [response, self._pack_request(exchange, record_id)])

    def _pack_request(self, exchange: Exchange, response_id: str) -> bytes:
        fields = [
            *_common_fields(exchange, self._make_id()),
            ("WARC-Concurrent-To", f"<{response_id}>"),
            ("Content-Type", "application/http; msgtype=request"),
        ]
        return pack_record("request", fields, head=request_head(exchange), body=exchange.request_body)

    def _pack_revisit(
        self,
        exchange: Exchange,
        payload: bytes,
        known: Archived,
        observation: Mapping[str, object] | None,
    ) -> _Written:
        record_id = self._make_id()
        head = response_head(exchange)
        fields = [
            *_common_fields(exchange, record_id, known_ip=known.ip),
            ("WARC-Refers-To-Target-URI", known.url),
            ("WARC-Refers-To-Date", known.date),
            ("Guichets-Original", f"{known.name}@{known.offset}"),
            ("WARC-Profile", REVISIT_PROFILE),
            ("WARC-Payload-Digest", _digest_text(payload)),
            ("Guichets-Elapsed", _elapsed(exchange)),
        ]
        request_changes = None
        if exchange.request_body == known.request_body:
            request_changes = changed_lines(request_head(exchange), known.request_head)
        response_changes = changed_lines(head, known.response_head)
        if request_changes is None or response_changes is None:
            fields.append(("Content-Type", "application/http; msgtype=response"))
            revisit = pack_record("revisit", fields, head=head)
            return _Written(record_id, [revisit, self._pack_request(exchange, record_id)])
        fields += [("Guichets-Request", line) for line in request_changes]
        fields += [("Guichets-Response", line) for line in response_changes]
        if observation is not None:
            fields.append(("Guichets-Observation", _to_json(observation).decode()))
        return _Written(record_id, [pack_record("revisit", fields)], carries_observation=True)

    def _pack_observation(
        self, observation: Mapping[str, object], rests_on: Iterable[str], record_id: str | None = None
    ) -> bytes:
        fields = [
            ("WARC-Record-ID", f"<{record_id or self._make_id()}>"),
            ("WARC-Date", format_warc_date(self._now())),
            *(("WARC-Concurrent-To", f"<{other}>") for other in rests_on),
            ("Content-Type", "application/json"),
        ]
        return pack_record("metadata", fields, body=_to_json(observation))

    def _pack_warcinfo(self, name: str, now: datetime) -> bytes:
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
        return pack_record("warcinfo", fields, body=body)


@dataclass(frozen=True, slots=True)
class _Written:
    """The members of one exchange, the response or revisit first."""

    record_id: str
    members: list[bytes]
    carries_observation: bool = False


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
    # warcio compares with the padding of base32 kept, and so do the tools built on it.
    return "sha256:" + base64.b32encode(digest).decode()


def _elapsed(exchange: Exchange) -> str:
    return f"{(exchange.finished_at - exchange.started_at).total_seconds():.6f}"


def _to_json(observation: Mapping[str, object]) -> bytes:
    """Compact JSON; what JSON does not know (dates, UUIDs, outcomes) as text."""
    return json.dumps(observation, ensure_ascii=False, separators=(",", ":"), default=str).encode()
