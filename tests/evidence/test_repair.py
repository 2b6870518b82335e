"""A killed writer leaves whole records, and repair makes its file whole without touching living ones."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from evidence_builders import START, Hand, exchange, page_bytes, seeded_ids

from guichets.evidence import ArchiveReader, ArchiveWriter, repair
from guichets.evidence.layout import OPEN_MARK, TORN_MARK, archive_folder, beside
from guichets.evidence.repair import is_open

WRITE_UNTIL_KILLED = """
import itertools, sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from evidence_builders import Hand, exchange, page_bytes
from guichets.evidence import ArchiveWriter

hand = Hand()
writer = ArchiveWriter(Path(sys.argv[1]), "victim", now=hand.now)
for number in itertools.count():
    hand.forward(seconds=1)
    ref = writer.write_exchange(exchange(page_bytes(number % 50, 30_000), at=hand.now(), compress=False))
    print(ref.file, ref.offset, ref.length, ref.sha256, ref.record_id, ref.digest, flush=True)
"""


def write_some(home: Path, count: int = 5) -> ArchiveWriter:
    """A writer that is still open."""
    writer = ArchiveWriter(home, "w1", now=Hand().now, new_id=seeded_ids())
    for number in range(count):
        writer.write_exchange(exchange(page_bytes(number)))
    return writer


def only_file(home: Path) -> Path:
    (path,) = archive_folder(home).rglob("*.warc.gz")
    return path


def abandon(home: Path) -> Path:
    """A file as a killed process leaves it: marked open, locked by nobody."""
    write_some(home).close()
    path = only_file(home)
    beside(path, OPEN_MARK).touch()
    return path


@pytest.mark.parametrize("seed", range(20))
def test_every_record_reported_before_a_kill_is_readable_after_it(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path), str(Path(__file__).parent)]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.Random(seed).randrange(1, 120))]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    path = only_file(tmp_path)
    reported = [line.split() for line in lines if line.endswith(b"\n")]
    (done,) = repair(tmp_path)
    assert done.damage is None
    assert not is_open(path)
    pages = {offset: page for offset, _, page in ArchiveReader(tmp_path).pages(path)}
    assert len(pages) >= len(reported) > 0
    for _, offset, _, _, record_id, _ in reported:
        assert pages[int(offset)].record_id == record_id.decode()


@pytest.mark.parametrize("cut_bytes", [1, 7, 8, 9, 100, 400])
def test_torn_tail_is_moved_beside_and_nothing_else_changes(tmp_path: Path, cut_bytes: int) -> None:
    path = abandon(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut_bytes])
    (done,) = repair(tmp_path)
    torn = beside(path, TORN_MARK).read_bytes()
    assert done.torn_bytes == len(torn) > 0
    assert path.read_bytes() + torn == whole[:-cut_bytes]
    # The last exchange lost its request at most: every whole record is still there.
    assert done.records == len(list(ArchiveReader(tmp_path).records(path)))
    assert repair(tmp_path) == []


def test_zeros_after_a_power_cut_are_torn_away(tmp_path: Path) -> None:
    path = abandon(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    (done,) = repair(tmp_path)
    assert done.torn_bytes == 4096
    assert path.read_bytes() == whole


def test_damage_before_the_end_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = abandon(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    (done,) = repair(tmp_path)
    assert done.damage is not None
    assert done.torn_bytes == 0
    assert path.read_bytes() == bytes(data)


def test_living_writer_is_left_alone(tmp_path: Path) -> None:
    writer = write_some(tmp_path)
    path = only_file(tmp_path)
    assert is_open(path)
    assert repair(tmp_path) == []
    assert beside(path, OPEN_MARK).exists()
    ref = writer.write_exchange(exchange(page_bytes(77), at=START))
    writer.close()
    assert not is_open(path)
    assert ArchiveReader(tmp_path).read_page(ref).body() == page_bytes(77)


def test_mark_without_a_file_harms_nothing(tmp_path: Path) -> None:
    write_some(tmp_path).close()
    beside(only_file(tmp_path).with_name("guichets-w9-2025-05-13T07-1.warc.gz"), OPEN_MARK).touch()
    assert repair(tmp_path) == []
