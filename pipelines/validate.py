"""First stage: normalise what can be, drop doubles, and let no observation contradict itself.

An observation is never lost here: one that contradicts itself becomes `unrecognised`, with the reason in
its note. Doubles (the same id again) are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem

from guichets.crawl import stats
from guichets.facts import kept_facts
from guichets.items import Observation, Slot
from guichets.outcomes import Outcome

OLDEST_SLOT = timedelta(days=1)  # before the observation: a slot of this morning may still be shown
FARTHEST_SLOT = timedelta(days=2 * 366)  # no calendar was seen to go further than some months
REMEMBERED = 10_000  # ids kept to recognise doubles
LONGEST_TEXT = 500  # characters of a label or note; a page may hold anything
CONTRADICTION = "validate.contradiction"


class ValidatePipeline:
    """Checks each observation against itself."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._seen: OrderedDict[UUID, None] = OrderedDict()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Observation):
            return item
        if item.id in self._seen:
            raise DropItem(f"observation {item.id} of {item.desk} came twice")
        self._seen[item.id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        checked = validate(item)
        if checked.note != item.note and self._crawler.stats is not None:
            self._crawler.stats.inc_value(stats.NORMALISED)
        return checked


def validate(observation: Observation) -> Observation:
    """The observation with sane values; each change is told in its note."""
    reasons: list[str] = []
    slots = _in_order(_plausible(observation, reasons))
    horizon = _horizon(observation, reasons)
    contradiction = _contradiction(observation, slots)
    if contradiction is not None:
        reasons.append(f"{observation.outcome} by {observation.rule}: {contradiction}")
        slots = ()
    if observation.outcome is not Outcome.OFFERED:
        slots = ()
    count = observation.slot_count
    if count is not None and (count < len(slots) or count > 1_000_000 or not slots):
        count = len(slots) or None
    note = "; ".join([*([observation.note] if observation.note else []), *reasons]) or None
    return replace(
        observation,
        outcome=Outcome.UNRECOGNISED if contradiction else observation.outcome,
        rule=CONTRADICTION if contradiction else observation.rule,
        counter_label=_clean(observation.counter_label),
        slots=slots,
        first_slot=slots[0].starts if slots else None,
        second_slot=slots[1].starts if len(slots) > 1 else None,
        slot_count=count,
        horizon_end=horizon,
        note=_clean(note),
        facts=kept_facts(observation.facts, observation.family) if observation.facts else (),
    )


def _plausible(observation: Observation, reasons: list[str]) -> tuple[Slot, ...]:
    kept = []
    for slot in observation.slots:
        starts = slot.starts
        day = starts.astimezone(UTC).date() if isinstance(starts, datetime) else starts
        if _is_plausible(day, observation.observed_at):
            kept.append(slot)
        else:
            reasons.append(f"slot {starts.isoformat()} left out: too far from the visit")
    return tuple(kept)


def _in_order(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """Each instant once, earliest first; a day without an hour comes before the hours of its day."""
    found: dict[tuple[date, bool, float], Slot] = {}
    for slot in slots:
        starts = slot.starts
        if isinstance(starts, datetime):
            found.setdefault((starts.date(), True, starts.timestamp()), slot)
        else:
            found.setdefault((starts, False, 0.0), slot)
    return tuple(found[key] for key in sorted(found))


def _is_plausible(day: date, observed_at: datetime) -> bool:
    today = observed_at.astimezone(UTC).date()
    return today - OLDEST_SLOT <= day <= today + FARTHEST_SLOT


def _contradiction(observation: Observation, slots: tuple[Slot, ...]) -> str | None:
    if observation.outcome in {Outcome.NONE, Outcome.CLOSED, Outcome.GONE} and observation.slots:
        return f"yet {len(observation.slots)} slots were read"
    if observation.outcome is Outcome.OFFERED and observation.slots and not slots:
        return "every slot shown is too far from the visit"
    return None


def _horizon(observation: Observation, reasons: list[str]) -> date | None:
    horizon = observation.horizon_end
    if horizon is not None and not _is_plausible(horizon, observation.observed_at):
        reasons.append(f"horizon {horizon.isoformat()} left out: too far from the visit")
        return None
    return horizon


def _clean(text: str | None) -> str | None:
    """Without what PostgreSQL's text cannot hold, and not endless."""
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:LONGEST_TEXT]
