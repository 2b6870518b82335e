"""Pictures as SVG inside the page: the map and the timeline. Colours come from the style sheet, by class."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from guichets.statistics.facts import Counts, total
from guichets.statistics.quarters import GroupQuarter

BOUNDS = (0.01, 0.05, 0.2, 0.6)  # between the classes of the map, above « never »
STATES = ("offered", "none", "closed", "dysfunction", "barrier", "other", "missed")
BAR_WIDTH, BAR_HEIGHT = 8, 120


@cache
def outlines() -> Mapping[str, Any]:
    """``data/map.json``: the outlines, made by ``guichets.site.simplify``."""
    found: Mapping[str, Any] = json.loads(
        files("guichets.site").joinpath("data/map.json").read_text(encoding="utf-8")
    )
    return found


def map_class(group: GroupQuarter | None) -> str:
    """A département's class: c0 (never) to c5, ``missing`` below the floor, ``nowhere`` without a desk."""
    if group is None:
        return "nowhere"
    share = group.figures.availability
    if share is None:
        return "missing"
    if group.figures.never_offered:
        return "c0"
    return f"c{1 + sum(share.value >= bound for bound in BOUNDS)}"


def draw_map(
    groups: Mapping[str, GroupQuarter],
    *,
    link: Callable[[str], str],
    title: Callable[[str], str],
    caption: str,
) -> Markup:
    """The map; each outline leads to its département's page and bears its figure as its name."""
    drawn = outlines()
    parts = [
        f'<svg class="map" viewBox="0 0 {drawn["width"]} {drawn["height"]}" role="group" '
        f'aria-label="{escape(caption)}">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect class="hatch-back" width="6" height="6"/>'
        '<rect class="hatch-line" width="2" height="6"/></pattern></defs>'
    ]
    parts += [
        f'<rect class="box" x="{left}" y="{top}" width="{side}" height="{side}"/>'
        for _, left, top, side in drawn["boxes"]
    ]
    for code, path in drawn["paths"].items():
        parts.append(_outline(path, code, groups.get(code), link, title))
    # Drawn twice, told once: the large ones of Paris are for the eye and the pointer.
    for code, path in drawn["paris"].items():
        parts.append(f'<a href="{escape(link(code))}" tabindex="-1" aria-hidden="true">')
        parts.append(f'<path class="{map_class(groups.get(code))}" d="{path}"/></a>')
    return Markup("".join(parts) + "</svg>")  # what is not ours was escaped above


def _outline(
    path: str,
    code: str,
    group: GroupQuarter | None,
    link: Callable[[str], str],
    title: Callable[[str], str],
) -> str:
    name = escape(title(code))
    return (
        f'<a href="{escape(link(code))}" aria-label="{name}"><path class="{map_class(group)}" d="{path}">'
        f"<title>{name}</title></path></a>"
    )


@dataclass(frozen=True, slots=True)
class Week:
    """What was found in a week, all desks of a département together."""

    monday: date
    shares: Mapping[str, float]  # by state; of the slots that were due


def weeks_of(days: Sequence[tuple[date, Counts]]) -> list[Week]:
    """The weeks, in order; ``days``: of all desks, in any order."""
    by_monday: dict[date, list[Counts]] = {}
    for day, counts in days:
        by_monday.setdefault(day - timedelta(days=day.weekday()), []).append(counts)
    found = []
    for monday, several in sorted(by_monday.items()):
        counts = total(several)
        due = max(counts.slots_due, counts.probes, 1)
        known = {
            "offered": counts.offered,
            "none": counts.none,
            "closed": counts.closed,
            "dysfunction": counts.dysfunction,
            "barrier": counts.barrier,
            "other": counts.open + counts.moved + counts.gone + counts.unrecognised,
        }
        shares = {state: number / due for state, number in known.items()}
        found.append(Week(monday, shares | {"missed": max(0.0, 1 - sum(shares.values()))}))
    return found


def draw_timeline(weeks: Sequence[Week], *, caption: str, year: Callable[[date], str]) -> Markup:
    """One bar a week, from bottom to top: what was offered first."""
    width = max(1, len(weeks)) * BAR_WIDTH
    parts = [
        f'<svg class="timeline" viewBox="0 0 {width} {BAR_HEIGHT + 18}" width="{width}" '
        f'height="{BAR_HEIGHT + 18}" role="img" aria-label="{escape(caption)}">'
    ]
    for place, week in enumerate(weeks):
        base = float(BAR_HEIGHT)
        for state in STATES:
            height = round(week.shares[state] * BAR_HEIGHT, 1)
            if height <= 0:
                continue
            base = max(0.0, base - height)
            parts.append(
                f'<rect class="s-{state}" x="{place * BAR_WIDTH}" y="{base:g}" width="{BAR_WIDTH - 1}" '
                f'height="{height:g}"/>'
            )
        if place == 0 or (week.monday.month != weeks[place - 1].monday.month and week.monday.month % 6 == 1):
            parts.append(
                f'<text x="{place * BAR_WIDTH}" y="{BAR_HEIGHT + 14}">{escape(year(week.monday))}</text>'
            )
    return Markup("".join(parts) + "</svg>")  # what is not ours was escaped above
