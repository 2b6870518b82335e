"""What was learnt of releases, for a terminal: a line per habit, and the week hour by hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

NOTHING_YET = (
    "Rien n'est encore appris : la veille apprend des visites d'un robot qui dure "
    "(scrapy crawl … -a minutes=N), ou de guichets releases --relearn."
)
WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
SHADES = (
    (0.75, "██", "bold green"),
    (0.5, "▓▓", "green"),
    (0.25, "▒▒", "yellow"),
    (0.05, "░░", "dim"),
    (0.0, " ·", "dim"),
)
"""From this share of the busiest hour upwards: what fills an hour, and its style where there are colours."""

Row = Mapping[str, Any]


def render_releases(
    rows: Sequence[Row], maps: Mapping[str, Sequence[float]], *, has_all_desks: bool
) -> RenderableType:
    """The habits of some desks, then their week; desks without any are counted, unless ``has_all_desks``."""
    if not rows:
        return Text(NOTHING_YET)
    shown = [row for row in rows if has_all_desks or row["kind"] is not None]
    without = sum(row["kind"] is None for row in rows)
    parts: list[RenderableType] = [_table(shown), Text("")] if shown else []
    if without and not has_all_desks:
        parts.append(Text(f"{_counted(without, 'guichet')} sans habitude apprise.\n"))
    desks = {row["desk_id"] for row in rows}
    parts.append(_week([maps[desk] for desk in desks]))
    if shown:
        first = shown[0]["desk_id"]
        since = min((row["since"] for row in shown if row["desk_id"] == first and row["since"]), default=None)
        if since is not None:
            evidence = f"guichets export --desks {first} --since {since}"
            parts.append(Text(f"\nLes visites sur lesquelles cela repose : {evidence}"))
    parts.append(Text("Heures exactes : pour l'exploitant et ses partenaires, à ne pas publier."))
    return Group(*parts)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("guichet", overflow="fold", ratio=3)
    table.add_column("ouvre", overflow="fold", ratio=3)
    for heading in ("durée", "confiance", "depuis", "preuves"):
        table.add_column(heading, justify="right", no_wrap=True)
    desk = None
    for row in rows:
        name = row["desk_id"] if row["desk_id"] != desk else ""
        desk = row["desk_id"]
        if row["kind"] is None:
            table.add_row(
                Text(name), f"pas d'habitude ({_counted(row['sightings'], 'visite')})", "–", "–", "–", "–"
            )
            continue
        table.add_row(
            Text(name),
            describe(row),
            _length(row["usual_length_minutes"]),
            f"{row['confidence']:.0%}".replace("%", " %"),
            f"{row['since']:%d/%m/%Y}",
            f"{row['evidence']}/{row['sightings']}",
        )
    return table


def describe(row: Row) -> str:
    """When a desk opens, in words: « du lundi au vendredi vers 9 h 00, à 4 min près »."""
    days = _days(row["weekdays"])
    spread = f", à {row['spread_minutes']:.0f} min près" if row["spread_minutes"] >= 1 else ""
    if row["kind"] == "cycle":
        minutes = _listed(f"{minute:02}" for minute in row["minutes_of_hour"])
        return f"aux minutes {minutes} de l'heure{_on(days)}{spread}"
    if row["local_time"] is None:
        return f"à toute heure{_on(days)}"
    at = row["local_time"]
    return f"{days or 'tous les jours'} vers {at.hour} h {at.minute:02}{spread}"


def _days(weekdays: Sequence[int]) -> str:
    """Nothing for all seven, or none."""
    if len(weekdays) in (0, 7):
        return ""
    if len(weekdays) > 2 and weekdays[-1] - weekdays[0] == len(weekdays) - 1:
        return f"du {WEEKDAYS[weekdays[0] - 1]} au {WEEKDAYS[weekdays[-1] - 1]}"
    return _listed(WEEKDAYS[weekday - 1] for weekday in weekdays)


def _on(days: str) -> str:
    return f", {days}" if days else ""


def _week(maps: Sequence[Sequence[float]]) -> RenderableType:
    """Seven lines of 24 hours; how full a mark is tells how many openings are expected, colours or not."""
    hours = [sum(one[place] for one in maps) for place in range(168)]
    most = max(hours)
    table = Table(box=None, pad_edge=False, padding=0, header_style="dim")
    table.add_column("", no_wrap=True)
    for hour in range(24):
        # two characters an hour leave no room for each number
        table.add_column(f"{hour:2}" if hour % 3 == 0 else "", no_wrap=True, width=2)
    for day, name in enumerate(WEEKDAYS):
        table.add_row(f"{name:9}", *(_mark(value, most) for value in hours[24 * day : 24 * day + 24]))
    heading = f"Ouvertures attendues, heure par heure (heure locale), {_counted(len(maps), 'guichet')} :"
    if most <= 0:
        return Group(Text(heading), table, Text("Aucune n'est attendue."))
    legend = ", ".join(f"{mark.strip()} {_number(share * most)} et plus" for share, mark, _ in SHADES[:-1])
    return Group(Text(heading), table, Text(f"{legend}, · moins."))


def _mark(value: float, most: float) -> Text:
    share = value / most if most > 0 else 0.0
    mark, style = next((mark, style) for least, mark, style in SHADES if share >= least)
    return Text(mark, style=style)


def _number(value: float) -> str:
    return (f"{value:.1f}" if value >= 1 else f"{value:.2g}").replace(".", ",")


def _length(minutes: float | None) -> str:
    if minutes is None:
        return "–"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _listed(words: Iterable[str]) -> str:
    found = list(words)
    return " et ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number < 2 else f"{number} {noun}s"
