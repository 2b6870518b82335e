"""A simulated year, made at speed: what baseline probes would have written of imaginary desks.

Nothing is visited. The desks live the sandbox's seeded lives; each baseline slot is probed at the instant
the real schedule would choose, and what the desk was living then is written as an observation, with its slot
among the visits, into a database that is the caller's to fill. Some desks have a story: they get worse or
better on a day, never offer, offer far dates, are shut, refuse us. Everything is a function of the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from guichets.catalogue import PROCEDURES, Catalogue, Channel, Desk, HostRule, departements
from guichets.database import sync_catalogue
from guichets.sandbox.world import Condition, DeskLife, Temper, build_life, monday_of, week_number
from guichets.schedule.baseline import Pattern, Slot

PARSER = "sandbox@1"
WORKER = "sandbox"
MISSED = 0.03  # share of slots nobody probed
_FAILS = (("unreachable", 0.006), ("overloaded", 0.004), ("unrecognised", 0.0005), ("observer_fault", 0.001))
_NULL = "\\N"  # as COPY reads it
_WEEKS_BEFORE = 10  # of slots that may still be free
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Progress = Callable[[int, int], None]
"""Told after each desk: desks done, desks in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How a desk's year differs from a life of one temper."""

    name: str
    temper: Temper | None = Temper.SCARCE  # None: it never releases anything
    then: Temper | None = None  # its temper from ``turn`` of the year on
    turn: float = 0.5
    later_days: int = 0  # added to every date it offers
    shut: tuple[float, float] | None = None  # part of the year in which the administration switched it off
    outcome: str | None = None  # what every probe finds whatever the life: blocked, captcha
    missed: float = MISSED


STORIES = (
    *[Story(name="scarce")] * 5,
    *[Story(name="dry", temper=Temper.DRY)] * 2,
    *[Story(name="generous", temper=Temper.GENEROUS)] * 5,
    *[Story(name="steady", temper=Temper.STEADY)] * 2,
    *[Story(name="worse", temper=Temper.GENEROUS, then=Temper.SCARCE)] * 3,
    Story(name="better", temper=Temper.DRY, then=Temper.STEADY),
    *[Story(name="never", temper=None)] * 2,
    Story(name="late", temper=Temper.GENEROUS, later_days=90),
    Story(name="shut", temper=Temper.STEADY, shut=(0.30, 0.45)),
    Story(name="captcha", outcome="captcha"),
    Story(name="refusing", outcome="blocked"),
    Story(name="hardly-seen", missed=0.6),
)
_FAMILIES = ("ezbooking", "ezbooking", "rdv_prefecture")
_PROCEDURES = (
    "renouvellement",
    "premiere_demande",
    "remise_titre",
    "naturalisation",
    "etudiant",
    "changement_statut",
)


@dataclass(slots=True)
class SimulatedDesk:
    """A desk, its life and its story; what it offers at any instant."""

    desk: Desk
    zone: ZoneInfo
    story: Story
    first: datetime
    last: datetime  # left out
    seed: int
    _stretches: list[tuple[float, float, int]] = field(init=False)
    _hours_off: list[tuple[float, float, str]] = field(init=False)

    def __post_init__(self) -> None:
        turn = self._instant(self.story.turn)
        begin, end = self.first.timestamp(), self.last.timestamp()
        parts = [(self.story.temper, begin - 90 * 86_400, turn if self.story.then else end)]
        if self.story.then:
            parts.append((self.story.then, turn, end))
        found: list[tuple[float, float, int]] = []
        self._hours_off = []
        for temper, since, until in parts:
            if temper is None:
                continue
            life = build_life(
                seed=self.seed,
                desk=self.desk.id,
                zone=self.zone,
                counters=("1", "2"),
                tempers=(temper, Temper.DRY),
            )
            found += self._offers_of(life, since, until)
            self._hours_off += self._troubles_of(life, since, until)
        if self.story.shut:
            begins, ends = self.story.shut
            self._hours_off.append((self._instant(begins), self._instant(ends), "closed"))
        self._stretches = sorted(found)
        self._hours_off.sort()

    def offers(self) -> list[tuple[float, float]]:
        """When something is free and the desk shows it, in unix seconds: disjoint, in order."""
        return _without(_union((since, until) for since, until, _ in self._stretches), self._hours_off)

    def found_at(self, instants: Sequence[float]) -> Iterator[tuple[str, int | None, int | None, int]]:
        """What probes at these unix seconds, in order, find: outcome, first and second slot, how many."""
        free: list[tuple[int, float]] = []  # slot, and until when
        place = off = 0
        for instant in instants:
            while place < len(self._stretches) and self._stretches[place][0] <= instant:
                _, until, slot = self._stretches[place]
                free.append((slot, until))
                place += 1
            free = [one for one in free if one[1] > instant]
            while off < len(self._hours_off) and self._hours_off[off][1] <= instant:
                off += 1
            if self.story.outcome:
                yield self.story.outcome, None, None, 0
            elif off < len(self._hours_off) and self._hours_off[off][0] <= instant:
                yield self._hours_off[off][2], None, None, 0
            elif free:
                slots = sorted({slot for slot, _ in free})
                yield "offered", slots[0], slots[1] if len(slots) > 1 else None, len(slots)
            else:
                yield "none", None, None, 0

    def _instant(self, part: float) -> float:
        return (self.first + part * (self.last - self.first)).timestamp()

    def _offers_of(self, life: DeskLife, since: float, until: float) -> Iterator[tuple[float, float, int]]:
        shift = self.story.later_days * 86_400
        for counter in life.counters.values():
            for week in self._weeks(since, until):
                for slot, begins, ends in counter.stretches(week):
                    if begins < until and ends > since and begins < ends:
                        yield max(begins, since), min(ends, until), slot + shift

    def _troubles_of(self, life: DeskLife, since: float, until: float) -> Iterator[tuple[float, float, str]]:
        for week in self._weeks(since, until):
            begins, ends = (
                datetime.combine(monday_of(number), time(), self.zone).timestamp()
                for number in (week, week + 1)
            )
            if life.condition(datetime.fromtimestamp((begins + ends) / 2, UTC)) is Condition.CLOSED:
                if begins >= since and ends <= until:
                    yield begins, ends, "closed"
                continue
            for counter in life.counters.values() if life.overload_minutes else ():
                at = counter.released_at(week).timestamp()
                if since <= at < until:
                    yield at, at + 60 * life.overload_minutes, "overloaded"

    def _weeks(self, since: float, until: float) -> range:
        first = week_number(datetime.fromtimestamp(since, UTC), self.zone)
        return range(first - _WEEKS_BEFORE, week_number(datetime.fromtimestamp(until, UTC), self.zone) + 1)


@dataclass(frozen=True, slots=True)
class SimulatedYear:
    """What was written, for those who check figures against the truth."""

    desks: tuple[SimulatedDesk, ...]
    first: date
    last: date
    observations: int


def draw_desks(
    *, seed: int, desks: int, first: date, last: date, stories: Sequence[Story] = STORIES
) -> tuple[SimulatedDesk, ...]:
    """``desks`` desks dealt to the départements in turn, with their stories."""
    places = [place for code, place in departements().items() if code != "99"]
    Random(f"{seed}/places").shuffle(places)
    cast = [stories[number % len(stories)] for number in range(desks)]
    Random(f"{seed}/stories").shuffle(cast)
    drawn = []
    for number, story in enumerate(cast):
        place = places[number % len(places)]
        rank = number // len(places)
        fate = Random(f"{seed}/desk/{number}")
        procedure = _PROCEDURES[(number + rank) % len(_PROCEDURES)]
        code = place.code.lower()
        desk = Desk(
            id=f"{code}-annee-{rank + 1}",
            family=fate.choice(_FAMILIES),
            departement=place.code,
            office=f"Préfecture simulée ({place.name})"
            if rank % 2 == 0
            else f"Sous-préfecture simulée ({place.name})",
            procedure=procedure,
            label=f"{PROCEDURES[procedure]} - guichet {rank + 1}",
            url=f"http://{code}.simulation.invalid/booking/create/{1000 + number}",
            source="simulation",
        )
        drawn.append(
            SimulatedDesk(
                desk=desk,
                zone=place.zone,
                story=story,
                first=datetime.combine(first, time(), place.zone).astimezone(UTC),
                last=datetime.combine(last + timedelta(days=1), time(), place.zone).astimezone(UTC),
                seed=seed,
            )
        )
    return tuple(drawn)


def simulate_year(
    connection: psycopg.Connection[Any],
    *,
    last: date,
    days: int = 365,
    seed: int = 1,
    desks: int = 130,
    stories: Sequence[Story] = STORIES,
    watch: bool = True,
    progress: Progress | None = None,
) -> SimulatedYear:
    """Write ``days`` days up to ``last`` of that many desks, by the owner's connection to a database to fill.

    ``watch`` adds probes after each release, as the learnt schedule would make: no rate may count them.
    """
    first = last - timedelta(days=days - 1)
    drawn = draw_desks(seed=seed, desks=desks, first=first, last=last, stories=stories)
    sync_catalogue(connection, _catalogue(drawn, seed), min(desk.first for desk in drawn))
    begun = datetime.combine(first, time(), UTC) - timedelta(days=1)
    connection.execute("SELECT ensure_partitions(%s, %s)", [begun, days // 28 + 2])
    slots: dict[ZoneInfo, list[Slot]] = {}
    written = 0
    for number, desk in enumerate(drawn, start=1):
        if desk.zone not in slots:
            slots[desk.zone] = list(_slots(desk))
        lines, visits = _lines(desk, slots[desk.zone], watch=watch)
        written += len(lines)
        with connection.transaction():
            _copy(connection, _COPY_OBSERVATIONS, lines)
            _copy(connection, _COPY_VISITS, visits)
        if progress:
            progress(number, len(drawn))
    _count(connection, [desk.desk.id for desk in drawn], first, last)
    return SimulatedYear(drawn, first, last, written)


_COPY_OBSERVATIONS = """COPY observations (id, probe, desk_id, family, departement, observed_at, outcome,
    rule, purpose, step, first_slot, second_slot, slot_has_time, slot_count, requests, parser, worker,
    host) FROM STDIN"""
_COPY_VISITS = "COPY baseline_visits (desk_id, slot_starts_at, begun_at, probe, fencing_token) FROM STDIN"


def _copy(connection: psycopg.Connection[Any], statement: str, lines: Sequence[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write("".join(lines))


def _count(connection: psycopg.Connection[Any], desks: list[str], first: date, last: date) -> None:
    """Rollups and sequences in large steps, where a refresh would take its queue by thousands of rows."""
    with connection.transaction():
        connection.execute("TRUNCATE rollup_queue")
        connection.execute("ANALYZE observations, baseline_visits")
        for desk in desks:
            connection.execute(
                """SELECT recompute_days(array_agg(%(desk)s::text), array_agg(day::date))
                FROM generate_series(%(first)s::timestamp, %(last)s, interval '1 day') AS day""",
                {"desk": desk, "first": first, "last": last},
            )
        connection.execute("TRUNCATE sequence_queue")
        for desk in desks:
            connection.execute(
                """SELECT recompute_sequences(array_agg(%(desk)s::text), array_agg(day::date))
                FROM generate_series(%(first)s::timestamp, %(last)s, interval '1 day') AS day""",
                {"desk": desk, "first": first, "last": last},
            )


def _slots(desk: SimulatedDesk) -> Iterator[Slot]:
    """The baseline slots that begin in the desk's year."""
    pattern = Pattern()
    slot = pattern.slot_at(desk.first, desk.zone)
    if slot.starts_at < desk.first:
        slot = pattern.slot_after(slot, desk.zone)
    while slot.starts_at < desk.last:
        yield slot
        slot = pattern.slot_after(slot, desk.zone)


def instants_of(desk_id: str, slots: Sequence[Slot]) -> list[datetime]:
    """The desk's instant in each slot: those of ``guichets.schedule.baseline.instant_in``, many at once."""
    found = []
    for slot in slots:
        begins = (slot.starts_at - _EPOCH) // _MICROSECOND
        digest = hashlib.blake2b(f"{desk_id} {begins}".encode(), digest_size=8).digest()
        length = (slot.ends_at - slot.starts_at) // _MICROSECOND
        found.append(slot.starts_at + timedelta(microseconds=int(length * (int.from_bytes(digest) / 2**64))))
    return found


def _lines(desk: SimulatedDesk, slots: Sequence[Slot], *, watch: bool) -> tuple[list[str], list[str]]:
    """The rows of observations and visits, as COPY reads them."""
    fate = Random(f"{desk.seed}/{desk.desk.id}/probes")
    other_fate = Random(f"{desk.seed}/{desk.desk.id}/watch")  # so that watching changes nothing else
    probes: list[tuple[datetime, Slot | None]] = [
        (instant, slot)
        for instant, slot in zip(instants_of(desk.desk.id, slots), slots, strict=True)
        if fate.random() >= desk.story.missed
    ]
    if watch:
        probes += [
            (datetime.fromtimestamp(since + 120, UTC), None)
            for since, until in desk.offers()
            if until - since > 240 and desk.first.timestamp() <= since < desk.last.timestamp() - 240
        ]
        probes.sort(key=lambda probe: probe[0])
    found = desk.found_at([instant.timestamp() for instant, _ in probes])
    of_desk = f"{desk.desk.id}\t{desk.desk.family}\t{desk.desk.departement}"
    of_end = f"{PARSER}\t{WORKER}\t{desk.desk.host}\n"
    lines, visits = [], []
    for (instant, slot), (outcome, first, second, count) in zip(probes, found, strict=True):
        if slot is not None:
            outcome = _befallen(fate, outcome)
        if outcome != "offered":
            first = second = None
            count = 0
        probe = _uuid(fate if slot is not None else other_fate, instant)
        at = instant.isoformat()
        lines.append(
            f"{probe}\t{probe}\t{of_desk}\t{at}\t{outcome}\tsandbox.{outcome}\t"
            f"{'baseline' if slot else 'watch'}\t{_NULL}\t{_slot_text(first)}\t{_slot_text(second)}\t"
            f"{'t' if first else _NULL}\t{count or _NULL}\t3\t{of_end}"
        )
        if slot is not None:
            visits.append(f"{desk.desk.id}\t{slot.starts_at.isoformat()}\t{at}\t{probe}\t1\n")
    return lines, visits


def _befallen(fate: Random, outcome: str) -> str:
    drawn = fate.random()
    for failure, share in _FAILS:
        drawn -= share
        if drawn < 0:
            return failure
    return outcome


def _slot_text(slot: int | None) -> str:
    return datetime.fromtimestamp(slot, UTC).isoformat() if slot else _NULL


def _uuid(fate: Random, instant: datetime) -> str:
    """A UUIDv7 of that instant."""
    milliseconds = (instant - _EPOCH) // timedelta(milliseconds=1)
    drawn = fate.getrandbits(74)
    text = f"{milliseconds:012x}7{drawn >> 62:03x}{0x8000000000000000 | drawn & (2**62 - 1):016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _catalogue(drawn: Sequence[SimulatedDesk], seed: int) -> Catalogue:
    version = hashlib.sha256(
        repr([(desk.desk.id, desk.story) for desk in drawn]).encode() + bytes([seed % 256])
    )
    return Catalogue(
        departements=departements(),
        desks=tuple(desk.desk for desk in drawn),
        channels=tuple(_channels(drawn)),
        hosts=tuple(
            HostRule(host=host, forbidden=True, note="simulation: no such host")
            for host in sorted({desk.desk.host for desk in drawn})
        ),
        folder="simulation",
        version=version.hexdigest(),
    )


def _channels(drawn: Sequence[SimulatedDesk]) -> Iterator[Channel]:
    """Most offices impose internet; every fifth one also answers the phone, every ninth one a letter."""
    seen: set[tuple[str, str]] = set()
    for number, simulated in enumerate(drawn):
        desk = simulated.desk
        if (desk.departement, desk.office) in seen:
            continue
        seen.add((desk.departement, desk.office))
        others = [name for name, every in (("phone", 5), ("post", 9), ("counter", 13)) if number % every == 0]
        since = simulated.first.date().replace(day=1)
        for channel in ("online", *others):
            yield Channel(
                office=desk.office,
                departement=desk.departement,
                procedure=desk.procedure,
                channel=channel,
                exclusive=channel == "online" and not others,
                valid_from=since,
                source="simulation",
            )


def _union(stretches: Iterator[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for since, until in stretches:  # in the order of their beginning
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return merged


def _without(
    stretches: list[tuple[float, float]], cuts: Sequence[tuple[float, float, str]]
) -> list[tuple[float, float]]:
    for begins, ends, _ in cuts:
        left = [(since, min(until, begins)) for since, until in stretches if since < begins]
        stretches = left + [(max(since, ends), until) for since, until in stretches if until > ends]
    return sorted(stretches)
