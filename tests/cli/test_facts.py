"""Facts beside the outcome: cleaned, without secrets, long texts once, dated, and part of the row's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from guichets.cli.facts import history_lines
from guichets.database.observations import insert_observations
from guichets.facts import LONGEST_SHORT, MOST_FACTS, column_of, digests_in, facts_of, kept_facts, texts_of
from guichets.items import Observation
from guichets.outcomes import Outcome
from guichets.rows import COLUMNS, record_of, row_digest
from pipelines.validate import validate
from tests.crawl_fixtures import read_rows, write_desks
from tests.database_fixtures import Database
from tests.observation_builders import OBSERVED_AT, build_observation
from tests.spiders.page_table import PAGES

Run = Callable[..., tuple[int, str, str]]
CONTEXT = "0123456789abcdef0123456789abcdef$7f0c7c1e-0000-4000-8000-000000000000"
OLD_TEXT = "Réservé aux habitants.\n" + "\n".join(f"pièce {number} à apporter" for number in range(20))
NEW_TEXT = OLD_TEXT.replace("pièce 7 à apporter", "pièce 7, en double exemplaire")


def observation(**fields: Any) -> Observation:
    known = {
        "family": "rdv_prefecture",
        "outcome": Outcome.CAPTCHA,
        "rule": "rdv_prefecture.captcha.conditions",
    }
    return build_observation(**{**known, **fields})


# What is kept


@pytest.mark.parametrize(
    "text",
    [
        f"contexte {CONTEXT}",
        "Authorization: Bearer abcdefgh12345678",
        "token=tok3n0f0n3h0ur",
        '"CTX": "0123456789abcdef"',
        "trhId_10010010",
        '<input name="trhId" data-value="10010010">',
        "https://www.example.fr/x;jsessionid=node01abcdef?a=1",
    ],
)
def test_no_secret_is_kept(text: str) -> None:
    ((_, kept),) = kept_facts((("conditions", f"avant {text} après"),), "rdv_prefecture")
    assert kept.startswith("avant ")
    for secret in (
        CONTEXT,
        "abcdefgh12345678",
        "tok3n0f0n3h0ur",
        "0123456789abcdef",
        "10010010",
        "node01abcdef",
    ):
        assert secret not in kept


def test_validation_takes_secrets_out_before_anything_is_written() -> None:
    told = validate(observation(facts=(("conditions", f"{OLD_TEXT}\ntoken=tok3n0f0n3h0ur"),)))
    assert "tok3n0f0n3h0ur" not in json.dumps(record_of(told))


def test_facts_are_cleaned_and_bounded() -> None:
    facts = (
        ("captcha", "a\x00b\ud800"),
        ("empty", ""),
        ("Not a name", "x"),
        ("captcha", "last"),
        ("zone", "x" * 300_000),
    )
    kept = dict(kept_facts(facts, "rdv_prefecture"))
    assert list(kept) == ["captcha", "zone"]
    assert kept["captcha"] == "last"
    assert len(kept["zone"]) == 100_000
    assert kept_facts((("a", "b\x00\ud800"),), "rdv_prefecture") == (("a", "b?"),)
    assert len(kept_facts(tuple((f"f{number}", "x") for number in range(99)), "lutece")) == MOST_FACTS


def test_long_texts_stand_by_their_hash() -> None:
    facts = (("captcha", "x" * LONGEST_SHORT), ("conditions", OLD_TEXT))
    digest = hashlib.sha256(OLD_TEXT.encode()).hexdigest()
    assert column_of(facts) == {"captcha": "x" * LONGEST_SHORT, "conditions": {"sha256": digest}}
    assert texts_of(facts) == [(digest, OLD_TEXT)]
    assert digests_in([column_of(facts), None]) == {digest}
    assert facts_of(column_of(facts), {digest: OLD_TEXT}) == facts
    assert facts_of(column_of(facts), {}) == facts[:1]
    assert column_of(()) is None


# The row's hash


def test_hash_of_a_row_without_facts_is_what_it_was() -> None:
    """The formula of the rows archived before there were facts, written out again."""
    record = record_of(observation())
    assert record["facts"] is None
    before = {column: record[column] for column in COLUMNS if column != "facts"}
    before |= {"observed_at": OBSERVED_AT.isoformat(), "evidence": [], "slots": []}
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert row_digest(record) == hashlib.sha256(text.encode()).hexdigest()
    older = {name: value for name, value in record.items() if name != "facts"}
    assert row_digest(older) == row_digest(record)


def test_hash_of_a_row_covers_its_facts() -> None:
    plain = observation()
    digests = {
        row_digest(record_of(replace(plain, facts=facts)))
        for facts in ((), (("captcha", "v1"),), (("captcha", "v2"),), (("c", OLD_TEXT),), (("c", NEW_TEXT),))
    }
    assert len(digests) == 5


# In the database


def told(hours: int, facts: tuple[tuple[str, str], ...], desk: str = "38-essai") -> Observation:
    at = OBSERVED_AT + timedelta(hours=hours)
    return validate(observation(desk=desk, departement="38", observed_at=at, facts=facts))


@pytest.fixture
def desk(database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A desk with a history of four visits."""
    folder = write_desks(
        tmp_path / "catalogue", {"38-essai": "https://www.example.fr/booking/create/1"}, "38"
    )
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(folder))
    assert run("catalogue", "sync")[0] == 0
    visits = [
        told(0, (("captcha", "CaptchEtat v1"), ("conditions", OLD_TEXT))),
        told(1, (("captcha", "CaptchEtat v1"), ("conditions", OLD_TEXT))),
        told(2, ()),  # a visit that was refused tells nothing
        told(3, (("captcha", "CaptchEtat v2"), ("conditions", NEW_TEXT))),
        told(4, (("captcha", "CaptchEtat v1"), ("conditions", NEW_TEXT))),
    ]
    with database.connect("writer") as connection:
        insert_observations(connection, [record_of(visit) for visit in visits])
    return "38-essai"


def test_rows_read_back_have_the_hash_of_what_was_written(database: Database, desk: str) -> None:
    for row in read_rows(database, "SELECT * FROM observations WHERE facts IS NOT NULL"):
        facts = (("captcha", row["facts"]["captcha"]), ("conditions", OLD_TEXT))
        if row["facts"] == column_of(facts):
            written = told(0, facts)
            again = replace(
                written, id=row["id"], probe=row["probe"], observed_at=row["observed_at"].astimezone(UTC)
            )
            assert row_digest({**row, "slots": []}) == row_digest(record_of(again))
            row["facts"]["captcha"] = "another"
            assert row_digest({**row, "slots": []}) != row_digest(record_of(again))


def test_each_text_is_kept_once_and_cannot_be_another(database: Database, desk: str) -> None:
    rows = read_rows(database, "SELECT sha256, text FROM texts ORDER BY text")
    assert sorted(row["text"] for row in rows) == sorted([OLD_TEXT, NEW_TEXT])
    with database.connect("writer") as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO texts VALUES (%s, 'autre chose')", ["0" * 64])
    with database.connect("writer") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE texts SET text = ''")


def test_changes_are_dated(database: Database, desk: str) -> None:
    rows = read_rows(database, "SELECT * FROM desk_facts ORDER BY name, first_seen_at")
    hour = {OBSERVED_AT + timedelta(hours=hours): hours for hours in range(5)}
    seen = [
        (
            row["name"],
            row["value"],
            hour[row["first_seen_at"]],
            hour[row["last_seen_at"]],
            row["observations"],
        )
        for row in rows
    ]
    assert seen == [
        ("captcha", "CaptchEtat v1", 0, 1, 2),
        ("captcha", "CaptchEtat v2", 3, 3, 1),
        ("captcha", "CaptchEtat v1", 4, 4, 1),
        ("conditions", OLD_TEXT, 0, 1, 2),
        ("conditions", NEW_TEXT, 3, 4, 2),
    ]
    assert [row["previous_value"] for row in rows] == [None, "CaptchEtat v1", "CaptchEtat v2", None, OLD_TEXT]


def test_command_shows_the_history_and_what_changed_in_a_text(run: Run, desk: str) -> None:
    status, out, err = run("facts", desk)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("38-essai : ")
    assert "captcha (captcha)" in lines
    assert "  du 10/03/2026 10:30 au 10/03/2026 11:30, 2 visites : CaptchEtat v1" in lines
    assert "  le 10/03/2026 13:30, 1 visite : CaptchEtat v2" in lines
    assert "    -pièce 7 à apporter" in lines
    assert "    +pièce 7, en double exemplaire" in lines
    assert "    -pièce 8 à apporter" not in lines
    assert run("facts", desk, "--name", "captcha")[1].count("texte") == 0
    assert "    pièce 7, en double exemplaire" in run("facts", desk, "--full")[1].splitlines()


def test_command_explains_what_it_does_not_know(run: Run, desk: str) -> None:
    status, out, err = run("facts", "38-esai")
    assert (status, out) == (2, "")
    assert 'knows no desk "38-esai". Did you mean 38-essai?' in err
    assert "Rien n'a encore été relevé" in run("facts", desk, "--name", "gate")[1]


def test_short_text_that_becomes_long_is_compared() -> None:
    at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    known = {"name": "messages", "first_seen_at": at, "last_seen_at": at, "observations": 1}
    rows = [
        {**known, "value": "un", "sha256": None, "previous_value": None, "previous_sha256": None},
        {**known, "value": "un\ndeux", "sha256": "ab" * 32, "previous_value": "un", "previous_sha256": None},
    ]
    assert "    +deux" in list(history_lines(rows, ZoneInfo("Europe/Paris")))


# From a page to the command


def test_contributed_calendar_tells_when_slots_come_next(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = "https://www.rdv-prefecture.interieur.gouv.fr/rdvpref/reservation/demarche/3771/"
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "94.toml").write_text(
        '[[desk]]\nid = "94-essai"\nfamily = "rdv_prefecture"\ndepartement = "94"\noffice = "Préfecture"\n'
        f'procedure = "autre"\nlabel = "Essai"\nurl = "{base}"\n'
    )
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(tmp_path / "catalogue"))
    assert run("catalogue", "sync")[0] == 0
    page = PAGES / "rdv_prefecture" / "none-blob-next-release.html"
    given = ("--desk", "94-essai", "--contributor", "benevole-7", "--url", f"{base}creneau/")
    status, out, err = run("import", str(page), *given, "--seen-at", "2026-05-20T09:00")
    assert (status, err) == (0, "")
    assert "rdv_prefecture.none.blob" in out
    (row,) = read_rows(database, "SELECT * FROM observations")
    assert row["facts"]["next_release"] == "2026-05-25T09:00"
    assert CONTEXT not in json.dumps(row, default=str)
    assert "prochaine mise en ligne (next_release)" in run("facts", "94-essai")[1]
    assert run("evidence", "verify")[0] == 0
    with database.connect() as connection:
        connection.execute("UPDATE observations SET facts = jsonb_set(facts, '{next_release}', '\"demain\"')")
    assert run("evidence", "verify")[0] == 1
