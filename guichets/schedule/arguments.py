"""The arguments of ``scrapy crawl <family> -a …``, read and checked before any request."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from guichets.errors import ArgumentError
from guichets.schedule.lease import Selection

NAMES = ("departements", "desks", "due", "minutes")
SCRAPYD_NAMES = frozenset({"_job", "_version"})  # Scrapyd hands them to every spider it starts
LONGEST_MINUTES = 60 * 24 * 366


@dataclass(frozen=True, slots=True)
class CrawlArguments:
    """What a crawl was asked for. ``minutes`` is None when it ends as soon as nothing is due."""

    selection: Selection
    minutes: float | None = None


def read_arguments(family: str, given: Mapping[str, Any]) -> CrawlArguments:
    """Read the arguments by their form. Raises ArgumentError in one line, with the value quoted."""
    for name in given:
        if name not in NAMES and name not in SCRAPYD_NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ArgumentError(f"-a {name}: unknown argument; known: {', '.join(NAMES)}.{hint}")
    due = str(given.get("due", "due"))
    if due not in {"due", "all"}:
        raise ArgumentError(f"-a due={due!r}: expected due (what is due now) or all (every desk once)")
    return CrawlArguments(
        Selection(
            family=family,
            departements=_list("departements", given.get("departements"), str.upper),
            desks=_list("desks", given.get("desks"), str.lower),
            everything=due == "all",
        ),
        minutes=_minutes(given.get("minutes")),
    )


def check_known(selection: Selection, *, desks: Mapping[str, str], departements: Collection[str]) -> None:
    """Raise ArgumentError for départements and desks nobody knows; ``desks`` maps ids to families."""
    for code in selection.departements or ():
        _must_be_known("departements", code, departements, "département")
    for desk_id in selection.desks or ():
        _must_be_known("desks", desk_id, desks, "desk")
        if desks[desk_id] != selection.family:
            raise ArgumentError(
                f"-a desks={desk_id!r}: this desk is of family {desks[desk_id]}: "
                f"scrapy crawl {desks[desk_id]} -a desks={desk_id}"
            )


def _must_be_known(name: str, value: str, known: Collection[str], what: str) -> None:
    if value in known:
        return
    near = difflib.get_close_matches(value, list(known), n=1)
    hint = f"Did you mean {near[0]}?" if near else "`guichets catalogue list` shows what there is."
    raise ArgumentError(f"-a {name}={value!r}: unknown {what}. {hint}")


def _list(name: str, given: Any, case: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    parts = tuple(case(part.strip()) for part in str(given).split(",") if part.strip())
    if not parts:
        raise ArgumentError(f"-a {name}={given!r}: expected values separated by commas")
    return tuple(part.zfill(2) if name == "departements" else part for part in parts)


def _minutes(given: Any) -> float | None:
    if given is None:
        return None
    try:
        minutes = float(given)
    except ValueError:
        minutes = -1.0
    if not 0 < minutes <= LONGEST_MINUTES:
        raise ArgumentError(f"-a minutes={given!r}: expected a number of minutes above 0")
    return minutes
