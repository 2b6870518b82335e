"""What the pages of one contribution say of a desk: one verdict, whoever reads them and whenever."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guichets.outcomes import RATED, best_of
from guichets.page import Page, Reading
from guichets.visit import redirect_target


def verdict_of(pages: Sequence[Page], read: Callable[[Page], Reading]) -> Reading | None:
    """The desk's reading; None when no page concludes anything.

    A person may have tried several counters, in any order: as with counters, any offer wins. Of pages that
    agree, the last one that shows dates is taken, else the last one.
    """
    conclusive = [reading for _, reading in conclusions(pages, read)]
    rated = [reading for reading in conclusive if reading.outcome in RATED] or conclusive
    if not rated:
        return None
    outcome = best_of(reading.outcome for reading in rated if reading.outcome is not None)
    agreeing = [reading for reading in rated if reading.outcome is outcome]
    return next((reading for reading in reversed(agreeing) if reading.slots), agreeing[-1])


def conclusions(pages: Sequence[Page], read: Callable[[Page], Reading]) -> list[tuple[int, Reading]]:
    """The pages that conclude something, by their place; what only leads elsewhere says nothing."""
    found = []
    for place, page in enumerate(pages):
        if redirect_target(page.url, page.status, page.headers.get("location")) is None:
            reading = read(page)
            if reading.outcome is not None:
                found.append((place, reading))
    return found
