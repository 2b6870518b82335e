"""Finds a Chromium on this machine, and says how to get one where there is none.

Nothing is ever downloaded: a browser named by GUICHETS_BROWSER, else one of the system's, else Playwright's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from guichets import configuration
from guichets.errors import ConfigurationError

# The headless shell first: the same engine without windows, for less than half the processor time and memory.
NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
DEBIAN_SHELL = Path("/usr/bin/chromium-headless-shell")  # a script, which would stay beside the program
DEBIAN_SHELL_PROGRAM = Path("/usr/lib/chromium/chromium-headless-shell")
HOW_TO_GET_ONE = (
    "no Chromium was found. Install one (Debian: apt-get install chromium-headless-shell; elsewhere: "
    "playwright install chromium), or set GUICHETS_BROWSER to the path of one"
)
WIDTH = 1024  # pixels; what préfecture sites were drawn for
LONGEST = 8000  # pixels of page height that are shown
# Everything but what a route answers itself leads to a port where nobody listens, loopback included.
CUT_OFF = (
    "--proxy-server=http://127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-background-networking",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,NetworkPrediction",
    # WebRTC sends datagrams, which no proxy and no route sees: by the proxy or not at all.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # the same word for a headless shell
)


class BrowserNotFound(ConfigurationError):
    """No Chromium on this machine, or GUICHETS_BROWSER names none."""


def find_browser() -> Path:
    """The Chromium to use. Raises BrowserNotFound."""
    named = configuration.read("GUICHETS_BROWSER")
    if named:
        found = shutil.which(named)
        if found is None:
            raise BrowserNotFound(f"GUICHETS_BROWSER={named!r}: no program stands there that can be run")
        return Path(found)
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            is_script = Path(found) == DEBIAN_SHELL and DEBIAN_SHELL_PROGRAM.is_file()
            return DEBIAN_SHELL_PROGRAM if is_script else Path(found)
    own = _of_playwright()
    if own is not None and own.is_file():
        return own
    raise BrowserNotFound(HOW_TO_GET_ONE)


def wants_sandbox() -> bool:
    """Chromium's own sandbox cannot be had as root; everywhere else it stays on."""
    return os.geteuid() != 0


def _of_playwright() -> Path | None:
    """Its headless shell where it is installed; its Chromium, installed or not, where there is none."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:  # an image without browsers leaves it out
        return None
    try:
        with sync_playwright() as playwright:
            whole = Path(playwright.chromium.executable_path)
    except Error:
        return None
    home = next((folder for folder in whole.parents if folder.name.startswith("chromium-")), None)
    if home is None:
        return whole
    shells = home.with_name(home.name.replace("chromium-", "chromium_headless_shell-", 1))
    return next(shells.glob("*/chrome-headless-shell"), whole)
