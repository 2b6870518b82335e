"""Observations for tests: everything given but what a test is about."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from guichets.items import Observation, Slot, new_probe_id
from guichets.outcomes import Outcome

OBSERVED_AT = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


def build_observation(**fields: Any) -> Observation:
    """A desk's observation; ``slots`` also fills the first, the second and the count."""
    probe = new_probe_id()
    slots: tuple[Slot, ...] = tuple(fields.get("slots", ()))
    earliest = sorted((slot.starts for slot in slots), key=_in_order)
    known: dict[str, Any] = {
        "id": probe,
        "probe": probe,
        "desk": "92-nanterre-remise-titre",
        "family": "ezbooking",
        "departement": "92",
        "observed_at": OBSERVED_AT,
        "outcome": Outcome.OFFERED if slots else Outcome.NONE,
        "rule": "ezbooking.test",
        "parser": "ezbooking@1",
        "worker": "test",
        "first_slot": earliest[0] if slots else None,
        "second_slot": earliest[1] if len(slots) > 1 else None,
        "slot_count": len(slots) or None,
    }
    return Observation(**{**known, **fields})


def _in_order(starts: datetime | date) -> tuple[date, float]:
    return (starts.date(), starts.timestamp()) if isinstance(starts, datetime) else (starts, 0.0)
