"""The file of the nodes' user names and passwords: one address per line, readable by its owner alone.

    http://guichets:the-password@127.0.0.1:6800
    https://guichets:another@node-b.example.org

Reserved characters are written as %XX, as in any address. Passwords never stand on a command line, where
every user of the machine could read them.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from guichets import configuration
from guichets.errors import ConfigurationError

FILE_NAME = "nodes.credentials"
PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who one is for a node."""

    user: str
    password: str = field(repr=False)


def credentials_file(given: Path | None = None) -> Path:
    """The file in force: the one given, else the setting's, else the one in GUICHETS_HOME; absolute."""
    named = given or Path(configuration.read("GUICHETS_NODE_CREDENTIALS") or configuration.home() / FILE_NAME)
    return named.expanduser().absolute()


def read_credentials(path: Path) -> Mapping[str, Credentials]:
    """Credentials by the node's address without them; empty when there is no such file.

    Raises ConfigurationError for a file that others may read, or a line that is no address with a user.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise ConfigurationError(f"{path}: others may read these passwords: chmod 600 {path}")
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the nodes' passwords cannot be read: {error}") from error
    found: dict[str, Credentials] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            address, credentials = _read_line(line.strip(), f"{path}:{number}")
            found[address] = credentials
    return found


def ensure_credentials(path: Path, address: str, user: str) -> Credentials:
    """The credentials of ``address`` in the file, made by chance and added to it when there are none."""
    known = read_credentials(path).get(address)
    if known is not None:
        return known
    made = Credentials(user, secrets.token_urlsafe(PASSWORD_BYTES))
    scheme, _, rest = address.partition("://")
    path.parent.mkdir(parents=True, exist_ok=True)
    # one write at the end of the file: two nodes that start at once both find their line whole
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{scheme}://{quote(user, safe='')}:{made.password}@{rest}\n".encode())
    finally:
        os.close(descriptor)
    return made


def _read_line(line: str, place: str) -> tuple[str, Credentials]:
    try:
        parts = urlsplit(line)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.username:
            raise ValueError
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    except ValueError:
        # the line is not quoted: it may hold a password
        raise ConfigurationError(f"{place}: expected http://user:password@host:port") from None
    return address, Credentials(unquote(parts.username), unquote(parts.password or ""))
