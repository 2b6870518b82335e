"""`guichets archive`: days are sealed and kept by a second keeper, retention spares what is held."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guichets.evidence import ArchiveReader, read_seals
from guichets.evidence.members import scan_members
from guichets.evidence.timestamp import timestamp_path
from tests.authority_fixtures import Authority
from tests.proof_fixtures import Proved

Run = Callable[..., tuple[int, str, str]]
Later = Callable[..., datetime]


def today(proved: Proved) -> str:
    """The UTC day the crawl's pages were archived on."""
    return "-".join(proved.warcs()[0].parent.parts[-3:])


# --- status ---------------------------------------------------------------------------------------------


def test_status_without_an_archive_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    status, out, err = run("archive", "status")
    assert (status, err) == (0, "")
    assert re.search(r"Days +none yet", out)
    assert not (tmp_path / "home").exists()


def test_status_tells_what_is_to_be_sealed(proved: Proved, run: Run, later: Later) -> None:
    assert re.search(r"To be sealed +nothing", run("archive", "status")[1])
    later(days=1)
    out = run("archive", "status")[1]
    assert re.search(rf"Days +1, {today(proved)} to {today(proved)}\n", out)
    assert re.search(rf"To be sealed +{today(proved)}: guichets archive seal", out)
    assert run("archive", "seal")[0] == 0
    out = run("archive", "status")[1]
    assert re.search(rf"Sealed +1 days, the last {today(proved)}", out)


# --- seal -----------------------------------------------------------------------------------------------


def test_seal_leaves_today_open_seals_the_rest_once_and_keeps_it_twice(
    proved: Proved, run: Run, later: Later
) -> None:
    assert run("archive", "seal") == (0, "", "Nothing to seal.\n")
    later(days=1)
    status, out, _ = run("archive", "seal")
    assert status == 0
    assert out.startswith(today(proved))
    assert (proved.home / "seals.txt").read_text().endswith(out)
    (row,) = proved.rows("SELECT day, records, root, seal FROM seals")
    assert out.split() == [row["day"].isoformat(), str(row["records"]), row["root"], row["seal"]]
    assert run("archive", "seal") == (0, "", "Nothing to seal.\n")
    assert len(proved.rows("SELECT FROM seals")) == 1


def test_seal_repairs_a_torn_file_first(proved: Proved, run: Run, later: Later) -> None:
    path = proved.warcs()[-1]
    with path.open("ab") as file:
        file.write(path.read_bytes()[:70])
    path.with_name(path.name + ".open").touch()
    later(days=1)
    status, out, err = run("archive", "seal")
    assert (status, out.count("\n")) == (0, 1)
    assert "70 torn bytes" in err
    assert run("evidence", "verify")[0] == 0


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_record_dropped_after_the_seal_is_named(
    proved: Proved, run: Run, later: Later, number: int
) -> None:
    later(days=1)
    run("archive", "seal")
    path = proved.warcs()[0]
    data = path.read_bytes()
    members = list(scan_members(path))
    gone = members[number]
    path.write_bytes(data[: gone.offset] + data[gone.offset + gone.length :])
    status, out, _ = run("evidence", "verify")
    assert status == 1
    assert gone.digest in out or "truncated" in out


def test_an_archive_rewritten_with_its_seals_is_betrayed_by_the_database(
    proved: Proved, run: Run, later: Later
) -> None:
    later(days=1)
    run("archive", "seal")
    path = proved.warcs()[0]
    last = list(scan_members(path))[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    for made in (proved.home / "seals.txt", path.with_name(path.name + ".records.gz")):
        made.unlink()
    status, _, err = run("archive", "seal")
    assert status == 2
    assert re.search(r"the database keeps another seal \('.*'\) than seals.txt", err)
    status, out, _ = run("evidence", "verify")
    assert status == 1
    assert "seal edited: published as" in out


def test_seals_are_time_stamped_when_an_authority_is_set(
    proved: Proved,
    run: Run,
    later: Later,
    authority: Authority,
    served: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later(days=1)
    monkeypatch.setenv("GUICHETS_TSA_URL", "http://127.0.0.1:9/")
    status, out, err = run("archive", "seal")
    assert (status, out.count("\n")) == (0, 1)
    assert "is not time-stamped, the next run tries again: http://127.0.0.1:9/: does not answer" in err
    monkeypatch.setenv("GUICHETS_TSA_URL", served)
    assert run("archive", "seal")[0] == 0
    stamp = timestamp_path(proved.home, read_seals(proved.home)[0].day)
    assert stamp.stat().st_size > 500
    trusted = ("--trust", str(authority.folder / "root.pem"))
    assert run("evidence", "verify", *trusted)[0] == 0
    stamp.write_bytes(stamp.read_bytes()[:-5] + b"\0\0\0\0\0")
    assert run("evidence", "verify", *trusted)[0] == 1


# --- prune ----------------------------------------------------------------------------------------------


def readable(proved: Proved, observation: str) -> bool:
    from guichets.evidence import EvidenceError
    from guichets.proof.holds import refs_of

    (row,) = proved.rows("SELECT evidence FROM observations WHERE id = %s", observation)
    reader = ArchiveReader(proved.home)
    try:
        return all(reader.read_page(ref) for ref in refs_of(row["evidence"]))
    except EvidenceError:
        return False


def test_prune_takes_what_is_past_retention_and_keeps_what_is_held(
    proved: Proved, run: Run, later: Later
) -> None:
    ids = [line["id"] for line in proved.lines if line["evidence"] and not line["counter"]]
    disputed, other = ids[0], ids[-1]
    later(days=1)
    assert run("archive", "seal")[0] == 0
    status, hold, _ = run("archive", "hold", "--observation", disputed, "--reason", "recours n° 12")
    assert status == 0
    later(days=399)
    assert run("archive", "prune")[2].startswith("0 files before")
    later(days=402)
    before = sum(path.stat().st_size for path in proved.warcs())
    status, out, err = run("archive", "prune", "--dry-run")
    assert (status, out.count("records go")) == (0, 2)
    assert "would be freed; 1 observations are held." in err
    assert sum(path.stat().st_size for path in proved.warcs()) == before
    assert run("archive", "prune")[0] == 0
    assert readable(proved, disputed)
    assert not readable(proved, other)
    assert proved.warcs() == []
    status, out, err = run("evidence", "verify")
    assert (status, out) == (0, ""), out + err
    assert "past retention" in err
    shown = run("evidence", "show", disputed)
    assert shown[0] == 0
    assert "Texte de la réponse" in shown[1]
    # released, it goes too, and its day still verifies
    assert run("archive", "release", hold.strip())[0] == 0
    assert run("archive", "prune")[0] == 0
    assert not readable(proved, disputed)
    assert run("evidence", "verify")[0] == 0


def test_retention_is_a_setting(
    proved: Proved, run: Run, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(days=1)
    run("archive", "seal")
    monkeypatch.setenv("GUICHETS_RETENTION_DAYS", "30")
    later(days=32)
    assert run("archive", "prune")[2].startswith("2 files before")
    assert run("evidence", "verify")[0] == 0
    monkeypatch.delenv("GUICHETS_RETENTION_DAYS")
    status, out, _ = run("evidence", "verify")
    assert status == 1
    assert "pruned early" in out


def test_prune_without_the_database_takes_nothing(
    proved: Proved, run: Run, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(days=1)
    run("archive", "seal")
    later(days=500)
    monkeypatch.setenv("GUICHETS_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert run("archive", "prune")[0] == 2
    assert len(proved.warcs()) == 2


# --- holds ----------------------------------------------------------------------------------------------


def test_holds_are_listed_with_what_they_keep_and_end_by_themselves_or_by_hand(
    proved: Proved, run: Run, later: Later
) -> None:
    desk = proved.lines[0]["desk"]
    words = ("--desk", desk, "--since", "2026-01-01", "--until", "2026-03-31", "--keep-until", "2200-12-31")
    status, out, _ = run("archive", "hold", "--reason", "taux du 1er trimestre", *words)
    first = out.strip()
    assert status == 0
    last_year = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    run("archive", "hold", "--reason", "passé", "--departement", "92", "--keep-until", last_year)
    out = run("archive", "holds")[1]
    assert re.search(
        rf"{first}  holds  desk {desk}, since 2026-01-01T00:00:00\+01:00, until 2026-04-01T", out
    )
    assert ", kept until 2200-12-31" in out
    assert "  taux du 1er trimestre\n" in out
    assert re.search(r"  ended  département 92, kept until", out)
    assert run("archive", "release", first)[0] == 0
    assert re.search(rf"{first}  ended", run("archive", "holds")[1])
    assert run("archive", "release", first) == (2, "", f"guichets: no hold {first} is in force\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            [], "name what to keep: --observation, --desk, --departement, --since or --until", id="all"
        ),
        pytest.param(["--desk", "nowhere"], "--desk: the database knows no nowhere", id="desk"),
        pytest.param(["--observation", "x"], '--observation: "x" is not an id', id="observation"),
        pytest.param(
            ["--since", "2026-01-01", "--keep-until", "x"],
            '--keep-until: "x" is not a day: write 2030-12-31',
            id="keep-until",
        ),
    ],
)
def test_a_hold_that_means_nothing_is_refused(
    proved: Proved, run: Run, words: list[str], expected: str
) -> None:
    assert run("archive", "hold", "--reason", "r", *words) == (2, "", f"guichets: {expected}\n")
    assert proved.rows("SELECT FROM evidence_holds") == []
