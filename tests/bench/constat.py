"""The constat of three months of one desk, in an archive that holds other desks' visits too.

Time and size of the whole command, and memory of all its processes together: its own and the browser's.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date, datetime
from pathlib import Path

from guichets import database
from guichets.database import embedded
from guichets.evidence import ArchiveWriter, Exchange
from guichets.note import Note
from tests.constat.quarter import make_quarter

FIRST, LAST = date(2025, 1, 1), date(2025, 4, 24)  # as many days as 2,000 baseline probes take
GAP = date(2025, 2, 10)
OTHERS_PER_VISIT = 30  # visits of other desks archived between two of this one
GOAL_SECONDS, GOAL_MB, GOAL_MEMORY_MB = 60, 25, 500


def main() -> None:
    print("constat")
    home = Path(tempfile.mkdtemp(prefix="guichets-bench-"))
    try:
        dsn = embedded.join(home)
        database.upgrade(dsn)
        began = time.monotonic()
        with database.connect("owner", dsn=dsn, autocommit=True) as connection:
            quarter = make_quarter(
                connection,
                home,
                first=FIRST,
                last=LAST,
                noise=_others,
                gap=(date(2025, 2, 10), date(2025, 2, 10)),
            )
        attempts, days = len(quarter.attempts), (LAST - FIRST).days + 1
        records = attempts * OTHERS_PER_VISIT * 2
        print(
            f"  {attempts} attempts over {days} days, and {records} records of others, archived in "
            f"{time.monotonic() - began:.0f} s"
        )
        seconds, processor, own, memory = _make(home, dsn, quarter.desk)
        size = (home / "constat.zip").stat().st_size / 1_000_000
        began = time.monotonic()
        subprocess.run([sys.executable, home / "constat" / "verify.py"], check=True, capture_output=True)
        print(
            f"  {seconds:.1f} s (goal {GOAL_SECONDS}), {processor:.1f} s of processor time; {size:.1f} MB "
            f"(goal {GOAL_MB}); memory {own:.0f} MB "
            "(goal "
            f"{GOAL_MEMORY_MB}), {memory:.0f} MB with the browser while it draws; "
            f"verified in {time.monotonic() - began:.1f} s"
        )
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _others(archive: ArchiveWriter, at: datetime) -> None:
    for number in range(OTHERS_PER_VISIT):
        body = f"<html><body><h1>Guichet {number}</h1>{'x' * 3000}</body></html>".encode()
        ref = archive.write_exchange(
            Exchange(
                method="GET", url=f"http://{number}.simulation.invalid/booking/create/{number}/2",
                request_headers=((b"Host", b"x"),), status=200,
                response_headers=((b"Content-Type", b"text/html"),), raw_body=body,
                started_at=at, finished_at=at,
            )
        )  # fmt: skip
        note = Note(
            row=ref.sha256, desk=f"desk-{number}", outcome="none", rule="ezbooking.none.step2-sentence"
        )
        archive.write_note(note, record_id=ref.record_id, at=at, rests_on=[ref.record_id])


def _make(home: Path, dsn: str, desk: str) -> tuple[float, float, float, float]:
    """Seconds by the wall and of the processors; the most MB held, without and with the browser."""
    began, used = time.monotonic(), _processor_seconds()
    doing = subprocess.Popen(
        [
            *(sys.executable, "-m", "guichets", "constat", "--desk", desk, "--from", str(FIRST)),
            *("--to", str(LAST), "--out", str(home / "constat")),
        ],
        env={**os.environ, "GUICHETS_DATABASE_URL": dsn, "GUICHETS_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    own = most = 0.0

    def watch() -> None:
        nonlocal own, most
        while doing.poll() is None:
            own = max(own, _proportional_mb(doing.pid))
            most = max(most, sum(map(_proportional_mb, _family(doing.pid))))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    doing.wait()
    watcher.join()
    if doing.returncode:
        raise RuntimeError("the command failed")
    return time.monotonic() - began, _processor_seconds() - used, own, most


def _processor_seconds() -> float:
    """Of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(root: int) -> set[int]:
    """The process and all its descendants."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _proportional_mb(pid: int) -> float:
    """Its own memory and its share of what it shares with others."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


if __name__ == "__main__":
    main()
