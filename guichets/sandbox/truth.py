"""What an honest probe must establish about a desk, in the words of outcomes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from guichets.outcomes import Outcome, best_of
from guichets.sandbox.families import DatesMoreThanOffers, Family, ListsWhatIsFree, Shown, families
from guichets.sandbox.play import CounterNow, Situation
from guichets.sandbox.scenes import Stage


def truth_of(situation: Situation) -> dict[str, Any]:
    """The expected observation of the desk, and of each counter a visit can tell apart.

    ``counters`` is empty when a visit has its verdict before it sees any, and for desks without a choice.
    Slots are those the visit's pages show, which may be fewer than exist.
    """
    known: dict[str, Any] | None = situation.built.get("truth")
    if known is None:
        known = situation.built["truth"] = _truth(situation, families()[situation.desk.family])
    return known


def _truth(situation: Situation, family: Family) -> dict[str, Any]:
    scene = situation.scene
    counters: dict[str, Any] = {}
    hidden = scene is not None and scene.hides_everything
    found = [(counter, *_of_counter(situation, counter, family)) for counter in situation.counters]
    if hidden:
        assert scene is not None
        outcome, shown = scene.outcome, None
    else:
        outcome = best_of(verdict for _, verdict, _ in found)
        shown = _together([seen for _, _, seen in found if seen])
    if situation.has_choice and not situation.ends_early and not hidden:
        if isinstance(family, ListsWhatIsFree):
            listed = family.seen(situation)
            found = [(counter, *_of_counter(situation, counter, family)) for counter in listed]
        counters = {
            counter.key: {"label": counter.label, **_line(verdict, seen)} for counter, verdict, seen in found
        }
    return {
        "at": situation.at.isoformat(),
        "scene": scene.name if scene else None,
        **_line(outcome, shown),
        "free_slots": sum(len(counter.slots) for counter in situation.counters),
        "counters": counters,
    }


def _of_counter(situation: Situation, counter: CounterNow, family: Family) -> tuple[Outcome, Shown | None]:
    """A counter's outcome, and the part of its calendar a visit can read."""
    scene = situation.scene
    if scene is not None and scene.stage is Stage.ANSWER and scene.outcome is not None:
        return scene.outcome, None
    outcome = family.told(situation, counter)
    dated = family.dated if isinstance(family, DatesMoreThanOffers) else {Outcome.OFFERED}
    if outcome not in dated or (scene is not None and scene.stage is Stage.CALENDAR):
        return outcome, None
    return outcome, family.shown(situation, counter)


def _together(shown: list[Shown]) -> Shown | None:
    if not shown:
        return None
    slots = tuple(sorted({slot for seen in shown for slot in seen.slots}, key=lambda slot: slot.isoformat()))
    counts = [seen.count for seen in shown if seen.count is not None]
    horizon = max((seen.horizon for seen in shown if seen.horizon), default=None)
    return Shown(slots, horizon, sum(counts) if counts else None)


def _line(outcome: Outcome | None, shown: Shown | None) -> dict[str, Any]:
    slots = shown.slots if shown else ()
    return {
        "outcome": str(outcome),
        "first_slot": _iso(slots, 0),
        "second_slot": _iso(slots, 1),
        "slot_count": (len(slots) if shown.count is None else shown.count) if shown else None,
        "horizon_end": shown.horizon.isoformat() if shown and shown.horizon else None,
    }


def _iso(slots: tuple[datetime | date, ...], place: int) -> str | None:
    return slots[place].isoformat() if len(slots) > place else None
