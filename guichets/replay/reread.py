"""One visit read again: which of its observations today's readers would have made otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from guichets.contribution import verdict_of
from guichets.items import Observation, new_probe_id
from guichets.outcomes import Outcome
from guichets.page import Reading
from guichets.replay.family import Family, Normalise
from guichets.replay.probe import NOT_ARCHIVED, Answer, Memory, ReplayedProbe, walk_now
from guichets.replay.visits import RecordedVisit
from guichets.visit import desk_reading, verdict_fields

WITHOUT_A_PAGE = ("network.", "gate.", "lease.", "observer.", "browser.", "host.paused", "robots")
"""Rules of what never was a page: no reader decided, so no reader can decide otherwise."""


class NotReplayed(StrEnum):
    """Why a visit stays as it is."""

    NO_PAGE = "no page was archived"
    PRUNED = "its pages went by retention"
    UNREADABLE = "an archived page is broken or missing"
    NO_FAMILY = "no reader of that family in this version"
    OTHER_ADDRESS = "the desk's address has changed, and the walk begins elsewhere"
    READER_FAILED = "today's reader failed on a page"


@dataclass(frozen=True, slots=True)
class Change:
    """An observation and what today's readers make of the same pages."""

    old: Observation
    new: Observation  # supersedes the old one, with an id of its own
    crawl: UUID | None  # that made the visit


def reread(
    visit: RecordedVisit,
    family: Family,
    answers: Sequence[Answer],
    *,
    normalise: Normalise,
    memory: Memory | None = None,
) -> list[Change] | NotReplayed:
    """The changes of one visit, counters first; an empty list when today's readers agree."""
    if not answers:
        return NotReplayed.NO_PAGE
    if visit.desk_line.purpose == "contributed":
        reading = verdict_of([answer.page for answer in answers], family.read) or NOT_ARCHIVED
        readings: dict[str | None, Reading] = {None: reading}
    else:
        walked = _walk(visit, family, answers, memory)
        if walked is None:
            return NotReplayed.OTHER_ADDRESS
        readings = walked
    changes = []
    for old in (*visit.counters, visit.desk_line):
        new = normalise(
            replace(old, parser=family.parser, **verdict_fields(readings[old.counter], visit.zone))
        )
        if _substance(new) != _substance(old):
            changes.append(Change(old, replace(new, id=new_probe_id(), supersedes=old.id), visit.crawl))
    return changes


def _walk(
    visit: RecordedVisit, family: Family, answers: Sequence[Answer], memory: Memory | None
) -> dict[str | None, Reading] | None:
    """What each line says today; None when the walk's first request is nowhere in the archive."""
    desk = visit.desk
    for url in dict.fromkeys((desk.url, answers[0].url)):
        # the catalogue may have changed since; the first address asked then was an entry too
        probe = ReplayedProbe(replace(desk, url=url), visit.zone, family.read, answers, memory)
        walk_now(family.walk(probe))
        if probe.asked:
            return _settle(visit, probe)
    return None


def _settle(visit: RecordedVisit, probe: ReplayedProbe) -> dict[str | None, Reading]:
    concluded = probe.readings()
    if not visit.counters:
        return {None: _settle_line(visit.desk_line, concluded.get(None))}
    readings = {line.counter: _settle_line(line, concluded.get(line.counter)) for line in visit.counters}
    order = [counter.key for counter in probe.counters if counter.key in readings]
    order += [key for key in readings if key is not None and key not in order]
    whole = concluded.get(None) or desk_reading([readings[key] for key in order])
    return {**readings, None: whole}


def _settle_line(old: Observation, today: Reading | None) -> Reading:
    """Today's reading where there is one; what never was a page stays what it was."""
    if old.outcome is Outcome.OBSERVER_FAULT or old.rule.startswith(WITHOUT_A_PAGE):
        return _reading_of(old)
    if today is not None:
        return today
    return _reading_of(old) if old.rule.startswith("http.") else NOT_ARCHIVED


def _reading_of(line: Observation) -> Reading:
    return Reading(
        outcome=line.outcome,
        rule=line.rule,
        step=line.step,
        slots=line.slots,
        slot_count=line.slot_count,
        horizon_end=line.horizon_end,
        note=line.note,
        facts=line.facts,
    )


def _substance(line: Observation) -> tuple[object, ...]:
    """What must differ for an observation to be superseded: a new version of a reader alone is nothing."""
    slots = frozenset(slot.starts for slot in line.slots)
    return line.outcome, line.rule, line.step, line.slot_count, line.horizon_end, slots, line.facts
