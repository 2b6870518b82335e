"""An archived page drawn by a real Chromium, under its caption, with nothing asked of any network."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guichets import browser
from guichets.evidence import ArchiveWriter, Exchange
from guichets.french import in_paris
from tests.crawl_fixtures import write_desks
from tests.database_fixtures import Database

pytestmark = pytest.mark.xdist_group("picture")

DESK = "92-nanterre"
SEEN = datetime(2026, 5, 13, 7, 30, tzinfo=UTC)
SENTENCE = (
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement."
)
Run = Callable[..., tuple[int, str, str]]


@dataclass
class Trap:
    """A port that must not be touched: each connection is a failure of the cut."""

    port: int
    touched: list[str] = field(default_factory=list)


@pytest.fixture
def trap() -> Iterator[Trap]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Trap(server.getsockname()[1])

        def listen() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(2)
                    try:
                        found.touched.append(repr(peer.recv(200)))
                    except OSError:
                        found.touched.append("a connection")

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def observe(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trap: Trap
) -> Callable[..., str]:
    """Imports a page of a desk that lives on the trap's port; returns the observation's id."""
    site = f"http://127.0.0.1:{trap.port}"
    monkeypatch.setenv("GUICHETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    folder = write_desks(tmp_path / "catalogue", {DESK: f"{site}/booking/create/12083"})
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(folder))
    assert run("catalogue", "sync")[0] == 0

    def make(head: str = "", body: str = "", styles: dict[str, str] | None = None) -> str:
        html = f"""<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Rendez-vous</title>{head}
            </head><body><div id="inner_Booking"><h2>Vérification de disponibilité</h2>
            <form id="FormBookingCreate" action="/booking/create/12083/2">{SENTENCE}
            <input type="submit" name="finishButton" value="Terminer"></form>{body}</div></body></html>"""
        exchanges = [exchange(f"{site}/booking/create/12083/2", html, b"text/html; charset=utf-8")]
        exchanges += [exchange(site + path, css, b"text/css") for path, css in (styles or {}).items()]
        with ArchiveWriter(tmp_path / "theirs", "browser", now=lambda: SEEN) as writer:
            for one in exchanges:
                writer.write_exchange(one)
        (warc,) = (tmp_path / "theirs").rglob("*.warc.gz")
        status, out, err = run("import", str(warc), "--desk", DESK, "--contributor", "benevole-7")
        assert status == 0, err
        return out.split("  ")[4].strip()

    return make


def exchange(url: str, body: str, kind: bytes) -> Exchange:
    return Exchange(
        method="GET",
        url=url,
        request_headers=((b"Host", b"127.0.0.1"),),
        status=200,
        response_headers=((b"Content-Type", kind),),
        raw_body=body.encode(),
        started_at=SEEN,
        finished_at=SEEN,
    )


def test_the_picture_is_drawn_and_nothing_is_asked_of_the_network(
    observe: Callable[..., str], run: Run, trap: Trap, tmp_path: Path
) -> None:
    other = f"http://127.0.0.1:{trap.port}"
    found = observe(
        head=f"""<link rel="stylesheet" href="/archived.css"><link rel="stylesheet" href="{other}/lost.css">
            <link rel="preconnect" href="{other}"><link rel="dns-prefetch" href="{other}">
            <link rel="preload" as="image" href="{other}/p.png"><link rel="prefetch" href="{other}/next">
            <link rel="icon" href="{other}/favicon.ico">
            <meta http-equiv="refresh" content="0;url={other}/away">
            <style>@import url({other}/imported.css); h2 {{ background: url({other}/bg.png) }}
            @font-face {{ font-family: x; src: url({other}/x.woff) }} p {{ font-family: x }}</style>""",
        body=f"""<p>Préfecture des Hauts-de-Seine</p><img src="{other}/logo.png" alt="Logo">
            <iframe src="{other}/frame"></iframe><object data="{other}/object"></object>
            <video src="{other}/film.mp4" autoplay></video><script src="{other}/spy.js"></script>
            <script>fetch("{other}/beacon"); document.body.innerHTML = "changed"</script>""",
        styles={"/archived.css": "h2 { color: #1b3a6b; border-bottom: 3px solid #e1000f }"},
    )
    out = tmp_path / "page.png"
    status, _, err = run("evidence", "picture", found, "--out", str(out))
    assert status == 0, err
    assert trap.touched == []
    assert err == "Feuilles de style non archivées : 2\n"
    width, height = size_of(out)
    assert width == 1024
    assert 400 < height < 2000


def test_a_page_longer_than_the_picture_is_cut_and_said(
    observe: Callable[..., str], run: Run, tmp_path: Path
) -> None:
    found = observe(body='<div style="height: 60000px">long</div>')
    out = tmp_path / "page.png"
    assert run("evidence", "picture", found, "--out", str(out))[0] == 0
    assert 8000 < size_of(out)[1] < 8700


def test_a_file_is_not_replaced_unless_asked(observe: Callable[..., str], run: Run, tmp_path: Path) -> None:
    found = observe()
    out = tmp_path / "page.png"
    out.write_bytes(b"mine")
    status, _, err = run("evidence", "picture", found, "--out", str(out))
    assert (status, out.read_bytes()) == (2, b"mine")
    assert "page.png" in err
    assert run("evidence", "picture", found, "--out", str(out), "--force")[0] == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_changed_archive_gives_no_picture(observe: Callable[..., str], run: Run, tmp_path: Path) -> None:
    found = observe()
    (made,) = (tmp_path / "home").rglob("*.warc.gz")
    data = bytearray(made.read_bytes())
    data[len(data) // 2] ^= 4
    made.write_bytes(data)
    status, _, err = run("evidence", "picture", found, "--out", str(tmp_path / "page.png"))
    assert status == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "page.png").exists()


def test_without_a_browser_one_line_says_how_to_get_one(
    observe: Callable[..., str], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = observe()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "_of_playwright", lambda: None)
    status, _, err = run("evidence", "picture", found, "--out", str(tmp_path / "page.png"))
    assert (status, err) == (2, f"guichets: {browser.HOW_TO_GET_ONE}\n")
    monkeypatch.setenv("GUICHETS_BROWSER", "/nowhere/chrome")
    err = run("evidence", "picture", found, "--out", str(tmp_path / "page.png"))[2]
    assert err == "guichets: GUICHETS_BROWSER='/nowhere/chrome': no program stands there that can be run\n"
    assert not (tmp_path / "page.png").exists()


def test_an_unknown_observation_is_said(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUICHETS_DATABASE_URL", database.dsn)
    known = "0196c8a0-0000-7000-8000-000000000000"
    assert run("evidence", "picture", known, "--out", "x.png")[2] == (
        f"guichets: the database knows no observation {known}\n"
    )
    assert run("evidence", "picture", "12", "--out", "x.png")[2] == (
        'guichets: "12" is not the id of an observation\n'
    )


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        ("2026-03-29T00:59:59", "dimanche 29 mars 2026 à 01:59:59 (heure de Paris, UTC+0100)"),
        ("2026-03-29T01:00:00", "dimanche 29 mars 2026 à 03:00:00 (heure de Paris, UTC+0200)"),
        ("2026-10-25T00:30:00", "dimanche 25 octobre 2026 à 02:30:00 (heure de Paris, UTC+0200)"),
        ("2026-10-25T01:30:00", "dimanche 25 octobre 2026 à 02:30:00 (heure de Paris, UTC+0100)"),
        ("2026-04-30T22:00:00", "vendredi 1er mai 2026 à 00:00:00 (heure de Paris, UTC+0200)"),
    ],
)
def test_the_hour_is_that_of_paris_even_on_the_nights_it_changes(instant: str, words: str) -> None:
    assert in_paris(datetime.fromisoformat(instant).replace(tzinfo=UTC)) == words


def size_of(png: Path) -> tuple[int, int]:
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)
