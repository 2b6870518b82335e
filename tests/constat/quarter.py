"""A simulated quarter of one desk with its archive: every attempt, page and date is known beforehand.

The desk lives the sandbox's seeded life; each baseline slot is probed at the instant the real schedule would
choose. Each visit archives the pages the sandbox's EZBooking would show, as a crawl does, and writes its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from guichets.database.observations import insert_observations
from guichets.evidence import ArchiveWriter, EvidenceRef, Exchange, seal_until
from guichets.items import Evidence, Observation, Slot, counter_observation_id
from guichets.outcomes import Outcome
from guichets.rows import note_of, record_of
from guichets.sandbox.families import _ezbooking_pages as pages
from guichets.sandbox.world import monday_of, week_number
from guichets.sandbox.year import SimulatedDesk, Story, instants_of, simulate_year
from guichets.schedule.baseline import Pattern

FIRST, LAST = date(2025, 1, 1), date(2025, 3, 31)  # the night of 30 March has no hour from 2 to 3
NEVER = Story(name="never", temper=None, shut=(0.45, 0.6))
OTHERS = (Story(name="generous"), Story(name="scarce"), Story(name="hardly-seen", missed=0.6))
SESSION = "vh2k4n8q0s6d1f3g5j7m9p2r4t"
MISSED = 0.03
FAILURES: Mapping[str, float] = {
    "overloaded": 0.02,
    "unreachable": 0.01,
    "blocked": 0.005,
    "captcha": 0.005,
    "unrecognised": 0.003,
    "observer_fault": 0.003,
}
SENTENCES = {
    "none": pages.NO_SLOT,
    "closed": pages.CLOSED,
    "overloaded": "Service surchargé",
    "blocked": "403 Forbidden",
    "captcha": "[titre] Recopiez le code de sécurité",
    "unrecognised": "[titre] Bienvenue",
}


@dataclass(frozen=True, slots=True)
class Truth:
    """One attempt as it was."""

    id: UUID
    at: datetime
    outcome: str
    sentence: str | None


@dataclass(slots=True)
class Quarter:
    """What was written."""

    desk: str
    departement: str
    home: Path
    attempts: list[Truth] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    slots_due: int = 0
    of_counters: dict[str, list[Truth]] = field(default_factory=dict)

    def of(self, outcome: str) -> list[Truth]:
        return [one for one in self.attempts if one.outcome == outcome]


def make_quarter(
    connection: psycopg.Connection[Any],
    home: Path,
    *,
    seed: int = 1,
    story: Story = NEVER,
    others: Sequence[Story] = OTHERS,
    first: date = FIRST,
    last: date = LAST,
    gap: tuple[date, date] | None = (date(2025, 2, 10), date(2025, 2, 14)),
    seal: bool = True,
    noise: Callable[[ArchiveWriter, datetime], None] | None = None,
    full_counters: Mapping[str, str] | None = None,
) -> Quarter:
    """Write a quarter; ``gap``: days, both included, on which nobody looked.

    ``full_counters``: labels by key of counters that never offer; what the desk offers, another counter does.
    ``noise``: called at each visit, to archive what other desks' visits would.
    """
    year = simulate_year(
        connection, last=last, days=(last - first).days + 1, seed=seed, desks=1 + len(others),
        stories=(story, *others), watch=False,
    )  # fmt: skip
    desk = next(one for one in year.desks if one.story == story)
    for table in ("observations", "baseline_visits"):
        connection.execute(f"DELETE FROM {table} WHERE desk_id = %s", [desk.desk.id])
    connection.execute("UPDATE desks SET family = 'ezbooking' WHERE id = %s", [desk.desk.id])
    quarter = Quarter(desk.desk.id, desk.desk.departement, home)
    _visit_all(connection, desk, quarter, seed, gap, noise, full_counters or {})
    for recount in ("recompute_days", "recompute_sequences"):  # what was deleted is not noticed else
        connection.execute(
            f"""SELECT {recount}(array_agg(%(desk)s::text), array_agg(day::date))
            FROM generate_series(%(first)s::timestamp, %(last)s, interval '1 day') AS day""",
            {"desk": desk.desk.id, "first": first, "last": last},
        )
    if seal:
        seal_until(home, datetime.combine(last + timedelta(days=3), time(), UTC))
    return quarter


def _visit_all(
    connection: psycopg.Connection[Any],
    desk: SimulatedDesk,
    quarter: Quarter,
    seed: int,
    gap: tuple[date, date] | None,
    noise: Callable[[ArchiveWriter, datetime], None] | None,
    full_counters: Mapping[str, str],
) -> None:
    fate = Random(f"{seed}/quarter")
    slots = list(_slots(desk))
    quarter.slots_due = len(slots)
    chosen = [
        (slot, at)
        for slot, at in zip(slots, instants_of(desk.desk.id, slots), strict=True)
        if fate.random() >= MISSED and not (gap and gap[0] <= at.astimezone(desk.zone).date() <= gap[1])
    ]
    found = desk.found_at([at.timestamp() for _, at in chosen])
    now = desk.first
    site = _Site(desk)
    records, visits = [], []
    with ArchiveWriter(quarter.home, "w1", now=lambda: now, new_id=_seeded(fate)) as archive:
        for (slot, at), (outcome, _, _, _) in zip(chosen, found, strict=True):
            now = at
            archive.close_if_past(now)
            if noise is not None:
                noise(archive, now)
            outcome = _befallen(fate, outcome)
            free = [at + timedelta(days=3, hours=number) for number in (1, 2)] if outcome == "offered" else []
            observation = site.visit(archive, at, outcome, free, fate)
            lines = []
            if outcome in ("none", "offered"):  # else the visit never came to its counters
                lines = site.visit_counters(archive, observation, full_counters, fate)
                observation = replace(
                    observation,
                    requests=observation.requests + sum(line.requests for line in lines),
                    evidence=(*observation.evidence, *(part for line in lines for part in line.evidence)),
                )
            for line in (*lines, observation):
                record = record_of(line)
                archive.write_note(
                    note_of(record),
                    record_id=line.id.urn,
                    at=line.observed_at,
                    rests_on=[part.record_id for part in line.evidence[-1:] if part.record_id],
                )
                records.append(record)
                if line.counter is not None:
                    told = Truth(line.id, line.observed_at, str(line.outcome), SENTENCES[str(line.outcome)])
                    quarter.of_counters.setdefault(line.counter, []).append(told)
            quarter.observations.append(observation)
            visits.append((desk.desk.id, slot.starts_at, at, observation.probe, 1))
            sentence = SENTENCES.get(outcome, "[titre] " + site.titles if outcome == "offered" else None)
            quarter.attempts.append(Truth(observation.id, observation.observed_at, outcome, sentence))
    insert_observations(connection, records)
    with connection.cursor() as cursor:
        cursor.executemany(  # a crawl notes them as it writes its rows
            "INSERT INTO counters (desk_id, key, label, first_seen_at, last_seen_at) "
            "VALUES (%s, %s, %s, %s, %s)",
            [
                (desk.desk.id, key, full_counters[key], lines[0].at, lines[-1].at)
                for key, lines in quarter.of_counters.items()
            ],
        )
        cursor.executemany(
            "INSERT INTO baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token) "
            "VALUES (%s, %s, %s, %s, %s)",
            visits,
        )


class _Site:
    """The desk's form as the sandbox draws it, and one visit of it."""

    def __init__(self, desk: SimulatedDesk) -> None:
        self._desk = desk
        path = desk.desk.url.partition(desk.desk.host)[2]
        self._form = pages.Form(site="Simulation", title=desk.desk.label, base=path, dsfr=False)
        self._origin = desk.desk.url.removesuffix(path)
        self.titles = f"{desk.desk.label} — {pages.TITLES[4]}"

    def visit(
        self, archive: ArchiveWriter, at: datetime, outcome: str, free: Sequence[datetime], fate: Random
    ) -> Observation:
        shown = list(self._pages(outcome, at, free, fate))
        evidence = tuple(self._archive(archive, at, *page) for page in shown)
        probe = _uuid(fate, at)
        desk = self._desk.desk
        return Observation(
            id=probe,
            probe=probe,
            desk=desk.id,
            family="ezbooking",
            departement=desk.departement,
            observed_at=at + timedelta(seconds=2),
            outcome=Outcome(outcome),
            rule=f"ezbooking.{outcome}.simulated",
            step=None,
            first_slot=free[0] if free else None,
            second_slot=free[1] if len(free) > 1 else None,
            slot_count=len(free) or None,
            slots=tuple(Slot(one) for one in free),
            http_status=shown[-1][1] if shown else None,
            requests=len(shown),
            evidence=evidence,
            parser="ezbooking@1",
            worker="w1",
            host=desk.host,
        )

    def visit_counters(
        self, archive: ArchiveWriter, desk: Observation, labels: Mapping[str, str], fate: Random
    ) -> list[Observation]:
        """Each counter's line, on a page of its own: nothing is free there."""
        lines = []
        for key, label in labels.items():
            found = self.visit(archive, desk.observed_at, "none", [], fate)
            own = counter_observation_id(desk.probe, key)
            lines.append(replace(found, id=own, probe=desk.probe, counter=key, counter_label=label))
        return lines

    def _pages(
        self, outcome: str, at: datetime, free: Sequence[datetime], fate: Random
    ) -> Iterator[tuple[str, int, str]]:
        """Path, status and markup of each page of the visit."""
        form = self._form
        if outcome in ("unreachable", "observer_fault"):
            return
        if outcome == "overloaded":
            yield form.base, 503, "<html><body><h1>Service surchargé</h1></body></html>"
            return
        if outcome == "blocked":
            yield form.base, 403, "<html><body><h1>403 Forbidden</h1></body></html>"
            return
        if outcome == "closed":
            yield form.base, 200, pages.conditions_page(form, pages.CLOSED)
            return
        yield form.base, 200, pages.conditions_page(form)
        if outcome == "captcha":
            yield form.action(1), 200, "<html><body><h1>Recopiez le code de sécurité</h1></body></html>"
        elif outcome == "unrecognised":
            yield form.action(1), 200, "<html><body><h1>Bienvenue</h1></body></html>"
        elif outcome == "none":
            yield form.action(2), 200, pages.no_slot_page(form, "usual")
        elif outcome == "offered":
            zone: ZoneInfo = self._desk.zone
            hours = sorted({one.astimezone(zone).time() for one in free})
            week = pages.week_fragment(
                base=form.base, planning="1", monday=monday_of(week_number(free[0], zone)), hours=hours,
                zone=zone, free=frozenset(one.astimezone(UTC) for one in free), now=at,
            )  # fmt: skip
            yield form.action(4), 200, pages.calendar_page(form, week)

    def _archive(self, archive: ArchiveWriter, at: datetime, path: str, status: int, markup: str) -> Evidence:
        ref: EvidenceRef = archive.write_exchange(
            Exchange(
                method="GET",
                url=self._origin + path,
                request_headers=((b"Host", self._desk.desk.host.encode()),),
                status=status,
                response_headers=(
                    (b"Content-Type", b"text/html; charset=utf-8"),
                    (b"Set-Cookie", f"eZSESSID={SESSION}; path=/".encode()),
                ),
                raw_body=markup.encode(),
                started_at=at,
                finished_at=at + timedelta(seconds=1),
            )
        )
        return Evidence(
            url=self._origin + path, status=status, sha256=ref.sha256, size=len(markup.encode()),
            file=ref.file, offset=ref.offset, length=ref.length, record_id=ref.record_id, digest=ref.digest,
        )  # fmt: skip


def _slots(desk: SimulatedDesk) -> Iterator[Any]:
    pattern = Pattern()
    slot = pattern.slot_at(desk.first, desk.zone)
    if slot.starts_at < desk.first:
        slot = pattern.slot_after(slot, desk.zone)
    while slot.starts_at < desk.last:
        yield slot
        slot = pattern.slot_after(slot, desk.zone)


def _befallen(fate: Random, outcome: str) -> str:
    drawn = fate.random()
    for failure, share in FAILURES.items():
        drawn -= share
        if drawn < 0:
            return failure
    return outcome


def _uuid(fate: Random, at: datetime) -> UUID:
    """A UUIDv7 of that instant."""
    value = int(at.timestamp() * 1000) << 80 | fate.getrandbits(80)
    value = value & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=value & ~(0x3 << 62) | (0x2 << 62))


def _seeded(fate: Random) -> Callable[[], UUID]:
    return lambda: UUID(int=fate.getrandbits(128), version=4)
