"""From rows to figures through the database: SQL counts what happened, and watching changes nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from guichets.sandbox.world import Temper
from guichets.sandbox.year import SimulatedYear, Story, _slots, simulate_year
from guichets.schedule.baseline import instant_in
from guichets.statistics import Observatory, Quarter, Reports, Rules
from guichets.statistics.facts import total
from tests.database_fixtures import Database
from tests.site.conftest import read_public
from tests.statistics.truth import true_availability

STORIES = (
    Story(name="steady", temper=Temper.STEADY),
    Story(name="scarce", temper=Temper.SCARCE),
    Story(name="shut", temper=Temper.GENEROUS, shut=(0.4, 0.6)),
)
LAST = date(2026, 3, 31)  # with the night when clocks go forward


def simulated(database: Database, *, watch: bool) -> tuple[SimulatedYear, Observatory]:
    with database.connect() as connection:
        year = simulate_year(connection, last=LAST, days=59, seed=5, desks=3, stories=STORIES, watch=watch)
    return year, read_public(database)


def test_watch_probes_move_no_figure(database: Database, empty_database: Database) -> None:
    from guichets import database as guichets_database

    guichets_database.upgrade(empty_database.dsn)
    watched_year, watched = simulated(database, watch=True)
    plain_year, plain = simulated(empty_database, watch=False)
    assert watched_year.observations > plain_year.observations
    for name, desk in plain.desks.items():
        assert watched.desks[name].days == desk.days
        assert watched.desks[name].first_delays == desk.first_delays
        assert watched.desks[name].openings == desk.openings


def test_figures_hold_what_the_desks_lived(database: Database) -> None:
    year, observatory = simulated(database, watch=True)
    report = Reports(observatory, Rules()).of(Quarter(2026, 1))
    for simulated_desk in year.desks:
        known = report.desks[simulated_desk.desk.id]
        counts = total(entry.counts for entry in known.desk.days)
        slots = list(_slots(simulated_desk))
        assert counts.slots_due == len(slots)
        assert 0.9 < (known.figures.coverage or 0) < 1
        told = known.figures.availability
        assert told is not None
        truth = true_availability(slots, simulated_desk.offers())
        assert told.low - 0.005 <= truth <= told.high + 0.005, simulated_desk.story.name
        if simulated_desk.story.name == "shut":
            assert counts.closed > 100
        if simulated_desk.story.name == "steady":
            assert known.first is not None
            assert known.duration is not None
            assert known.duration.at_least_minutes <= known.duration.at_most_minutes


def test_instants_are_those_of_the_real_schedule(database: Database) -> None:
    year, _ = simulated(database, watch=False)
    desk = year.desks[0]
    planned = {instant_in(slot, desk.desk.id) for slot in _slots(desk)}
    with database.connect("reader") as connection:
        rows = connection.execute("SELECT observed_at FROM observations WHERE desk_id = %s", [desk.desk.id])
        seen = {row[0] for row in rows}
    assert len(seen) > 1000
    assert seen <= planned


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_method_of_the_docs_is_that_of_the_site(language: str) -> None:
    root = Path(__file__).resolve().parents[2]
    told = (root / f"guichets/site/data/methodology.{language}.md").read_text(encoding="utf-8")
    assert told in (root / "docs/methodology.md").read_text(encoding="utf-8")
