"""What is written can be read back, by us and by others' tools, and an unchanged page costs little."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from evidence_builders import START, Hand, exchange, page_bytes, seeded_ids
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.evidence import ArchiveReader, ArchiveWriter, EvidenceError, EvidenceRef
from guichets.evidence.archive import INDEX_NAME
from guichets.evidence.decoding import body_sha256
from guichets.evidence.errors import ArchiveError
from guichets.evidence.exchange import Exchange
from guichets.evidence.layout import archive_folder
from guichets.note import Note, parse_note

OBSERVATION = UUID("0196c8f4-5d3b-7c21-9b1e-2f6f0c1d8a77")
NOTE = Note(
    row="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    desk="92-nanterre-remise-titre",
    outcome="none",
    rule="ezbooking.none.step2-sentence",
)


def make_writer(
    home: Path, hand: Hand | None = None, *, worker: str = "w1", **options: object
) -> ArchiveWriter:
    hand = hand or Hand()
    return ArchiveWriter(home, worker, now=hand.now, new_id=seeded_ids(), **options)  # type: ignore[arg-type]


def only_file(home: Path) -> Path:
    (path,) = archive_folder(home).rglob("*.warc.gz")
    return path


def assert_same(page: object, sent: Exchange) -> None:
    for name in ("url", "status", "reason", "raw_body", "method", "request_headers", "request_body", "ip"):
        assert getattr(page, name) == getattr(sent, name), name
    assert page.headers == sent.response_headers  # type: ignore[attr-defined]
    assert page.started_at == sent.started_at  # type: ignore[attr-defined]
    assert page.finished_at == sent.finished_at  # type: ignore[attr-defined]


def test_exchange_comes_back_as_it_was_on_the_wire(tmp_path: Path) -> None:
    sent = exchange(page_bytes(), method="POST", request_body=b"condition=on&nextButton=Etape+suivante")
    with make_writer(tmp_path) as writer:
        ref = writer.write_exchange(sent)
    page = ArchiveReader(tmp_path).read_page(ref)
    assert_same(page, sent)
    assert page.body() == page_bytes()
    assert not page.is_revisit
    assert ref.sha256 == body_sha256(sent.raw_body, sent.response_headers)


def test_repeated_exchange_is_a_revisit_that_reads_the_same(tmp_path: Path) -> None:
    hand = Hand()
    again = exchange(at=START + timedelta(hours=1), session="zzzzfj2mq8s7t6r5p4n3m2l1zz")
    with make_writer(tmp_path, hand) as writer:
        first = writer.write_exchange(exchange())
        second = writer.write_exchange(again)
    reader = ArchiveReader(tmp_path)
    page = reader.read_page(second)
    assert page.is_revisit
    assert_same(page, again)
    assert second.sha256 == first.sha256
    assert second.length < first.length


def test_short_answer_to_another_question_is_kept_whole_and_referred_to_next_time(tmp_path: Path) -> None:
    with make_writer(tmp_path) as writer:
        writer.write_exchange(exchange(b""))
        asked = {"method": "POST", "request_body": b"planning=14673"}
        second = writer.write_exchange(exchange(b"", at=START + timedelta(seconds=1), **asked))
        third = writer.write_exchange(exchange(b"", at=START + timedelta(hours=1), **asked))
    reader = ArchiveReader(tmp_path)
    found = [reader.read_page(ref) for ref in (second, third)]
    assert [page.is_revisit for page in found] == [False, True]
    assert [page.request_body for page in found] == [b"planning=14673"] * 2
    assert third.length < second.length + 200


def test_revisit_with_other_headers_keeps_them_whole(tmp_path: Path) -> None:
    body = page_bytes()
    other = exchange(body, at=START + timedelta(hours=1), method="POST", request_body=b"planning=14673")
    with make_writer(tmp_path) as writer:
        writer.write_exchange(exchange(body))
        ref = writer.write_exchange(other)
    page = ArchiveReader(tmp_path).read_page(ref)
    assert page.is_revisit
    assert_same(page, other)


def test_short_crawls_find_pages_archived_by_others(tmp_path: Path) -> None:
    with make_writer(tmp_path, worker="monday") as writer:
        writer.write_exchange(exchange())
    with make_writer(tmp_path, worker="tuesday") as writer:
        ref = writer.write_exchange(exchange(at=START + timedelta(days=1)))
    assert ArchiveReader(tmp_path).read_page(ref).is_revisit


@pytest.mark.parametrize("damage", ["lost", "garbage"])
def test_broken_index_costs_space_not_evidence(tmp_path: Path, damage: str) -> None:
    with make_writer(tmp_path) as writer:
        writer.write_exchange(exchange())
    for path in archive_folder(tmp_path).glob(f"{INDEX_NAME}*"):
        path.unlink()
    if damage == "garbage":
        (archive_folder(tmp_path) / INDEX_NAME).write_bytes(b"not a database" * 500)
    with make_writer(tmp_path) as writer:
        ref = writer.write_exchange(exchange())
    assert not ArchiveReader(tmp_path).read_page(ref).is_revisit


@pytest.mark.parametrize("column", ["facts", "offset", "length", "request_length", "file"])
def test_index_that_says_what_the_archive_does_not_is_not_believed(tmp_path: Path, column: str) -> None:
    with make_writer(tmp_path) as writer:
        first = writer.write_exchange(exchange())
        writer.write_exchange(exchange(page_bytes(3)))
    wrong = {
        "facts": "CAST(replace(facts, 'eZSESSID', 'eZSESSIX') AS BLOB)",
        "file": "replace(file, '-1.', '-2.')",
    }.get(column, f"{column} + 1")
    with sqlite3.connect(archive_folder(tmp_path) / INDEX_NAME) as connection:
        connection.execute(f"UPDATE exchange SET {column} = {wrong}")
    connection.close()
    with make_writer(tmp_path) as writer:
        again = writer.write_exchange(exchange(at=START + timedelta(hours=1)))
    reader = ArchiveReader(tmp_path)
    assert not reader.read_page(again).is_revisit
    assert again.sha256 == first.sha256


def test_index_of_a_killed_worker_costs_space_only(tmp_path: Path) -> None:
    killed = make_writer(tmp_path, worker="killed")
    killed.write_exchange(exchange())  # and never closed: what it knew is not written yet
    with make_writer(tmp_path) as writer:
        refs = [writer.write_exchange(exchange(at=START + timedelta(hours=hour))) for hour in (1, 2)]
    assert [ArchiveReader(tmp_path).read_page(ref).is_revisit for ref in refs] == [False, True]
    killed.close()


def test_page_whose_original_is_gone_is_stored_again(tmp_path: Path) -> None:
    with make_writer(tmp_path) as writer:
        writer.write_exchange(exchange())
    only_file(tmp_path).unlink()
    with make_writer(tmp_path) as writer:
        ref = writer.write_exchange(exchange())
    assert not ArchiveReader(tmp_path).read_page(ref).is_revisit


def test_two_writers_of_one_name_never_share_a_file(tmp_path: Path) -> None:
    with make_writer(tmp_path) as one, make_writer(tmp_path) as two:
        refs = [one.write_exchange(exchange(page_bytes(1))), two.write_exchange(exchange(page_bytes(2)))]
    assert len({ref.file for ref in refs}) == 2


def test_new_file_each_hour_and_at_the_size_limit(tmp_path: Path) -> None:
    hand = Hand()
    with make_writer(tmp_path, hand, largest_file_bytes=20_000) as writer:
        files = [writer.write_exchange(exchange(page_bytes(n))).file for n in range(12)]
        hand.forward(hours=1)
        files.append(writer.write_exchange(exchange(page_bytes(99))).file)
        hand.forward(hours=-2)  # a clock set back opens nothing in the past
        files.append(writer.write_exchange(exchange(page_bytes(100))).file)
    assert len(set(files[:12])) == 2
    assert files[-2] == files[-1] == "archive/2025/05/13/guichets-w1-2025-05-13T08-1.warc.gz"


@pytest.mark.parametrize("counter", [None, "18787", "deux mots", 'é "x"\n'])
def test_observation_is_a_metadata_record_tied_to_its_page(tmp_path: Path, counter: str | None) -> None:
    note = replace(NOTE, counter=counter)
    with make_writer(tmp_path) as writer:
        page = writer.write_exchange(exchange())
        ref = writer.write_note(note, record_id=OBSERVATION.urn, at=START, rests_on=[page.record_id])
    record = ArchiveReader(tmp_path).read_record(ref)
    assert record.type == "metadata"
    assert parse_note(record.block) == note
    assert (record.record_id, record.date) == (OBSERVATION.urn, START)
    assert record.field("warc-concurrent-to") == f"<{page.record_id}>"


def fill(home: Path, count: int = 30) -> list[EvidenceRef]:
    """An archive with every kind of record."""
    hand = Hand()
    new_id = seeded_ids(2)
    refs = []
    with make_writer(home, hand) as writer:
        for number in range(count):
            hand.forward(seconds=11)
            sent = exchange(page_bytes(number % 7), at=hand.now(), compress=number % 2 == 0)
            refs.append(writer.write_exchange(sent))
            if number % 5 == 0:
                rests_on = [refs[-1].record_id]
                refs.append(writer.write_note(NOTE, record_id=new_id().urn, at=hand.now(), rests_on=rests_on))
    return refs


def tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def test_standard_checker_finds_nothing_wrong(tmp_path: Path) -> None:
    fill(tmp_path)
    command = [tool("warcio"), "check", "-v", only_file(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digest pass" in done.stdout
    assert "failed" not in done.stdout + done.stderr


def test_standard_index_lists_every_page(tmp_path: Path) -> None:
    fill(tmp_path)
    command = [tool("cdxj-indexer"), "--records", "response,revisit", only_file(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line.split(" ", 2)[2]) for line in done.stdout.splitlines()]
    assert len(lines) == 30
    assert {line["mime"] for line in lines} == {"text/html", "warc/revisit"}
    pages = {offset: page for offset, _, page in ArchiveReader(tmp_path).pages(only_file(tmp_path))}
    assert {int(line["offset"]) for line in lines} == set(pages)
    for line in lines:
        assert line["url"] == pages[int(line["offset"])].url


def test_all_pages_of_a_file_in_order(tmp_path: Path) -> None:
    refs = fill(tmp_path)
    reader = ArchiveReader(tmp_path)
    by_offset = {ref.offset: ref for ref in refs}
    seen = [offset for offset, _, page in reader.pages(only_file(tmp_path)) if page.status == 200]
    assert len(seen) == 30
    assert set(seen) <= set(by_offset)


def test_what_an_unchanged_page_costs_does_not_grow(tmp_path: Path) -> None:
    """The page and its observation, with sessions and dates that change each time; see decision 0021."""
    hand = Hand()
    source = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pages, notes = [], []
    with make_writer(tmp_path, hand) as writer:
        for number in range(200):
            hand.forward(seconds=907, microseconds=source.randrange(1_000_000))
            session = "".join(source.choices(letters, k=26))
            page = writer.write_exchange(exchange(page_bytes(), at=hand.now(), session=session))
            note = replace(NOTE, row=hashlib.sha256(bytes([number])).hexdigest())
            ids = {"record_id": seeded_ids(number)().urn, "rests_on": [page.record_id]}
            notes.append(writer.write_note(note, at=hand.now(), **ids))
            pages.append(page)
    assert statistics.median(ref.length for ref in pages) <= 460
    assert statistics.median(ref.length for ref in notes) <= 310


def test_a_page_costs_no_memory_of_its_size(tmp_path: Path) -> None:
    body = random.Random(1).randbytes(4_000_000)  # nothing to compress: the record is as large
    sent = exchange(body, compress=False)
    packed = exchange(gzip.compress(bytes(8_000_000) + body), compress=False)
    packed = replace(packed, response_headers=(*packed.response_headers, (b"Content-Encoding", b"gzip")))
    with make_writer(tmp_path) as writer:
        writer.write_exchange(exchange())
        tracemalloc.start()
        try:
            refs = [writer.write_exchange(one) for one in (sent, packed)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 1_000_000
    for ref in refs:
        assert ArchiveReader(tmp_path).read_page(ref).body().endswith(body)


def test_full_disk_is_one_clear_error_and_leaves_whole_records(tmp_path: Path) -> None:
    folder = archive_folder(tmp_path) / "2025"
    archive_folder(tmp_path).mkdir()
    folder.write_text("in the way")
    with pytest.raises(EvidenceError, match="no archive file can be made here"):
        make_writer(tmp_path).write_exchange(exchange())


def test_reference_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.warc.gz").write_bytes(gzip.compress(b"WARC/1.1"))
    for name in ("../secret.warc.gz", "secret.warc.gz", "/etc/passwd", "archive/../secret.warc.gz"):
        with pytest.raises(ArchiveError, match="not the"):
            ArchiveReader(tmp_path).read_record(EvidenceRef(name, 0, 10, "", "", ""))


header = st.tuples(
    st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True),
    st.binary(max_size=40).filter(lambda value: not set(b"\r\n\0") & set(value)),
)
exchanges = st.builds(
    Exchange,
    method=st.sampled_from(["GET", "POST"]),
    url=st.sampled_from(["https://a.example/b?c=d", "http://127.0.0.20:8001/booking/create/12083"]),
    request_headers=st.lists(header, max_size=6).map(tuple),
    request_body=st.binary(max_size=50),
    status=st.integers(100, 999),
    reason=st.sampled_from(["", "OK", "Not Found"]),
    response_headers=st.lists(header, max_size=6).map(tuple),
    raw_body=st.binary(max_size=300),
    started_at=st.just(START),
    finished_at=st.just(START),
)


@settings(deadline=None)
@given(st.lists(exchanges, min_size=1, max_size=6))
def test_any_exchange_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, sent: list[Exchange]
) -> None:
    home = tmp_path_factory.mktemp("any")
    with make_writer(home) as writer:
        refs = [(writer.write_exchange(one), one) for one in [*sent, *sent]]
    reader = ArchiveReader(home)
    for ref, one in refs:
        assert_same(reader.read_page(ref), one)


SHOWN = b"<!DOCTYPE html><html><body><div class='user-msg'>Aucun cr\xc3\xa9neau.</div></body></html>"


def test_what_a_browser_showed_comes_back_and_any_reader_opens_it(tmp_path: Path) -> None:
    with make_writer(tmp_path) as writer:
        page = writer.write_exchange(exchange())
        address = "urn:text:https://www.example.fr/slots?a=1"
        ref = writer.write_resource(
            address, "text/html; charset=utf-8", SHOWN, at=START, drawn_from=page.record_id
        )
        after = writer.write_exchange(exchange(page_bytes(1)))
    reader = ArchiveReader(tmp_path)
    back = reader.read_page(ref)
    assert (back.url, back.method, back.status, back.started_at) == (address, "", 200, START)
    assert (back.body(), back.headers) == (SHOWN, ((b"Content-Type", b"text/html; charset=utf-8"),))
    assert ref.sha256 == hashlib.sha256(SHOWN).hexdigest()
    record = reader.read_record(ref)
    assert (record.type, record.field("warc-concurrent-to")) == ("resource", f"<{page.record_id}>")
    for other in (page, after):
        assert reader.read_page(other).method == "GET"
    checked = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "warcio.cli", "check", "-v", str(only_file(tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_changed_picture_is_refused(tmp_path: Path) -> None:
    with make_writer(tmp_path) as writer:
        ref = writer.write_resource("urn:view:https://www.example.fr/", "image/png", b"\x89PNG", at=START)
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[ref.offset + ref.length // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match="not the one that was archived"):
        ArchiveReader(tmp_path).read_page(ref)
