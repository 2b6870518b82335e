"""The table by département, as people read it on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from guichets.catalogue import departements
from guichets.outcomes import OutcomeGroup

NOTHING_YET = "Aucune observation : la base de données n'a encore rien à montrer."

COLUMNS: Mapping[OutcomeGroup, str] = {
    OutcomeGroup.OFFERED: "offert",
    OutcomeGroup.NONE: "rien",
    OutcomeGroup.CLOSED: "fermé",
    OutcomeGroup.DYSFUNCTION: "en\npanne",
    OutcomeGroup.BARRIER: "barrière",
    OutcomeGroup.UNRECOGNISED: "non\nreconnu",
    OutcomeGroup.OTHER: "autre",
}
"""Group of outcomes -> the words that head its column."""

AMBIGUOUS_AFTER = timedelta(days=300)  # a day and month alone would be read as nearer than it is
NARROWEST_NAME = 10  # characters left to a département's code and name on the narrowest screen

_PARIS = ZoneInfo("Europe/Paris")
_STYLES = {
    OutcomeGroup.OFFERED: "bold green",
    OutcomeGroup.DYSFUNCTION: "red",
    OutcomeGroup.BARRIER: "yellow",
}

Row = Mapping[str, Any]


def render_status_table(rows: Iterable[Row], *, now: datetime) -> RenderableType:
    """Rows of the view ``departement_status`` as a table with its totals; ``now`` settles short dates."""
    known = list(rows)
    observed = [row for row in known if row["last_observed_at"] is not None]
    if not observed:
        return Text(NOTHING_YET)
    missing = sum(row["not_yet_observed"] for row in known)
    return Group(_StatusTable(observed, now), Text(""), Text(_footer(observed, missing=missing)))


class _StatusTable:
    """Builds the table for the width it is given, cutting names and nothing else."""

    def __init__(self, rows: Sequence[Row], now: datetime) -> None:
        self.rows = rows
        self.now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [*(f"{row['departement']:<3} {row['name']}" for row in self.rows), "Total"]
        table = self._table(names)
        too_wide = console.measure(table, options=options.update(width=10_000)).maximum - options.max_width
        if too_wide > 0:
            longest = max(map(len, names))
            width = max(NARROWEST_NAME, longest - too_wide)
            table = self._table([_cut(name, width) for name in names])
        yield table

    def _table(self, names: Sequence[str]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("département", no_wrap=True)
        for group, heading in COLUMNS.items():
            table.add_column(heading, justify="right", no_wrap=True, style=_STYLES.get(group, ""))
        table.add_column("premières\ndates", no_wrap=True)
        table.add_column("vu", no_wrap=True, justify="right")
        for name, row in zip(names, self.rows, strict=False):  # the last name heads the totals
            counts = (_count(row[group.value]) for group in COLUMNS)
            table.add_row(Text(name), *counts, _dates(row, self.now), _seen(row, self.now))
        totals = (_count(sum(row[group.value] for row in self.rows)) for group in COLUMNS)
        table.add_row(names[-1], *totals, style="bold")
        return table


def render_family_table(counts: Mapping[str, Mapping[OutcomeGroup, int]]) -> RenderableType:
    """How many desks of each platform family had which outcome last, by family."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("plateforme", no_wrap=True)
    for group, heading in COLUMNS.items():
        table.add_column(heading, justify="right", no_wrap=True, style=_STYLES.get(group, ""))
    for family, found in counts.items():
        table.add_row(Text(family), *(_count(found.get(group, 0)) for group in COLUMNS))
    return table


def _count(number: int) -> str:
    return str(number) if number else "·"


def _dates(row: Row, now: datetime) -> str:
    zone = departements()[row["departement"]].zone
    dates = [row[name].astimezone(zone) for name in ("first_slot", "second_slot") if row[name] is not None]
    return " ".join(_short_day(date, now) for date in dates) or "–"


def _short_day(instant: datetime, now: datetime) -> str:
    if abs(instant - now) < AMBIGUOUS_AFTER:
        return instant.strftime("%d/%m")
    return instant.strftime("%m/%Y")


def _seen(row: Row, now: datetime) -> str:
    local, today = row["last_observed_at"].astimezone(_PARIS), now.astimezone(_PARIS)
    return str(local.strftime("%H:%M")) if local.date() == today.date() else _short_day(local, now)


def _footer(rows: Sequence[Row], *, missing: int) -> str:
    """How much the rows show, how old it is, and what is missing from it."""
    last = max(row["last_observed_at"] for row in rows).astimezone(_PARIS)
    seen = sum(row[group.value] for row in rows for group in COLUMNS)
    footer = (
        f"{_counted(seen, 'guichet')} de {_counted(len(rows), 'département')}.\n"
        f"Dernière observation : {last:%d/%m/%Y %H:%M} (heure de Paris)."
    )
    if missing:
        footer += f"\nPas encore observés : {_counted(missing, 'guichet')}."
    return footer


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number < 2 else f"{number} {noun}s"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
