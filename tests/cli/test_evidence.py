"""What anybody can look at and check of an observation, and that no change of it goes unnoticed."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet
import pytest

from guichets.evidence import ArchiveReader
from guichets.evidence import verify as verify_archive
from guichets.evidence.members import scan_members
from guichets.proof import Check, check_rows, published_seals
from tests.crawl_fixtures import Crawler, Workshop, write_desks
from tests.hostile_server import HostileServer, page
from tests.proof_fixtures import Proved

Run = Callable[..., tuple[int, str, str]]
Later = Callable[..., Any]

MUTATIONS = 1_000


# --- show -----------------------------------------------------------------------------------------------


def test_show_tells_the_chain_and_the_pages_text(proved: Proved, run: Run) -> None:
    line = next(line for line in proved.lines if line["rule"] == "ezbooking.none.step2-sentence")
    status, out, err = run("evidence", "show", line["id"])
    assert (status, err) == (0, "")
    assert line["desk"] in out
    assert "aucun rendez-vous proposé (none)" in out
    assert "ezbooking.none.step2-sentence, lecteur ezbooking@" in out
    assert "(heure de Paris, UTC+" in out
    for part in line["evidence"]:
        assert part["sha256"] in out
        assert part["digest"] in out
        assert f"{part['file']} à l'octet {part['offset']}, {part['length']} octets" in out
    assert "plus de plage horaire libre" in out.split("Texte de la réponse")[1]
    assert "eZSESSID" not in out


def test_show_raw_tells_the_heads_too(proved: Proved, run: Run) -> None:
    status, out, _ = run("evidence", "show", proved.with_page(), "--raw")
    assert status == 0
    assert re.search(r"> User-Agent: Guichets/", out)
    assert re.search(r"< Set-Cookie: eZSESSID=\w{10}", out)


def test_show_of_a_visit_that_met_nobody_says_so(proved: Proved, run: Run) -> None:
    status, out, _ = run("evidence", "show", proved.without_page())
    assert status == 0
    assert "aucune réponse n'est arrivée" in out


def test_show_of_a_broken_page_names_it_and_fails(proved: Proved, run: Run) -> None:
    line = next(line for line in proved.lines if line["id"] == proved.with_page())
    path = proved.home / line["evidence"][-1]["file"]
    data = bytearray(path.read_bytes())
    data[line["evidence"][-1]["offset"] + 40] ^= 1
    path.write_bytes(data)
    status, out, _ = run("evidence", "show", line["id"])
    assert status == 1
    assert "illisible" in out
    assert path.name in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["nonsense"], r'guichets: "nonsense" is not the id of an observation\n', id="no-id"),
        pytest.param(
            ["00000000-0000-7000-8000-000000000000"],
            r"guichets: the database knows no observation 0+-0000-7000-8000-0+\n",
            id="unknown",
        ),
    ],
)
def test_a_mistake_is_one_line(proved: Proved, run: Run, words: list[str], expected: str) -> None:
    status, out, err = run("evidence", "show", *words)
    assert (status, out) == (2, "")
    assert re.fullmatch(expected, err)


# --- verify ---------------------------------------------------------------------------------------------


def test_what_a_crawl_left_verifies_before_and_after_its_day_is_sealed(
    proved: Proved, run: Run, later: Later
) -> None:
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out + err
    assert f"{len(proved.lines)} proved" in err
    later(days=1)
    assert run("archive", "seal")[0] == 0
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out + err


def test_verify_narrowed_to_a_day_or_a_desk_reads_no_more(proved: Proved, run: Run) -> None:
    desk = proved.lines[0]["desk"]
    mine = sum(line["desk"] == desk for line in proved.lines)
    assert f"{mine} proved" in run("evidence", "verify", "--desk", desk)[2]
    assert "Rows: none." in run("evidence", "verify", "--since", "2200-01-01")[2]
    assert run("evidence", "verify", "--since", "yesterday")[2] == (
        'guichets: --since: "yesterday" is not a day: write 2026-03-01\n'
    )
    assert "knows no nowhere" in run("evidence", "verify", "--desk", "nowhere")[2]


def test_verify_names_each_break_and_exits_1(proved: Proved, run: Run, later: Later) -> None:
    later(days=1)
    assert run("archive", "seal")[0] == 0
    edited, deleted = proved.lines[0]["id"], proved.lines[1]["id"]
    with proved.database.connect() as connection:
        connection.execute("UPDATE observations SET outcome = 'gone' WHERE id = %s", [edited])
        connection.execute("DELETE FROM observations WHERE id = %s", [deleted])
        connection.execute("UPDATE seals SET records = records + 1")
    path = proved.warcs()[0]
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    status, out, err = run("evidence", "verify")
    assert status == 1
    assert f"observation {edited}: row edited" in out
    assert f"observation {deleted}: row missing" in out
    assert re.search(r"\d{4}-\d\d-\d\d: seal edited: published as", out)
    assert f"{path.name}@" in out
    assert err.endswith(f"Breaks: {len(out.splitlines())}.\n")


def test_an_observation_that_waits_in_the_spool_is_no_break(proved: Proved, run: Run) -> None:
    waiting = proved.lines[-1]["id"]
    with proved.database.connect() as connection:
        connection.execute("DELETE FROM observations WHERE id = %s", [waiting])
    assert run("evidence", "verify")[0] == 1
    (proved.home / "spool").mkdir()
    (proved.home / "spool" / "w-1-1.jsonl").write_text(json.dumps({"id": waiting}) + '\n{"id": "to')
    assert run("evidence", "verify")[0] == 0


def test_a_note_a_killed_worker_wrote_last_is_told_and_no_break(proved: Proved, run: Run) -> None:
    last = proved.lines[-1]
    with proved.database.connect() as connection:
        connection.execute("DELETE FROM observations WHERE id = %s", [last["id"]])
        connection.execute("UPDATE crawls SET finished_at = NULL WHERE worker = %s", [last["worker"]])
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, "")
    assert "Notes of killed writers without a row: 1." in err


def test_rows_of_another_machines_archive_are_left_to_it(proved: Proved, run: Run) -> None:
    with proved.database.connect() as connection:
        connection.execute("UPDATE crawls SET archive = gen_random_uuid()")
    for path in proved.warcs():
        path.unlink()
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, "")
    assert f"{len(proved.lines)} in another archive" in err


# --- a thousand mutations -------------------------------------------------------------------------------


def flip_bit(proved: Proved, dice: random.Random) -> None:
    path = dice.choice([*proved.warcs(), proved.home / "seals.txt"])
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def truncate(proved: Proved, dice: random.Random) -> None:
    path = dice.choice([*proved.warcs(), proved.home / "seals.txt"])
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def records(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[one.offset : one.offset + one.length] for one in scan_members(path)]


def swap_records(proved: Proved, dice: random.Random) -> None:
    path = dice.choice(proved.warcs())
    kept = records(path)
    one, other = dice.sample(range(len(kept)), 2)
    kept[one], kept[other] = kept[other], kept[one]
    path.write_bytes(b"".join(kept))


def delete_record(proved: Proved, dice: random.Random) -> None:
    path = dice.choice(proved.warcs())
    kept = records(path)
    kept.pop(dice.randrange(len(kept)))
    path.write_bytes(b"".join(kept))


def delete_file(proved: Proved, dice: random.Random) -> None:
    dice.choice(proved.warcs()).unlink()


FILE_MUTATORS = (flip_bit, truncate, swap_records, delete_record, delete_file)

EDITS = {
    "probe": "gen_random_uuid()",
    "crawl": "gen_random_uuid()",
    "desk_id": "desk_id || 'x'",
    "counter_key": "coalesce(counter_key, '') || '1'",
    "counter_label": "coalesce(counter_label, '') || ' bis'",
    "family": "'lutece'",
    "departement": "departement || '0'",
    "observed_at": "observed_at + interval '1 microsecond'",
    "outcome": "CASE outcome WHEN 'none' THEN 'offered' ELSE 'none' END::outcome",
    "rule": "rule || '.'",
    "purpose": "CASE purpose WHEN 'watch' THEN 'baseline' ELSE 'watch' END",
    "step": "coalesce(step, '') || '9'",
    "first_slot": "coalesce(first_slot, now()) + interval '1 day'",
    "second_slot": "coalesce(second_slot, now()) + interval '1 day'",
    "slot_has_time": "NOT coalesce(slot_has_time, false)",
    "slot_count": "coalesce(slot_count, 0) + 1",
    "horizon_end": "coalesce(horizon_end, current_date) + 1",
    "http_status": "coalesce(http_status, 200) + 1",
    "latency_ms": "coalesce(latency_ms, 0) + 1",
    "requests": "requests + 1",
    "evidence": "evidence || jsonb_build_array(jsonb_build_object('url', 'x'))",
    "parser": "parser || '1'",
    "worker": "worker || '1'",
    "note": "coalesce(note, '') || '.'",
    "host": "host || '0'",
    "fencing_token": "coalesce(fencing_token, 0) + 1",
    "supersedes": "gen_random_uuid()",
    "contributor": "coalesce(contributor, '') || 'x'",
}


class Vault:
    """The database's rows, changed and put back."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        for table in ("observations", "slots"):
            connection.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        self.ids = [row[0] for row in connection.execute("SELECT id FROM observations ORDER BY id")]
        self.with_slots = [
            row[0]
            for row in connection.execute("SELECT DISTINCT observation_id FROM slots ORDER BY observation_id")
        ]

    def mutate(self, dice: random.Random) -> str:
        """Change, delete or forge one row; tells what was done."""
        kind = dice.choice(["edit"] * 6 + ["delete", "forge", "slot added", "slot moved", "slot deleted"])
        chosen = dice.choice(self.with_slots if kind.startswith("slot") else self.ids)
        if kind == "edit":
            column = dice.choice(sorted(EDITS))
            self._do(f"UPDATE observations SET {column} = {EDITS[column]} WHERE id = %s", chosen)
            return f"{column} of {chosen}"
        if kind == "delete":
            self._do("DELETE FROM observations WHERE id = %s", chosen)
        elif kind == "forge":
            names = ", ".join(self._columns())
            self._do(
                f"INSERT INTO observations (id, {names}) "
                f"SELECT gen_random_uuid(), {names} FROM observations WHERE id = %s",
                chosen,
            )
        elif kind == "slot added":
            self._do(
                "INSERT INTO slots SELECT observation_id, observed_at, starts_at + interval '1 year', "
                "has_time FROM slots WHERE observation_id = %s LIMIT 1",
                chosen,
            )
        elif kind == "slot moved":
            self._do(
                "UPDATE slots SET starts_at = starts_at + interval '1 year' WHERE observation_id = %s", chosen
            )
        else:
            self._do("DELETE FROM slots WHERE observation_id = %s", chosen)
        return f"{kind}: {chosen}"

    def restore(self) -> None:
        for table in ("observations", "slots"):
            self.connection.execute(f"DELETE FROM {table}")
            self.connection.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")

    def _do(self, statement: str, chosen: Any) -> None:
        assert self.connection.execute(statement, [chosen]).rowcount >= 1, (statement, chosen)

    def _columns(self) -> list[str]:
        return sorted(EDITS)


def first_break(proved: Proved, published: list[Any]) -> object:
    """As ``evidence verify`` looks for them, up to the first."""
    found = next(iter(verify_archive(proved.home, published=published)), None)
    return found if found is not None else first_row_break(proved)


def first_row_break(proved: Proved) -> object:
    with proved.database.connect("reader") as connection:
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return next(iter(check_rows(connection, proved.home, Check())), None)


@pytest.mark.timeout(900)  # half a minute on an idle machine
def test_a_thousand_mutations_of_archive_and_rows_are_all_detected(
    proved: Proved, run: Run, later: Later
) -> None:
    later(days=1)
    assert run("archive", "seal")[0] == 0
    clean = {path: path.read_bytes() for path in (*proved.warcs(), proved.home / "seals.txt")}
    unnoticed = []
    with proved.database.connect() as connection:
        published = published_seals(connection, proved.home)
        assert first_break(proved, published) is None
        for seed in range(MUTATIONS // 2):
            mutate = FILE_MUTATORS[seed % len(FILE_MUTATORS)]
            mutate(proved, random.Random(seed))
            if first_break(proved, published) is None:
                unnoticed.append(f"{mutate.__name__} {seed}")
            for path, data in clean.items():
                if not path.exists() or path.read_bytes() != data:
                    path.write_bytes(data)
        vault = Vault(connection)
        for seed in range(MUTATIONS // 2):
            done = vault.mutate(random.Random(seed))
            if first_row_break(proved) is None:
                unnoticed.append(done)
            vault.restore()
    assert unnoticed == []
    assert first_break(proved, published) is None


# --- scrubbing ------------------------------------------------------------------------------------------

SECRETS = {
    "session": "k3v9fj2mq8s7t6r5p4n3m2l1k0",
    "bearer": "tR9xQ2mZ7vB4nL1kJ8hG5f",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJndWljaGV0In0.c2lnbmF0dXJl",
    "csrf": "f00dfacecafe4b1d",
    "view state": "j_id1932xT77wqLm",
    "slot handle": "2025-06-02_09-40_14673_hX81",
    "jsession": "A81F0C33D9B7E2",
}


def planted() -> bytes:
    secrets = SECRETS
    body = f"""<html><body><div id="inner_Booking"><h2>Vérification de disponibilité</h2>
<form id="FormBookingCreate" action="/booking/create/100/2" method="post">
Il n'existe plus de plage horaire libre pour votre demande de rendez-vous.
Veuillez recommencer ultérieurement.
<p>Votre session eZSESSID={secrets["session"]} ; Authorization: Bearer {secrets["bearer"]}</p>
<p>jeton {secrets["jwt"]}, retour : /accueil;jsessionid={secrets["jsession"]}</p>
<p>/booking/create/100/5/{secrets["slot handle"]}</p>
<input type="hidden" name="csrf_token" value="{secrets["csrf"]}">
<input type="hidden" name="__VIEWSTATE" value="{secrets["view state"]}">
<p>à retenir : {secrets["csrf"]}</p>
<input type="submit" name="finishButton" value="Terminer"></form></div></body></html>"""
    return page(body, headers=f"Set-Cookie: eZSESSID={secrets['session']}; path=/\r\n")


@pytest.fixture
def spied(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> tuple[Crawler, Any]:
    """A crawl of a site that shows its secrets everywhere."""
    with HostileServer() as server:
        host = server.add(planted())
        catalogue = write_desks(
            workshop.folder("catalogue"), {"92-spied": f"http://{host}/booking/create/100"}
        )
        database = workshop.database()
        crawler = workshop.crawler(catalogue, database)
        result = crawler.run()
    assert result.desks["92-spied"]["outcome"] == "none", result.log[-2000:]
    for name, value in crawler.environment.items():
        if name.startswith("GUICHETS_"):
            monkeypatch.setenv(name, value)
    return crawler, (database, result)


def test_no_export_holds_a_planted_secret(spied: Any, run: Run, tmp_path: Path) -> None:
    crawler, (database, result) = spied
    with database.connect() as connection:  # an address no gate would let through, yet may be imported
        connection.execute(
            """UPDATE observations SET evidence = jsonb_set(evidence, '{0,url}', to_jsonb(%s::text))""",
            [
                f"http://user:{SECRETS['csrf']}@a.example/booking/create/100/5/{SECRETS['slot handle']}"
                f";jsessionid={SECRETS['jsession']}?access_token={SECRETS['bearer']}"
            ],
        )
    told = {"log": result.log, "-O jsonl": (crawler.home / "out-1.jsonl").read_text()}
    observation = result.desks["92-spied"]["id"]
    for form in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"export.{form}"
        assert run("export", "--out", str(out))[0] == 0
        told[form] = (
            str(pyarrow.parquet.read_table(out).to_pylist()) if form == "parquet" else out.read_text()
        )
        assert "[scrubbed]" in told[form]
    told["show"] = run("evidence", "show", observation)[1]
    assert "plus de plage horaire libre" in told["show"]
    told["status"] = run("status")[1]
    told["verify"] = "".join(run("evidence", "verify")[1:])
    assert len(list(csv.DictReader(io.StringIO(told["csv"])))) == 1
    leaks = [(where, name) for where, text in told.items() for name, it in SECRETS.items() if it in text]
    assert leaks == []


def test_feeds_in_every_form_hold_no_planted_secret(spied: Any, tmp_path: Path) -> None:
    crawler, _ = spied
    feeds = {form: tmp_path / f"feed.{form}" for form in ("jsonl", "json", "csv")}
    words = [word for path in feeds.values() for word in ("-O", str(path))]
    settings = [word for name in ("HOST_DELAY", "FORM_INTERVAL") for word in ("-s", f"GUICHETS_{name}=0")]
    done = crawler.scrapy(
        "crawl", "ezbooking", "-a", "due=all", *words, *settings, "-s", "GUICHETS_CONTROL_URLS="
    )
    for path in feeds.values():
        assert path.stat().st_size > 0, done.stderr[-2000:]
    texts = [done.stdout, done.stderr, *(path.read_text() for path in feeds.values())]
    assert [name for text in texts for name, secret in SECRETS.items() if secret in text] == []


def test_the_private_archive_holds_what_was_received(spied: Any, run: Run) -> None:
    crawler, (_, result) = spied
    reader = ArchiveReader(crawler.home)
    bodies = [
        one.body().decode()
        for path in crawler.home.glob("archive/*/*/*/*.warc.gz")
        for _, _, one in reader.pages(path)
        if one.status == 200
    ]
    assert all(secret in bodies[-1] for secret in SECRETS.values())
    out = run("evidence", "show", result.desks["92-spied"]["id"], "--raw")[1]
    assert f"Set-Cookie: eZSESSID={SECRETS['session']}" in out
    assert SECRETS["bearer"] in out
