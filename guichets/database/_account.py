"""Whose account the embedded server runs under: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ACCOUNT_NAME = "pgserver"  # the name the wheel itself would create


@dataclass(frozen=True, slots=True)
class Account:
    """The system user of the server, when it is not the user of this process."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)


def server_account(data: Path) -> Account | None:
    """None for an ordinary user, who runs it himself; for root, the data's owner or a system user."""
    if os.geteuid() != 0:
        return None
    try:
        owner = data.stat()
    except FileNotFoundError:
        pass  # a new server
    else:
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    entry = _find(ACCOUNT_NAME) or _create(ACCOUNT_NAME) or pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create(name: str) -> pwd.struct_passwd | None:
    """Create the system user; None where that is not possible (no useradd, a read-only system)."""
    if not (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")):
        return None
    for _ in range(20):  # useradd gives up at once when another one holds its lock
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            capture_output=True,
            check=False,
        )
        if entry := _find(name):
            return entry
        if not os.access("/etc/passwd", os.W_OK):
            return None
        time.sleep(0.05)
    return None


def let_in(account: Account, path: Path) -> None:
    """Let the account pass through the folders above ``path``: the right to search, where it lacks."""
    for folder in path.parents:
        status = folder.stat()
        if status.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            folder.chmod(stat.S_IMODE(status.st_mode) | needed)


def let_read(tree: Path, sample: Path) -> None:
    """Let everybody read an installed tree; ``sample`` tells whether a strict umask left it closed."""
    if sample.stat().st_mode & stat.S_IXOTH:
        return
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        extra = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() or mode & stat.S_IXUSR else 0)
        path.chmod(mode | extra)
