"""The archive: its cost to a crawl in processor time, bytes of an unchanged page, memory with large pages."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from guichets.evidence import ArchiveReader
from tests.bench.crawl import crawl, environment, pin_to, words
from tests.crawl_fixtures import ROOT, write_desks
from tests.hostile_server import HostileServer, page
from tests.sandbox_fixtures import RunningSandbox, start_sandbox

ROUNDS = 5
HOSTS = 64
DESKS = 300
LARGE_HOSTS = 8
LARGE_BYTES = 3_900_000  # the largest page that is read has 4,000,000
SMALL_BYTES = 10_000
NONE = (
    '<html><body><div id="inner_Booking"><h2>Vérification de disponibilité</h2>'
    '<form id="FormBookingCreate" action="/booking/create/100/2" method="post">'
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement.</form></div>{filler}</body></html>"
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="guichets-bench-") as folder:
        home = Path(folder)
        pin_to(1)
        sandbox = start_sandbox(home, desks=DESKS, departements=60, mixture="lives")
        pin_to(0)
        try:
            _rates(sandbox, home)
        finally:
            sandbox.stop()
        _bytes(home / "home")
        _memory(home)
        _writer_memory(home)


def _rates(sandbox: RunningSandbox, home: Path) -> None:
    crawl(
        sandbox, home, store=True, hosts=HOSTS, archive=True
    )  # warms the sandbox and archives each page once
    rows = []
    for number in range(ROUNDS):
        rates = [
            crawl(sandbox, home, store=True, hosts=HOSTS, archive=archive)["per_cpu_second"]
            for archive in (False, True)
        ]
        new = crawl(sandbox, home, store=True, hosts=HOSTS, archive=True, folder=f"new-{number}")
        rows.append((*rates, new["per_cpu_second"]))
        print(f"  round {number + 1}/{ROUNDS}", file=sys.stderr)
    print("Funnel requests per second of processor time, with database, medians of", ROUNDS, "rounds")
    for label, column in (("no archive", 0), ("archive, pages known", 1), ("archive, pages new", 2)):
        print(f"  {label:<22}{median(row[column] for row in rows):8.0f}")
    print(f"  cost, pages known     {median(1 - row[1] / row[0] for row in rows):8.0%}   goal 20 % or less")
    print(f"  cost, pages new       {median(1 - row[2] / row[0] for row in rows):8.0%}   once a month")


def _bytes(home: Path) -> None:
    """Of the crawl that came last over pages archived before."""
    path = max(home.glob("archive/*/*/*/*.warc.gz"), key=lambda one: one.stat().st_mtime)
    sizes: dict[str, list[int]] = defaultdict(list)
    for _, length, record in ArchiveReader(home).records(path):
        sizes[record.type].append(length)
    observations = len(sizes["metadata"])
    known, note = median(sizes["revisit"]), median(sizes["metadata"])
    pages = len(sizes["revisit"]) + len(sizes["response"])
    print(f"Archive of a crawl of unchanged pages: {observations} observations, {pages} pages")
    print(f"  unchanged page        {known:8.0f} bytes, median   goal 600 or less")
    print(f"  note of observation   {note:8.0f} bytes, median")
    print(f"  one page and its note {known + note:8.0f} bytes            goal 600 or less")
    print(f"  all, per observation  {path.stat().st_size / observations:8.0f} bytes, mean")


def _memory(home: Path) -> None:
    """Peaks of crawls of small and of large pages, none like another, without and with archive."""
    print(f"Peak memory of a crawl of {LARGE_HOSTS} hosts at once, MB")
    extra = []
    for label, size in (("pages of 10 kB", SMALL_BYTES), ("pages of 3.9 MB", LARGE_BYTES)):
        without, with_archive = (
            median(_peak(home, size, archive=archive) for _ in range(3)) for archive in (False, True)
        )
        extra.append(with_archive - without)
        print(f"  {label:<22}without {without:6.0f}   with archive {with_archive:6.0f}")
    print(f"  the archive adds      {extra[0]:.0f} and {extra[1]:.0f}")


WRITE = """
import os, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from guichets.evidence import ArchiveWriter, Exchange
now = datetime.now(UTC)
body = os.urandom(int(sys.argv[2]))  # nothing to compress, and nothing else made on the way
head = ((b"Content-Type", b"text/html"),)
sent = Exchange(method="GET", url="http://a.example/", request_headers=head, status=200,
                response_headers=head, raw_body=body, started_at=now, finished_at=now)
with ArchiveWriter(Path(sys.argv[1]), "bench", now=lambda: now) as writer:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    writer.write_exchange(sent)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _writer_memory(home: Path) -> None:
    """What writing takes beyond the page itself, which the crawl holds anyway."""
    print("Memory that archiving one page takes beyond the page, MB")
    for label, size in (("page of 10 kB", SMALL_BYTES), ("page of 20 MB", 20_000_000)):
        command = [sys.executable, "-c", WRITE, str(home / f"writer-{size}"), str(size)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        print(f"  {label:<22}{int(done.stdout) / 1024:6.1f}")


def _peak(home: Path, size: int, *, archive: bool) -> float:
    dice = random.Random(size)
    with HostileServer() as server, tempfile.TemporaryDirectory(dir=home) as folder:
        urls = {}
        for number in range(LARGE_HOSTS):
            filler = "".join(f"<p>{dice.getrandbits(256):064x}</p>" for _ in range(size // 71))
            host = server.add(page(NONE.format(filler=filler)))
            for desk in range(4):
                urls[f"desk-{number}-{desk}"] = f"http://{host}/booking/create/{100 + desk}"
        catalogue = write_desks(Path(folder) / "catalogue", urls)
        process = subprocess.Popen(
            words({"GUICHETS_STORE": "none", "GUICHETS_ARCHIVE": archive, "GUICHETS_MAX_HOSTS": LARGE_HOSTS}),
            cwd=ROOT,
            env={**environment(catalogue), "GUICHETS_HOME": str(Path(folder) / "home")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        log = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
    if process.returncode:
        raise RuntimeError(log.decode(errors="replace")[-2000:])
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
