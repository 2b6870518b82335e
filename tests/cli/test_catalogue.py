"""``guichets catalogue``: what it prints, where, and how it ends."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guichets.catalogue import load

Run = Callable[..., tuple[int, str, str]]

DESK = """\
[[desk]]
id = "92-{number}"
family = "ezbooking"
departement = "92"
office = "Préfecture des Hauts-de-Seine"
procedure = "remise_titre"
label = "Remise [d'un] titre"
url = "http://127.0.0.20:8001/booking/create/{number}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalogue in use: two desks."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    folder.joinpath("92.toml").write_text(DESK.format(number=1) + DESK.format(number=2), encoding="utf-8")
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(folder))
    return folder


def test_a_good_folder_is_summed_up_in_one_line(run: Run, folder: Path) -> None:
    code, out, err = run("catalogue", "check", str(folder))
    assert (code, err) == (0, "")
    assert out.startswith(f"{folder}: 2 desks, 1 département, 1 host, 0 channels; version ")
    assert out.count("\n") == 1


def test_a_bad_folder_ends_with_every_reason_on_stderr(run: Run, folder: Path) -> None:
    text = DESK.format(number=1)
    folder.joinpath("92.toml").write_text(text.replace("ezbooking", "ezboking") + text.replace("92", "93"))
    code, out, err = run("catalogue", "check", str(folder))
    assert (code, out) == (2, "")
    first, *others = err.splitlines()
    assert first == (
        f'{folder}/92.toml:3: desk "92-1": family "ezboking" is unknown. Did you mean "ezbooking"?'
    )
    assert others
    assert all(line.startswith(f"{folder}/92.toml:") for line in others)


def test_the_bundled_catalogue_is_checked_when_nothing_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUICHETS_CATALOGUE", raising=False)
    code, out, _ = run("catalogue", "check")
    assert code == 0
    desks = load().desks
    places = len({desk.departement for desk in desks}), len({desk.host for desk in desks})
    counted = f"{len(desks)} desks, {places[0]} départements, {places[1]} hosts, 1 channel"
    assert out.startswith(f"the bundled catalogue: {counted}; version ")


def test_the_list_keeps_brackets_and_counts_on_stderr(run: Run, folder: Path) -> None:
    code, out, err = run("catalogue", "list")
    assert (code, err) == (0, "2 desks.\n")
    assert "Remise [d'un] titre" in out


def test_the_list_is_readable_by_programs(run: Run, folder: Path) -> None:
    _, out, _ = run("catalogue", "list", "--format", "json")
    rows: list[dict[str, Any]] = json.loads(out)
    assert [row["id"] for row in rows] == ["92-1", "92-2"]
    _, out, _ = run("catalogue", "list", "--format", "csv")
    assert [row["id"] for row in csv.DictReader(io.StringIO(out))] == ["92-1", "92-2"]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--departement", "92,93"), ["92-1", "92-2"]),
        (("--departement", "93"), []),
        (("--procedure", "remise_titre", "--family", "ezbooking"), ["92-1", "92-2"]),
        (("--procedure", "aes"), []),
    ],
)
def test_the_list_is_narrowed(run: Run, folder: Path, arguments: tuple[str, ...], ids: list[str]) -> None:
    _, out, _ = run("catalogue", "list", "--format", "json", *arguments)
    assert [row["id"] for row in json.loads(out)] == ids


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--departement", "9"), '--departement: "9" is unknown. Did you mean "09"?'),
        (("--departement", "2a"), '--departement: "2a" is unknown. Did you mean "2A"?'),
        (("--family", "ezboking"), '--family: "ezboking" is unknown. Did you mean "ezbooking"?'),
        (("--procedure", "naturalization"), 'Did you mean "naturalisation"?'),
    ],
)
def test_an_unknown_filter_is_one_clear_line(
    run: Run, folder: Path, arguments: tuple[str, ...], line: str
) -> None:
    code, out, err = run("catalogue", "list", *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


def test_sync_counts_what_came_left_and_came_back(
    run: Run, folder: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    file = folder / "92.toml"
    both = file.read_text(encoding="utf-8")
    assert run("catalogue", "sync")[1] == "2 desks: 2 added, 0 changed, 0 closed, 0 reopened.\n"
    assert run("catalogue", "sync")[1] == "2 desks: 0 added, 0 changed, 0 closed, 0 reopened.\n"
    file.write_text(DESK.format(number=1).replace("remise_titre", "aes"), encoding="utf-8")
    assert run("catalogue", "sync")[1] == "1 desk: 0 added, 1 changed, 1 closed, 0 reopened.\n"
    file.write_text(both, encoding="utf-8")
    assert run("catalogue", "sync")[1] == "2 desks: 0 added, 1 changed, 0 closed, 1 reopened.\n"


def test_a_bad_catalogue_is_not_synced(
    run: Run, folder: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    run("catalogue", "sync")
    folder.joinpath("93.toml").write_text("[[desk]]", encoding="utf-8")
    code, _, err = run("catalogue", "sync")
    assert code == 2
    assert f"{folder}/93.toml:1: " in err
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM desks WHERE closed_at IS NULL").fetchone() == (2,)
