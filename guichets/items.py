"""What a probe establishes, as frozen facts that refuse nonsense when they are built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

import uuid_utils.compat

from guichets.outcomes import Outcome

PURPOSES = ("baseline", "watch", "contributed")

EXPORT_FIELDS = (
    "id",
    "desk",
    "counter",
    "counter_label",
    "family",
    "departement",
    "observed_at",
    "outcome",
    "rule",
    "purpose",
    "step",
    "first_slot",
    "second_slot",
    "slot_count",
    "horizon_end",
    "http_status",
    "latency_ms",
    "requests",
    "evidence",
    "parser",
    "worker",
)
"""The fields of an exported observation, in their order."""


def new_probe_id() -> UUID:
    """A UUIDv7, to be made before a probe's first request."""
    return UUID(str(uuid_utils.compat.uuid7()))


def counter_observation_id(probe_id: UUID, counter: str) -> UUID:
    """The UUIDv7 of one counter's observation: the probe's instant, random bits from (probe, counter).

    A counter is known only once its page was read; deriving its id from the probe's, which was made
    before the first request, keeps a repeated write idempotent.
    """
    digest = hashlib.sha256(probe_id.bytes + counter.encode()).digest()
    value = (probe_id.int >> 80 << 80) | int.from_bytes(digest[:10])
    value = value & ~(0xF << 76) | (0x7 << 76)  # version 7
    value = value & ~(0x3 << 62) | (0x2 << 62)  # RFC 9562 variant
    return UUID(int=value)


class DeskTime(tzinfo):
    """The wall clock of the desk, for pages that show hours without their zone.

    Readers know no desk; ``guichets.visit.verdict_fields`` puts the desk's own zone in its place.
    """

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, when: datetime | None) -> str:
        return "desk"


DESK_TIME = DeskTime()


@dataclass(frozen=True, slots=True)
class Slot:
    """One appointment that could be chosen: an aware instant, or a date where no time is shown."""

    starts: datetime | date

    def __post_init__(self) -> None:
        if isinstance(self.starts, datetime) and self.starts.tzinfo is None:
            raise ValueError(f"slot {self.starts!r} has no time zone")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One response an observation rests on, and where the archive holds it (None without archive)."""

    url: str
    status: int
    sha256: str  # of the body after decompression (as received where that fails), in hexadecimal
    size: int  # bytes of that body
    file: str | None = None  # relative to GUICHETS_HOME
    offset: int | None = None  # of the record in that file
    length: int | None = None  # bytes of the record in that file
    record_id: str | None = None  # urn:uuid:… of the WARC record
    digest: str | None = None  # SHA-256 of those bytes, in hexadecimal

    def plain(self) -> dict[str, Any]:
        """As JSON has it; a tenth of the time of ``asdict``."""
        return {
            "url": self.url,
            "status": self.status,
            "sha256": self.sha256,
            "size": self.size,
            "file": self.file,
            "offset": self.offset,
            "length": self.length,
            "record_id": self.record_id,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one probe established about one desk (``counter`` is None) or one counter of it."""

    id: UUID
    probe: UUID  # shared by the desk's line and its counters' lines
    desk: str
    counter: str | None = None  # the platform's key of the sub-choice
    counter_label: str | None = None
    family: str
    departement: str
    observed_at: datetime  # aware, when the answer had been read
    outcome: Outcome
    rule: str  # stable id of the rule that decided
    purpose: str = "baseline"
    step: str | None = None  # last step of the funnel that was read
    first_slot: datetime | date | None = None
    second_slot: datetime | date | None = None
    slot_count: int | None = None  # distinct slots seen; None where the platform does not tell
    horizon_end: date | None = None  # last day the page's answer covers
    http_status: int | None = None  # of the last response
    latency_ms: int | None = None  # of the last response
    requests: int = 0  # requests this line rests on that left this machine
    evidence: tuple[Evidence, ...] = ()
    parser: str  # family and version of the readers
    worker: str
    slots: tuple[Slot, ...] = ()  # all that were seen, sorted; never exported
    note: str | None = None  # why a value was normalised or an outcome forced; never exported
    host: str = ""
    fencing_token: int | None = None  # of the lease this was observed under
    supersedes: UUID | None = None  # the observation this one corrects, of the same instant
    contributor: str | None = None  # id of the person who gave the page; never exported
    facts: tuple[tuple[str, str], ...] = ()  # (name, text): what else the pages told; never exported

    def __post_init__(self) -> None:
        if self.observed_at.tzinfo is None:
            raise ValueError(f"observation {self.id}: observed_at {self.observed_at!r} has no time zone")
        if self.purpose not in PURPOSES:
            raise ValueError(f"observation {self.id}: purpose {self.purpose!r} is not one of {PURPOSES}")
        if not isinstance(self.outcome, Outcome):
            raise ValueError(f"observation {self.id}: {self.outcome!r} is not an Outcome")
        if self.slots and isinstance(getattr(self.slots[0].starts, "tzinfo", None), DeskTime):
            raise ValueError(f"observation {self.id}: a slot is still in the desk's time, without a zone")
        if not self.rule:
            raise ValueError(f"observation {self.id}: an outcome needs the rule that decided it")
        for name in ("first_slot", "second_slot"):
            starts = getattr(self, name)
            if isinstance(starts, datetime) and starts.tzinfo is None:
                raise ValueError(f"observation {self.id}: {name} {starts!r} has no time zone")
        if self.first_slot and self.second_slot and _is_before(self.second_slot, self.first_slot):
            raise ValueError(
                f"observation {self.id}: second_slot {self.second_slot} comes before "
                f"first_slot {self.first_slot}"
            )

    def exported(self) -> dict[str, Any]:
        """The fields of an exported line, in their order, as plain values: instants in ISO 8601 with zone.

        Addresses of the evidence are without session, token or slot handle.
        """
        from guichets.evidence.scrub import scrub_url  # its package is slow to import

        fields = self.plain()
        for part in fields["evidence"]:
            part["url"] = scrub_url(part["url"], self.family)
        return fields

    def plain(self) -> dict[str, Any]:
        """The same fields with nothing taken out, for the database and the spool."""
        return {name: _plain(getattr(self, name)) for name in EXPORT_FIELDS}


def _is_before(one: datetime | date, other: datetime | date) -> bool:
    """Whether one slot comes before another; where one of them shows no time, by their days."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.timestamp() < other.timestamp()
    days = [slot.date() if isinstance(slot, datetime) else slot for slot in (one, other)]
    return days[0] < days[1]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Outcome | UUID):
        return str(value)
    if isinstance(value, tuple):
        return [part.plain() for part in value]
    return value
