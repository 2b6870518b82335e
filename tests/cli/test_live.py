"""``guichets status --live`` on a terminal of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

from tests.crawl_fixtures import clean_environment
from tests.database_fixtures import Database


def test_the_screen_refreshes_and_ends_cleanly_on_ctrl_c(database: Database) -> None:
    ours, theirs = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-m", "guichets", "status", "--live"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**clean_environment(), "GUICHETS_DATABASE_URL": database.dsn, "TERM": "xterm", "COLUMNS": "100"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while shown.count("Fraîcheur".encode()) < 2 and time.monotonic() < deadline:
        shown += os.read(ours, 4096)
    screen.send_signal(signal.SIGINT)
    status = screen.wait(30)
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a terminal tells that nobody is left
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert status == 0
    assert shown.count("Fraîcheur".encode()) >= 2
    assert b"Traceback" not in shown
