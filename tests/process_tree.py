"""The processes a command started, and the memory they hold together, as the system tells (Linux)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """A process and all that it started, itself first."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children[parent].append(int(entry.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def named(pid: int, word: str) -> list[int]:
    """Those of them whose command line holds a word."""
    return [one for one in descendants(pid) if word in " ".join(_command(one))]


def memory_mb(pid: int) -> float:
    """Memory of a process and all that it started; what they share counts once."""
    return sum(_proportional_kb(one) for one in descendants(pid)) / 1024


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None  # it ended meanwhile


def _command(pid: int) -> Iterator[str]:
    try:
        yield from (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return


def _proportional_kb(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
