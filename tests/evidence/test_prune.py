"""Retention removes what is old and unneeded, and nothing else; seals go on verifying."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from evidence_builders import START, Hand, exchange, page_bytes, write_noted

from guichets.evidence import ArchiveReader, ArchiveWriter, EvidenceRef
from guichets.evidence.archive import INDEX_NAME
from guichets.evidence.errors import BrokenRecord, RecordPruned
from guichets.evidence.layout import archive_folder
from guichets.evidence.prune import RETENTION_DAYS, carry_out, plan_prune
from guichets.evidence.seal import only_one_keeper, seal_until
from guichets.evidence.verify import verify

LATER = START + timedelta(days=RETENTION_DAYS + 2)


def archive_days(home: Path, days: int = 2) -> list[list[EvidenceRef]]:
    """A page per hour and day; the second half of each day repeats the first."""
    hand = Hand()
    refs: list[list[EvidenceRef]] = []
    for _ in range(days):
        with ArchiveWriter(home, "w1", now=hand.now) as writer:
            refs.append([])
            for number in (0, 1, 2, 0, 1, 2):
                hand.forward(minutes=5)
                ref = write_noted(writer, exchange(page_bytes(number), at=hand.now()))
                refs[-1].append(ref)
        hand.forward(days=1)
    seal_until(home, hand.now())
    return refs


def is_readable(home: Path, ref: EvidenceRef) -> bool:
    try:
        ArchiveReader(home).read_page(ref)
    except RecordPruned:
        return False
    return True


def prune(home: Path, now: datetime, keep: list[EvidenceRef] | None = None) -> int:
    plan = plan_prune(home, now=now, keep=keep or [])
    carry_out(home, plan, now=now)
    return plan.freed_bytes


def test_nothing_goes_before_its_time(tmp_path: Path) -> None:
    archive_days(tmp_path)
    assert plan_prune(tmp_path, now=START + timedelta(days=RETENTION_DAYS)).files == ()


def test_old_day_goes_whole_and_still_verifies(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    hand = Hand(LATER + timedelta(days=60))
    assert prune(tmp_path, hand.now()) > 0
    assert not any(is_readable(tmp_path, ref) for day in refs for ref in day)
    assert list(archive_folder(tmp_path).rglob("*.warc.gz")) == []
    assert list(verify(tmp_path, retention=timedelta(days=RETENTION_DAYS))) == []
    with pytest.raises(RecordPruned, match="its digest is still in the sealed list"):
        ArchiveReader(tmp_path).read_page(refs[0][0])


def test_kept_revisit_keeps_its_page_its_request_and_what_was_read(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    before = ArchiveReader(tmp_path).read_page(refs[0][4])
    prune(tmp_path, LATER + timedelta(days=60), keep=[refs[0][4]])
    assert ArchiveReader(tmp_path).read_page(refs[0][4]) == before
    assert is_readable(tmp_path, refs[0][1])  # the page it repeats
    assert not is_readable(tmp_path, refs[0][0])
    assert list(verify(tmp_path)) == []


def test_page_a_younger_revisit_repeats_stays(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    now = START + timedelta(days=RETENTION_DAYS + 1)  # the first day is past retention, the second not
    prune(tmp_path, now)
    assert all(is_readable(tmp_path, ref) for ref in refs[1])
    assert not is_readable(tmp_path, refs[0][4])
    assert list(verify(tmp_path)) == []


def test_pruning_again_drops_what_is_no_longer_kept(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    now = LATER + timedelta(days=60)
    prune(tmp_path, now, keep=[refs[0][1], refs[0][2]])
    prune(tmp_path, now + timedelta(days=1), keep=[refs[0][2]])
    assert [is_readable(tmp_path, ref) for ref in refs[0][:3]] == [False, False, True]
    assert plan_prune(tmp_path, now=now + timedelta(days=2), keep=[refs[0][2]]).files == ()
    assert list(verify(tmp_path)) == []


def test_break_is_never_buried(tmp_path: Path) -> None:
    archive_days(tmp_path)
    plan = plan_prune(tmp_path, now=LATER)
    path = tmp_path / plan.files[0].file
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(BrokenRecord, match="nothing was pruned"):
        carry_out(tmp_path, plan, now=LATER)
    assert path.read_bytes() == bytes(data)


def test_kept_record_that_changes_later_is_noticed(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    prune(tmp_path, LATER + timedelta(days=60), keep=[refs[0][0]])
    (kept,) = archive_folder(tmp_path).rglob("kept-*.warc.gz")
    data = bytearray(kept.read_bytes())
    data[-20] ^= 1
    kept.write_bytes(data)
    assert [found.kind.value for found in verify(tmp_path)] == ["changed"]


def test_page_is_stored_whole_again_after_a_month(tmp_path: Path) -> None:
    hand = Hand()
    revisits = []
    with ArchiveWriter(tmp_path, "w1", now=hand.now) as writer:
        for _ in range(9):
            ref = writer.write_exchange(exchange(at=hand.now()))
            revisits.append(ArchiveReader(tmp_path).read_page(ref).is_revisit)
            hand.forward(days=10)
    assert revisits == [False, True, True] * 3


def test_two_prunings_at_once_are_as_one(tmp_path: Path) -> None:
    refs = archive_days(tmp_path)
    later = START + timedelta(days=500)
    plans = [plan_prune(tmp_path, now=later, keep=[refs[0][0]]) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(carry_out, tmp_path, plan, now=later) for plan in plans]:
            done.result()
    assert list(verify(tmp_path)) == []
    assert is_readable(tmp_path, refs[0][0])
    assert not is_readable(tmp_path, refs[1][1])


def test_pruning_waits_for_a_seal_under_way(tmp_path: Path) -> None:
    archive_days(tmp_path)
    plan = plan_prune(tmp_path, now=START + timedelta(days=500))
    with ThreadPoolExecutor() as pool, only_one_keeper(tmp_path):
        waiting = pool.submit(carry_out, tmp_path, plan, now=START + timedelta(days=500))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        assert list(tmp_path.rglob("*.pruned")) == []


def test_heads_of_pruned_pages_leave_the_index_too(tmp_path: Path) -> None:
    archive_days(tmp_path)
    index = archive_folder(tmp_path) / INDEX_NAME
    assert b"eZSESSID" in index.read_bytes()
    later = START + timedelta(days=500)
    carry_out(tmp_path, plan_prune(tmp_path, now=later), now=later)
    with closing(sqlite3.connect(index)) as connection:
        for table in ("exchange", "known"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert b"eZSESSID" not in index.read_bytes()


def test_a_page_a_crawl_may_still_repeat_stays_whatever_the_retention(tmp_path: Path) -> None:
    refs = archive_days(tmp_path, days=1)
    for days, is_kept in ((29, True), (32, False)):
        now = START + timedelta(days=days)
        carry_out(tmp_path, plan_prune(tmp_path, now=now, retention_days=1), now=now)
        assert is_readable(tmp_path, refs[0][0]) == is_kept


def test_what_a_page_showed_stays_with_the_held_page_and_goes_with_the_others(tmp_path: Path) -> None:
    hand = Hand()
    drawn = []
    with ArchiveWriter(tmp_path, "w1", now=hand.now) as writer:
        for number in range(2):
            page = writer.write_exchange(exchange(page_bytes(number), at=hand.now()))
            url = f"urn:view:https://www.example.fr/{number}"
            picture = writer.write_resource(
                url, "image/png", page_bytes(number + 5), at=hand.now(), drawn_from=page.record_id
            )
            drawn.append((page, picture))
    hand.forward(days=1)
    seal_until(tmp_path, hand.now())
    (held_page, its_picture), (page, picture) = drawn
    carry_out(tmp_path, plan_prune(tmp_path, now=LATER, keep=[held_page]), now=LATER)
    reader = ArchiveReader(tmp_path)
    for ref in (held_page, its_picture):
        assert reader.read_page(ref).body()
    for ref in (page, picture):
        with pytest.raises(RecordPruned):
            reader.read_page(ref)
    assert list(verify(tmp_path)) == []
