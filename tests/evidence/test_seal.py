"""Nothing sealed can be changed, dropped, inserted, moved or cut without `verify` naming the place."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from evidence_builders import START, Hand, exchange, page_bytes, seeded_ids, write_noted
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.evidence import ArchiveWriter, EvidenceRef
from guichets.evidence.errors import ArchiveError, SealError
from guichets.evidence.layout import (
    PRUNED_MARK,
    RECORDS_MARK,
    archive_folder,
    beside,
    known_archive_id,
)
from guichets.evidence.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    leaf_hash,
    merkle_root,
    node_hash,
    root_from_proof,
)
from guichets.evidence.record_list import Entry, leaf_of, scan_entries, write_list
from guichets.evidence.seal import FIRST_PREVIOUS, SEALS_NAME, chained, prove, read_seals, seal_until
from guichets.evidence.verify import Break, BreakKind, verify

MUTATIONS = 1000
DAYS = 3


def fill(home: Path) -> list[EvidenceRef]:
    """Three days of two workers, with every kind of record."""
    hand = Hand()
    refs = []
    for _ in range(DAYS):
        for worker in ("w1", "w2"):
            with ArchiveWriter(home, worker, now=hand.now, new_id=seeded_ids(len(refs))) as writer:
                for number in range(6):
                    hand.forward(minutes=7)
                    page = page_bytes(number % 4, 900)
                    refs.append(write_noted(writer, exchange(page, at=hand.now())))
        hand.forward(days=1)
    return refs


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sealed")
    fill(home)
    assert len(seal_until(home, START + timedelta(days=DAYS))) == DAYS
    return home


@pytest.fixture
def home(sealed: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(sealed, tmp_path / "home")
    return tmp_path / "home"


def warcs(home: Path) -> list[Path]:
    return sorted(archive_folder(home).rglob("guichets-*.warc.gz"))


def kinds(home: Path) -> set[BreakKind]:
    return {found.kind for found in verify(home)}


def test_untouched_archive_verifies(sealed: Path) -> None:
    assert list(verify(sealed)) == []


def test_sealing_again_adds_nothing(home: Path) -> None:
    before = (home / SEALS_NAME).read_bytes()
    assert seal_until(home, START + timedelta(days=DAYS)) == []
    assert (home / SEALS_NAME).read_bytes() == before


def test_each_seal_commits_to_the_one_before(sealed: Path) -> None:
    previous = FIRST_PREVIOUS
    for seal in read_seals(sealed):
        assert seal.seal == chained(previous, seal.day, seal.records, seal.root)
        previous = seal.seal


def test_today_is_not_sealed(tmp_path: Path) -> None:
    fill(tmp_path)
    assert [seal.day for seal in seal_until(tmp_path, START + timedelta(days=1))] == [START.date()]


def test_day_still_being_written_is_not_sealed(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, "w1", now=Hand().now) as writer:
        writer.write_exchange(exchange())
        with pytest.raises(SealError, match="still being written"):
            seal_until(tmp_path, START + timedelta(days=1))


def test_record_of_today_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    path = warcs(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (found,) = verify(tmp_path)
    assert found.kind is BreakKind.UNSOUND


# --- what each break is called, and where ---------------------------------------------------------------


def records_of(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[entry.offset : entry.end] for entry in scan_entries(path)]


def place_of(home: Path, path: Path, index: int) -> str:
    return f"{path.relative_to(home).as_posix()}@{scan_entries(path)[index].offset}"


def test_changed_record_is_named_with_its_place(home: Path) -> None:
    path = warcs(home)[2]
    place = place_of(home, path, 3)
    records = records_of(path)
    records[3] = records[3][:-9] + bytes([records[3][-9] ^ 1]) + records[3][-8:]
    path.write_bytes(b"".join(records))
    assert [(found.kind, found.place) for found in verify(home)] == [(BreakKind.CHANGED, place)]


def test_dropped_record_is_named_with_its_place(home: Path) -> None:
    path = warcs(home)[1]
    place = place_of(home, path, 4)
    records = records_of(path)
    path.write_bytes(b"".join(records[:4] + records[5:]))
    assert [(found.kind, found.place) for found in verify(home)] == [(BreakKind.DROPPED, place)]


def test_inserted_record_is_named_with_its_place(home: Path) -> None:
    path, other = warcs(home)[:2]
    place = place_of(home, path, 2)
    records = records_of(path)
    path.write_bytes(b"".join([*records[:2], records_of(other)[3], *records[2:]]))
    assert [(found.kind, found.place) for found in verify(home)] == [(BreakKind.INSERTED, place)]


def test_swapped_records_are_reordered(home: Path) -> None:
    path = warcs(home)[0]
    records = records_of(path)
    records[2], records[5] = records[5], records[2]
    path.write_bytes(b"".join(records))
    assert kinds(home) == {BreakKind.REORDERED}


@pytest.mark.parametrize("cut_bytes", [1, 50, 700])
def test_cut_file_is_truncated(home: Path, cut_bytes: int) -> None:
    path = warcs(home)[0]
    path.write_bytes(path.read_bytes()[:-cut_bytes])
    assert kinds(home) == {BreakKind.TRUNCATED}


def test_missing_file_is_named(home: Path) -> None:
    path = warcs(home)[3]
    path.unlink()
    (found,) = verify(home)
    assert (found.kind, found.place) == (BreakKind.MISSING_FILE, path.relative_to(home).as_posix())


def test_file_removed_with_its_list_breaks_the_day(home: Path) -> None:
    path = warcs(home)[3]
    path.unlink()
    beside(path, RECORDS_MARK).unlink()
    assert kinds(home) == {BreakKind.LIST_EDITED}


def test_whole_day_removed_breaks_the_day(home: Path) -> None:
    shutil.rmtree(warcs(home)[0].parent)
    assert kinds(home) == {BreakKind.LIST_EDITED}


def test_file_slipped_into_a_sealed_day_is_named(home: Path) -> None:
    path = warcs(home)[0]
    shutil.copy(path, path.with_name(path.name.replace("-1.warc.gz", "-9.warc.gz")))
    assert kinds(home) == {BreakKind.INSERTED}


def test_record_changed_together_with_its_list_still_breaks_the_seal(home: Path) -> None:
    path = warcs(home)[0]
    records = records_of(path)
    path.write_bytes(b"".join(records[:-1]))
    write_list(path, scan_entries(path))
    assert kinds(home) == {BreakKind.LIST_EDITED}


def test_rewritten_history_differs_from_the_published_seals(home: Path) -> None:
    published = read_seals(home)
    path = warcs(home)[0]
    path.write_bytes(b"".join(records_of(path)[:-1]))
    (home / SEALS_NAME).unlink()
    seal_until(home, START + timedelta(days=DAYS))
    assert list(verify(home)) == []  # consistent with itself, which is why seals are published
    found = list(verify(home, published=published))
    assert {one.kind for one in found} == {BreakKind.SEAL_EDITED}
    assert len(found) == DAYS


def test_dropped_last_line_is_noticed(home: Path) -> None:
    lines = (home / SEALS_NAME).read_text().splitlines(keepends=True)
    (home / SEALS_NAME).write_text("".join(lines[:-1]))
    assert kinds(home) == {BreakKind.SEAL_MISSING}


def test_forged_tombstone_cannot_hide_a_fresh_day(home: Path) -> None:
    path = warcs(home)[0]
    path.unlink()
    beside(path, PRUNED_MARK).write_text(
        '{"pruned_at": "2025-05-20T00:00:00+00:00", "reason": "retention", "number": 1, "kept": {}}'
    )
    found = {one.kind for one in verify(home, retention=timedelta(days=400))}
    assert found == {BreakKind.PRUNED_EARLY}


# --- a thousand mutations -------------------------------------------------------------------------------


def flip_bit(home: Path, source: random.Random) -> None:
    path = source.choice([*warcs(home), home / SEALS_NAME])
    data = bytearray(path.read_bytes())
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    path.write_bytes(data)


def truncate(home: Path, source: random.Random) -> None:
    path = source.choice([*warcs(home), home / SEALS_NAME])
    data = path.read_bytes()
    path.write_bytes(data[: source.randrange(len(data))])


def swap_records(home: Path, source: random.Random) -> None:
    path = source.choice(warcs(home))
    records = records_of(path)
    one, other = source.sample(range(len(records)), 2)
    records[one], records[other] = records[other], records[one]
    path.write_bytes(b"".join(records))


def delete_record(home: Path, source: random.Random) -> None:
    path = source.choice(warcs(home))
    records = records_of(path)
    records.pop(source.randrange(len(records)))
    path.write_bytes(b"".join(records))


def insert_record(home: Path, source: random.Random) -> None:
    path, other = (source.choice(warcs(home)) for _ in range(2))
    records = records_of(path)
    records.insert(source.randrange(len(records) + 1), source.choice(records_of(other)))
    path.write_bytes(b"".join(records))


def delete_file(home: Path, source: random.Random) -> None:
    source.choice([*warcs(home), *(beside(path, RECORDS_MARK) for path in warcs(home))]).unlink()


def edit_list(home: Path, source: random.Random) -> None:
    path = source.choice(warcs(home))
    entries = scan_entries(path)
    number = source.randrange(len(entries))
    digest = hashlib.sha256(source.randbytes(8)).hexdigest()
    entries[number] = Entry(entries[number].offset, entries[number].length, digest)
    write_list(path, entries)


def edit_seal_line(home: Path, source: random.Random) -> None:
    lines = (home / SEALS_NAME).read_text().splitlines(keepends=True)
    number = source.randrange(2, len(lines))
    words = lines[number].split()
    word = source.randrange(4)
    words[word] = {
        0: "2025-05-01",
        1: str(source.randrange(900, 9000)),
        2: hashlib.sha256(source.randbytes(8)).hexdigest(),
        3: hashlib.sha256(source.randbytes(8)).hexdigest(),
    }[word]
    lines[number] = " ".join(words) + "\n"
    (home / SEALS_NAME).write_text("".join(lines))


def move_seal_lines(home: Path, source: random.Random) -> None:
    lines = (home / SEALS_NAME).read_text().splitlines(keepends=True)
    if source.random() < 0.5:
        one, other = source.sample(range(2, len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines.pop(source.randrange(2, len(lines)))
    (home / SEALS_NAME).write_text("".join(lines))


MUTATORS: list[Callable[[Path, random.Random], None]] = [
    flip_bit,
    truncate,
    swap_records,
    delete_record,
    insert_record,
    delete_file,
    edit_list,
    edit_seal_line,
    move_seal_lines,
]


def test_a_thousand_mutations_are_all_detected(home: Path) -> None:
    clean = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    published = read_seals(home)
    unnoticed = []
    for seed in range(MUTATIONS):
        source = random.Random(seed)
        mutate = MUTATORS[seed % len(MUTATORS)]
        mutate(home, source)
        if next(verify(home, published=published), None) is None:
            unnoticed.append((seed, mutate.__name__))
        for path, data in clean.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
    assert unnoticed == []


# --- trees ----------------------------------------------------------------------------------------------


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(naive_root(leaves[:half]), naive_root(leaves[half:]))


def test_root_of_the_reference_tree() -> None:
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    leaves = [leaf_hash(bytes.fromhex(text)) for text in inputs]
    assert merkle_root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert merkle_root([]) == EMPTY_ROOT


@settings(deadline=None)
@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proved_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = merkle_root(leaves)
    assert root == naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = MerkleTree(leaves).proof(index)
    assert MerkleTree(leaves).root == merkle_root(leaves)
    assert root_from_proof(leaves[index], index, size, proof) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else None
    if other is not None:
        assert root_from_proof(leaves[other], index, size, proof) != root
        assert root_from_proof(leaves[index], other, size, proof) != root
    assert root_from_proof(leaves[index], index, size, [*proof, root]) != root


def test_record_is_proved_under_its_published_seal(sealed: Path) -> None:
    seals = {seal.day: seal for seal in read_seals(sealed)}
    path = warcs(sealed)[2]
    relative = path.relative_to(sealed).as_posix()
    for entry in scan_entries(path):
        ref = EvidenceRef(relative, entry.offset, entry.length, "", "", entry.digest)
        proof = prove(sealed, ref)
        steps = [bytes.fromhex(step) for step in proof.path]
        root = root_from_proof(leaf_of(relative, entry), proof.index, proof.records, steps)
        assert root is not None
        assert root.hex() == seals[proof.day].root
    with pytest.raises(SealError, match="not under the seal"):
        prove(sealed, replace(ref, digest="0" * 64))


def test_breaks_read_as_sentences() -> None:
    found = Break(BreakKind.DROPPED, "archive/x@12", "the record is gone")
    assert str(found) == "archive/x@12: dropped: the record is gone"


def test_seals_that_cannot_be_read_are_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "seals.txt").write_text("junk\n")
    with pytest.raises(SealError, match=r"/seals\.txt:1: 'junk' is not a seal; restore the file from its"):
        read_seals(tmp_path)


def test_file_in_place_of_the_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(ArchiveError, match=r"archive/id: cannot be read \(Not a directory\)"):
        known_archive_id(tmp_path)
