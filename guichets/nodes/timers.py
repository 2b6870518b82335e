"""Recurring jobs as systemd units or crontab lines: Scrapyd has no clock of its own.

What is written runs ``guichets schedule now``, which reads the nodes' passwords from their file: none
stands in a unit, a crontab or a list of processes.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from guichets.errors import ArgumentError

UNIT = "guichets-schedule"
CRONTAB_FILE = "guichets.crontab"
MARK = "# Written by `guichets schedule install`; run it again rather than edit this."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EVERY = re.compile(r"(\d{1,6})\s*(s|m|min|h|d)")
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
START_SECONDS = 300  # longest a round of questions to the nodes may take


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What is to be done again and again, on the machine that does it."""

    every: timedelta
    command: Sequence[str]  # words; the first is an absolute path
    environment: Mapping[str, str]
    user: str | None = None  # systemd runs it as this user; None: whoever's manager it is

    def __post_init__(self) -> None:
        if self.every < _MINUTE or self.every > 31 * _DAY:
            raise ArgumentError("--every: expected between 1 minute and 31 days")


def read_every(text: str) -> timedelta:
    """``15m``, ``2h``, ``90s``, ``1d``. Raises ArgumentError for anything else."""
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None:
        raise ArgumentError(f"--every={text!r}: expected a time such as 15m, 2h or 1d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2][0]])


def render_service(what: Recurrence) -> str:
    """The systemd service: one round of questions to the nodes."""
    lines = [
        MARK,
        "[Unit]",
        "Description=Guichets: ask the nodes for crawls",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(quote_unit(word) for word in what.command)}",
        f"TimeoutStartSec={START_SECONDS}",
        *(f"Environment={quote_unit(f'{name}={value}')}" for name, value in what.environment.items()),
        *([f"User={what.user}"] if what.user else []),
        "NoNewPrivileges=yes",
        "ProtectSystem=full",
    ]
    return "\n".join(lines) + "\n"


def render_timer(what: Recurrence) -> str:
    """The systemd timer: soon after a start, then at the interval."""
    seconds = int(what.every.total_seconds())
    lines = [
        MARK,
        "[Unit]",
        f"Description=Guichets: ask the nodes for crawls every {_in_words(what.every)}",
        "",
        "[Timer]",
        "OnBootSec=1min",
        f"OnUnitActiveSec={seconds}s",
        "AccuracySec=1s",
        f"Unit={UNIT}.service",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def render_crontab(what: Recurrence) -> str:
    """One line of a user's crontab. Raises ArgumentError for an interval cron cannot keep."""
    words = [*(f"{name}={value}" for name, value in what.environment.items()), *what.command]
    if what.environment:
        words.insert(0, "env")
    # to cron, a per cent sign ends the command
    command = shlex.join(words).replace("%", r"\%")
    return f"{MARK}\n{_cron_fields(what.every)} {command}\n"


def _cron_fields(every: timedelta) -> str:
    minutes, rest = divmod(every, _MINUTE)
    if not rest:
        if every < _HOUR and 60 % minutes == 0:
            return f"*/{minutes} * * * *" if minutes > 1 else "* * * * *"
        if every < _DAY and not every % _HOUR and 24 % (every // _HOUR) == 0:
            hours = every // _HOUR
            return f"0 */{hours} * * *" if hours > 1 else "0 * * * *"
        if every == _DAY:
            return "0 0 * * *"
    raise ArgumentError(
        f"--every={_in_words(every)}: cron counts from each full hour, so it knows only parts of an hour "
        "(1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30m) or of a day (1, 2, 3, 4, 6, 8, 12h, 1d); "
        "--format systemd knows any"
    )


def quote_unit(word: str) -> str:
    """A word of a unit file: systemd's own specifiers, variables and quotes mean nothing in it."""
    if any(ord(character) < 32 for character in word):
        raise ArgumentError(f"{word!r}: a unit file cannot hold this")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[^\w@%+=:,./$-]", word) else escaped


def write_units(what: Recurrence, folder: Path) -> list[Path]:
    """Write the service and the timer. Raises ArgumentError rather than overwrite another's file."""
    return [
        write(folder / f"{UNIT}.service", render_service(what)),
        write(folder / f"{UNIT}.timer", render_timer(what)),
    ]


def write(path: Path, text: str) -> Path:
    """Write a file of ours, or over one of ours."""
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(MARK):
            raise ArgumentError(f"{path} exists and was not written by this command: move it away first")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} cannot be written: {error}") from error
    return path


def complaints(units: Sequence[Path]) -> list[str]:
    """What ``systemd-analyze verify`` finds wrong in these units; nothing where there is no systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return []
    done = subprocess.run(
        [program, "verify", *map(str, units)], capture_output=True, text=True, timeout=60, check=False
    )
    names = [unit.name for unit in units]
    return [line for line in done.stderr.splitlines() if any(name in line for name in names)]


def _in_words(every: timedelta) -> str:
    for letter in "dhm":
        size = timedelta(seconds=_UNITS[letter])
        if not every % size:
            return f"{every // size}{letter}"
    return f"{int(every.total_seconds())}s"
