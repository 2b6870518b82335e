"""The file of the nodes' passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from guichets.errors import ConfigurationError
from guichets.nodes.credentials import Credentials, ensure_credentials, read_credentials

NODE = "http://127.0.0.1:6800"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_no_file_holds_no_credentials(tmp_path: Path) -> None:
    assert read_credentials(tmp_path / "none") == {}


def test_addresses_are_known_without_their_passwords(tmp_path: Path) -> None:
    text = "# two nodes\n\nhttp://guichets:one@127.0.0.1:6800\nhttps://g%40b:a%2Fb%3A@node-b.example.org/\n"
    assert read_credentials(write(tmp_path / "nodes", text)) == {
        NODE: Credentials("guichets", "one"),
        "https://node-b.example.org": Credentials("g@b", "a/b:"),
    }


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "nodes", "http://guichets:one@127.0.0.1:6800\n", mode)
    with pytest.raises(ConfigurationError, match=r"nodes: others may read these passwords: chmod 600 "):
        read_credentials(path)


@pytest.mark.parametrize(
    "line", ["guichets:secret", "ftp://u:secret@host", "http://host", "http://u:secret@[x"]
)
def test_bad_line_is_named_without_its_password(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "nodes", f"\n{line}\n")
    with pytest.raises(
        ConfigurationError, match=r"nodes:2: expected http://user:password@host:port"
    ) as caught:
        read_credentials(path)
    assert "secret" not in str(caught.value)


def test_password_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "home" / "nodes"
    made = ensure_credentials(path, NODE, "guichets")
    other = ensure_credentials(path, "http://127.0.0.1:6801", "guichets")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_credentials(path, NODE, "guichets") == made
    assert made.password != other.password
    assert len(made.password) >= 32
    assert made.password not in repr(made)
