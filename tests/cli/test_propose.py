"""``guichets catalogue propose``: three days gone or moved in a row make a patch, and nothing less does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from guichets.catalogue import load
from guichets.catalogue.proposals import DeskDay, over_since
from tests.cli.observation_rows import add_desk, add_observation
from tests.database_fixtures import Database

Run = Callable[..., tuple[int, str, str]]
DAY = date(2026, 3, 29)  # the night in which clocks change
TODAY = datetime.now(UTC).replace(hour=12)

ROW = """
[[desk]]
id = "{id}"
family = "ezbooking"
departement = "92"
office = "Préfecture"
procedure = "autre"
label = "Guichet"
url = "https://a.example/booking/create/{number}"  # kept as it is
source = "essai"
"""


def days(*over: bool | None, desk: str = "d") -> list[DeskDay]:
    """One day after the other; None for a day that tells nothing."""
    return [
        DeskDay(desk, DAY + timedelta(n), is_over) for n, is_over in enumerate(over) if is_over is not None
    ]


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        ((), None),
        ((True, True), None),
        ((True, True, True), 0),
        ((False, True, True, True), 1),
        ((True, True, True, False), None),
        ((True, False, True, True), None),
        ((True, None, True, None, None, True), 0),
        ((False, True, True, True, True, True), 1),
    ],
)
def test_only_an_unbroken_run_of_three_days_counts(seen: tuple[bool | None, ...], since: int | None) -> None:
    found = over_since(reversed(days(*seen)))
    assert found.get("d", (None,))[0] == (None if since is None else DAY + timedelta(since))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    ids = ("gone", "moved", "down", "back", "noted", "closed")
    rows = [ROW.format(id=desk, number=number) for number, desk in enumerate(ids, 1)]
    rows[4] += 'note = "déjà une note"\n'
    rows[5] += "valid_to = 2025-01-01\n"
    (folder / "92.toml").write_text("# En tête.\n" + "".join(rows), encoding="utf-8")
    return folder


def seed(database: Database) -> None:
    seen = {
        "gone": ["gone"] * 4,
        "moved": ["none", "moved", "gone", "moved"],
        "down": ["gone", "gone", "unreachable", "overloaded"],
        "back": ["gone", "gone", "gone", "none"],
        "noted": ["gone", "gone", "overloaded", "gone"],
    }
    with database.connect() as connection:
        for desk, outcomes in seen.items():
            add_desk(connection, desk, "92")
            for ago, outcome in enumerate(reversed(outcomes)):
                add_observation(connection, desk, "92", TODAY - timedelta(days=ago), outcome=outcome)


def test_patch_closes_what_is_over_and_can_be_applied(
    run: Run, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seed(database)
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    patch = tmp_path / "proposals.patch"
    before = (folder / "92.toml").read_text(encoding="utf-8")
    status, out, err = run("catalogue", "propose", str(folder), "--out", str(patch))
    assert (status, out) == (0, "")
    assert err.startswith("3 desks proposed to be closed")
    assert (folder / "92.toml").read_text(encoding="utf-8") == before, "only proposed"
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    subprocess.run(
        ["git", "apply", str(patch)], cwd=copy, check=True, env={"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    )
    desks = {desk.id: desk for desk in load(copy).desks}
    today = TODAY.date()
    closed = {desk.id: desk.valid_to for desk in desks.values() if desk.valid_to}
    assert closed == {
        "gone": today - timedelta(3),
        "moved": today - timedelta(2),
        "noted": today - timedelta(3),
        "closed": date(2025, 1, 1),
    }
    assert (desks["gone"].note or "").startswith("gone (observation ")
    assert desks["noted"].note == "déjà une note"
    assert "# kept as it is" in (copy / "92.toml").read_text(encoding="utf-8")


def test_nothing_to_propose_is_an_empty_patch(
    run: Run, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    status, out, err = run("catalogue", "propose", str(folder))
    assert (status, out) == (0, "")
    assert err.startswith("0 desks")


def test_mistake_is_one_line(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    assert run("catalogue", "propose", str(tmp_path / "none"))[0] == 2
    status, _, err = run("catalogue", "propose", "--out", str(tmp_path / "no" / "folder"))
    assert status == 2
    assert "cannot be written" in err
