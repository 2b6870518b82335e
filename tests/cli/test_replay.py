"""A sandbox week read again: a wrong rule spoils it, the right one restores it, and nothing is lost."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import guichets.replay  # noqa: F401 - so that what is patched is there
import spiders.ezbooking as ezbooking
from guichets.outcomes import Outcome
from guichets.page import Page, Reading
from tests.week_fixtures import Week

pytestmark = pytest.mark.xdist_group("replay")

NONE_RULE = "ezbooking.none.step2-sentence"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def replay(week: Week, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``guichets replay`` on the copy of the week."""
    for name, value in week.environment.items():
        monkeypatch.setenv(name, value)
    return lambda *words: run("replay", *words)


@pytest.fixture
def wrong_rule() -> Callable[[pytest.MonkeyPatch], None]:
    """Makes the « none » rule say « offered »: an engineer's mistake, released as a new version."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        rules = tuple(
            replace(rule, id="ezbooking.offered.mistake", outcome=Outcome.OFFERED)
            if rule.id == NONE_RULE
            else rule
            for rule in ezbooking.PAGE_RULES
        )
        patch.setattr(ezbooking, "PAGE_RULES", rules)
        patch.setattr(ezbooking.EzbookingSpider, "parser_version", 98)

    return spoil


def mistaken(week: Week) -> int:
    return week.rows("SELECT count(*) FROM observations WHERE rule = %s", NONE_RULE)[0]["count"]


def test_the_readers_that_made_the_week_change_nothing_in_it(week: Week, replay: Run) -> None:
    before, archived = week.in_force(), week.archived()
    status, out, err = replay("--apply")
    assert (status, "Rien ne change" in out) == (0, True), out + err
    assert f"{48 * 7} visites" in err
    assert week.in_force() == before
    assert week.rows("SELECT * FROM errata") == []
    assert week.archived() == archived


def test_a_wrong_rule_then_the_right_one_restores_every_outcome(
    week: Week, replay: Run, run: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before, stored = week.in_force(), week.rows("SELECT * FROM observations ORDER BY id")
    lines = mistaken(week)
    assert lines > 100
    with pytest.MonkeyPatch.context() as patch:
        wrong_rule(patch)
        status, out, _ = replay("--apply", "--note", "règle fautive")
        assert status == 0
        assert "Erratum" in out
    spoilt = week.in_force()
    assert spoilt != before
    assert spoilt.keys() == before.keys()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ezbooking.EzbookingSpider, "parser_version", 99)
        status, out, _ = replay("--apply", "--note", "règle juste")
    assert status == 0
    assert "ezbooking@98 → ezbooking@99" in out
    assert week.in_force() == before

    first, second = week.rows("SELECT * FROM errata ORDER BY at")
    assert (first["note"], second["note"]) == ("règle fautive", "règle juste")
    assert moves(first)["none", "offered"] > 0
    assert moves(second) == {(new, old): count for (old, new), count in moves(first).items()}
    assert {figure_key(f): (f["after"], f["before"]) for f in first["figures"]} == {
        figure_key(f): (f["before"], f["after"]) for f in second["figures"]
    }
    assert first["figures"]
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out
    assert f"{len(stored) + 2 * first['changes']['observations']} proved" in err
    # nothing was overwritten: all that was stored is still there, to the letter
    after = {row["id"]: row for row in week.rows("SELECT * FROM observations")}
    assert [after[row["id"]] for row in stored] == stored
    assert len(after) == len(stored) + 2 * first["changes"]["observations"]


def test_a_second_apply_changes_nothing(
    week: Week, replay: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_rule(monkeypatch)
    replay("--apply")
    before = week.rows("SELECT id FROM observations ORDER BY id")
    status, out, _ = replay("--apply")
    assert (status, "Rien ne change" in out) == (0, True)
    assert week.rows("SELECT id FROM observations ORDER BY id") == before
    assert len(week.rows("SELECT * FROM errata")) == 1


def test_a_replay_killed_before_its_rows_were_written_claims_nothing(
    week: Week,
    replay: Run,
    run: Run,
    wrong_rule: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = week.in_force()
    with monkeypatch.context() as patch:
        wrong_rule(patch)
        # by its module: the package's own attribute of that name is the function
        patch.setattr(sys.modules["guichets.replay.apply"], "insert_observations", die)
        with pytest.raises(Killed):
            replay("--apply")
    assert week.in_force() == before
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out
    assert "Notes of killed writers without a row:" in err

    wrong_rule(monkeypatch)
    assert replay("--apply")[0] == 0
    assert run("evidence", "verify")[0] == 0
    with week.database.connect() as connection:
        deleted = connection.execute("DELETE FROM observations WHERE supersedes IS NOT NULL").rowcount
    status, out, _ = run("evidence", "verify")
    assert (status, out.count("row missing")) == (1, deleted)
    assert deleted > 100


class Killed(BaseException):
    """Stands for the end of the process."""


def die(*_: object) -> None:
    raise Killed


def test_a_dry_run_shows_the_changes_and_writes_nothing(
    week: Week, replay: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_rule(monkeypatch)
    before, archived = week.rows("SELECT id FROM observations ORDER BY id"), week.archived()
    status, out, _ = replay()
    assert status == 0
    assert "none" in out
    assert "offered" in out
    assert "--apply" in out
    assert week.rows("SELECT id FROM observations ORDER BY id") == before
    assert week.rows("SELECT * FROM errata") == []
    assert week.archived() == archived


def test_a_correction_keeps_the_visit_and_its_proof(
    week: Week, replay: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_rule(monkeypatch)
    replay("--apply")
    pairs = week.rows(
        """SELECT old.*, new.id AS new_id, new.outcome AS new_outcome, new.parser AS new_parser,
            new.evidence = old.evidence AND new.probe = old.probe AND new.worker = old.worker
            AND new.purpose = old.purpose AND new.crawl = old.crawl AND new.observed_at = old.observed_at
            AND new.requests = old.requests AS same
        FROM observations AS old JOIN observations AS new ON new.supersedes = old.id"""
    )
    assert pairs
    assert all(pair["same"] for pair in pairs)
    assert {pair["new_parser"] for pair in pairs} == {"ezbooking@98"}
    assert {pair["new_id"].version for pair in pairs} == {7}


def test_only_what_was_asked_for_is_read_again(
    week: Week, replay: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_rule(monkeypatch)
    desk = week.rows("SELECT desk_id FROM observations WHERE rule = %s LIMIT 1", NONE_RULE)[0]["desk_id"]
    assert replay("--apply", "--desk", desk)[0] == 0
    changed = week.rows("SELECT DISTINCT desk_id FROM observations WHERE supersedes IS NOT NULL")
    assert [row["desk_id"] for row in changed] == [desk]
    assert week.rows("SELECT changes FROM errata")[0]["changes"]["desks"] == [desk]
    assert "0 visites" in replay("--until", "2020-01-01")[2]


def test_what_never_was_a_page_stays(week: Week, replay: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even under readers that recognise nothing at all."""
    unread = Reading(outcome=Outcome.UNRECOGNISED, rule="ezbooking.unrecognised.all")
    monkeypatch.setattr(ezbooking.EzbookingSpider, "read", lambda self, page: unread)
    assert replay("--apply")[0] == 0
    rows = week.rows("SELECT rule, count(*) FROM observations_in_force GROUP BY rule")
    rules = {row["rule"]: row["count"] for row in rows}
    pages = {rule for rule in rules if not rule.startswith(("network.", "http.", "robots", "host.", "gate."))}
    # a counter's answers cannot be told apart by readers that do not see the list of counters
    assert pages == {"ezbooking.unrecognised.all", "replay.not-archived"}
    without_page = week.rows("SELECT count(*) FROM observations WHERE rule LIKE 'network.%%'")[0]["count"]
    assert without_page > 0
    assert sum(count for rule, count in rules.items() if rule.startswith("network.")) == without_page


def test_a_broken_page_leaves_its_visit_as_it_is_and_is_named(
    week: Week, replay: Run, wrong_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = week.rows("SELECT id, desk_id, evidence FROM observations WHERE rule = %s LIMIT 1", NONE_RULE)[0]
    part = row["evidence"][-1]
    path = week.home / part["file"]
    data = bytearray(path.read_bytes())
    data[part["offset"] + part["length"] // 2] ^= 1
    path.write_bytes(data)
    wrong_rule(monkeypatch)
    status, out, err = replay("--apply")
    assert status == 1
    assert f"{part['file']}@{part['offset']}: the record is not the one that was archived" in err
    assert "Erratum" in out
    assert week.rows("SELECT * FROM observations WHERE supersedes = %s", row["id"]) == []


def test_a_reader_that_fails_changes_nothing_and_is_named(
    week: Week, replay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, page: Page) -> Reading:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(ezbooking.EzbookingSpider, "read", fail)
    before = week.in_force()
    status, out, err = replay("--apply")
    assert (status, "Rien ne change" in out) == (1, True)
    assert "ZeroDivisionError: division by zero" in err
    assert week.in_force() == before


def test_an_unknown_desk_is_one_clear_line(replay: Run) -> None:
    assert replay("--desk", "nowhere") == (
        2,
        "",
        "guichets: --desk: the database knows no nowhere\n",
    )


def moves(erratum: dict[str, Any]) -> Counter[tuple[str, str]]:
    return Counter({(move["from"], move["to"]): move["count"] for move in erratum["changes"]["outcomes"]})


def figure_key(figure: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in figure.items() if key not in {"before", "after"}})
