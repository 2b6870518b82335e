"""What `guichets schedule` says of a mistake."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from guichets.nodes.client import NodeError, open_nodes
from tests.crawl_fixtures import clean_environment


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("now", "--node", "http://me:secret@127.0.0.1:1"), "the address of a node holds a password"),
        (("now", "--node", "127.0.0.1:6800"), "node '127.0.0.1:6800': expected an address such as http"),
        (("now", "--setting", "GUICHETS_LEESE=4"), "Did you mean GUICHETS_LEASE?"),
        (("install", "--every", "soon"), "--every='soon': expected a time such as 15m"),
        (("install", "--every", "15m", "--family", "ezboking"), '--family: "ezboking" is unknown'),
    ],
)
def test_mistake_is_one_line_before_anything_is_asked(
    tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guichets", "schedule", *words],
        env={**clean_environment(), "GUICHETS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


class Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is not a server's log."""


def test_a_refused_password_names_the_file_it_was_read_from(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        file = tmp_path / "given"
        file.write_text(address.replace("://", "://me:secret@") + "\n")
        file.chmod(0o600)
        (node,) = open_nodes([address], file)
        try:
            with pytest.raises(NodeError, match=f"it refuses the password: see {re.escape(str(file))}$"):
                node.jobs()
        finally:
            server.shutdown()
