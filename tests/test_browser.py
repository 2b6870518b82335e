"""Which Chromium is taken of those that a machine has, and that it is cut off from the network."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from guichets.browser import CUT_OFF, find_browser, wants_sandbox
from tests.crawl_fixtures import ROOT, clean_environment

PROGRAM = """
from guichets.browser import BrowserNotFound, find_browser

try:
    print(find_browser())
except BrowserNotFound as error:
    print(error)
"""


# A page asks servers for a way through to it; done when all have answered, or none is waited for any longer.
LOOKS_FOR_A_WAY = """
async (port) => {
  const address = "127.0.0.1:" + port;
  const servers = ["stun:" + address, "turn:" + address, "turn:" + address + "?transport=tcp"];
  const peer = new RTCPeerConnection({
    iceServers: servers.map((urls) => ({urls, username: "page", credential: "page"})),
  });
  peer.createDataChannel("way");
  const looked = new Promise((resolve) => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
  });
  await peer.setLocalDescription(await peer.createOffer());
  await looked;
  return peer.iceGatheringState;
}
"""


def found(tmp_path: Path, *programs: str, playwright: tuple[str, ...] = (), **settings: str) -> str:
    """What is taken where these programs are in PATH, and these of Playwright's installed."""
    in_path = tmp_path / "bin"
    in_path.mkdir()
    for program in [in_path / name for name in programs] + [tmp_path / name for name in playwright]:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={
            **clean_environment(),
            "PATH": str(in_path),
            "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "playwright"),
            **settings,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip().replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("programs", "taken"),
    [
        (("chromium", "chromium-headless-shell", "google-chrome"), "bin/chromium-headless-shell"),
        (("google-chrome", "chrome-headless-shell"), "bin/chrome-headless-shell"),
        (("google-chrome", "chromium"), "bin/chromium"),
    ],
)
def test_a_headless_shell_is_taken_before_a_browser_with_windows(
    tmp_path: Path, programs: tuple[str, ...], taken: str
) -> None:
    assert found(tmp_path, *programs) == taken


def test_the_one_that_is_named_is_taken_before_any(tmp_path: Path) -> None:
    named = tmp_path / "bin" / "chromium"
    taken = found(tmp_path, "chromium", "chromium-headless-shell", GUICHETS_BROWSER=str(named))
    assert taken == "bin/chromium"


def test_playwright_s_headless_shell_is_taken_before_its_chromium(tmp_path: Path) -> None:
    whole, shell = where_playwright_installs(tmp_path)
    assert found(tmp_path, playwright=(whole, shell)) == shell


def test_playwright_s_chromium_is_taken_where_it_has_no_shell(tmp_path: Path) -> None:
    whole, _ = where_playwright_installs(tmp_path)
    assert found(tmp_path, playwright=(whole,)) == whole


def test_nothing_found_says_what_to_install(tmp_path: Path) -> None:
    assert found(tmp_path).startswith("no Chromium was found. Install one (Debian: apt-get install")


def test_a_page_s_script_sends_no_datagram_and_opens_no_connection() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connections,
        sync_playwright() as playwright,
    ):
        datagrams.bind(("127.0.0.1", 0))
        connections.bind(datagrams.getsockname())
        connections.listen()
        browser = playwright.chromium.launch(
            executable_path=find_browser(), chromium_sandbox=wants_sandbox(), args=list(CUT_OFF)
        )
        page = browser.new_page()
        page.route("**/*", lambda route: route.fulfill(status=200, content_type="text/html", body="<p>"))
        page.goto("http://guichet.invalid/")
        assert page.evaluate(LOOKS_FOR_A_WAY, datagrams.getsockname()[1]) == "complete"
        browser.close()
        for listening in (datagrams, connections):
            listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            datagrams.recv(2000)
        with pytest.raises(BlockingIOError):
            connections.accept()


def where_playwright_installs(tmp_path: Path) -> tuple[str, str]:
    """The programs of its Chromium and of its headless shell, as it tells their folders itself."""
    ran = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "--dry-run", "chromium"],
        env={**clean_environment(), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "playwright")},
        capture_output=True,
        text=True,
        check=True,
    )
    folders = [Path(line.split()[-1]) for line in ran.stdout.splitlines() if "Install location" in line]
    (shell,) = (folder for folder in folders if folder.name.startswith("chromium_headless_shell-"))
    with sync_playwright() as playwright:
        whole = Path(playwright.chromium.executable_path)
    place = next(folder for folder in whole.parents if folder.name.startswith("chromium-"))
    return (
        f"playwright/{place.name}/{whole.relative_to(place)}",
        f"playwright/{shell.name}/chrome-headless-shell-linux64/chrome-headless-shell",
    )
