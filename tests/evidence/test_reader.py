"""Hostile or damaged archives give one typed error, never a crash and never another page."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib
from pathlib import Path

import brotli
import pytest
from evidence_builders import START, Hand, exchange, page_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from guichets.evidence import ArchiveReader, ArchiveWriter, EvidenceRef
from guichets.evidence.decoding import decode_body, remove_chunks
from guichets.evidence.errors import ArchiveError, BodyTooLarge, BrokenRecord, UndecodableBody
from guichets.evidence.layout import archive_folder

PAGE = "Préfecture".encode() * 100


def only_file(home: Path) -> Path:
    (path,) = archive_folder(home).rglob("*.warc.gz")
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EvidenceRef]]:
    home = tmp_path_factory.mktemp("archive")
    hand = Hand()
    with ArchiveWriter(home, "w1", now=hand.now) as writer:
        refs = []
        for number in range(12):
            hand.forward(seconds=11)
            refs.append(writer.write_exchange(exchange(page_bytes(number % 5, 900), at=hand.now())))
    return home, refs


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 10**9))
def test_damaged_file_is_a_typed_error_or_the_very_page(
    archive: tuple[Path, list[EvidenceRef]], seed: int
) -> None:
    home, refs = archive
    path = only_file(home)
    clean = path.read_bytes()
    errors: list[str] = []
    source = random.Random(seed)
    data = bytearray(clean)
    for _ in range(source.randrange(1, 4)):
        data[source.randrange(len(data))] = source.randrange(256)
    path.write_bytes(data[: source.randrange(len(data))] if source.random() < 0.2 else data)
    try:
        for number, ref in enumerate(refs):
            try:
                assert ArchiveReader(home).read_page(ref).body() == page_bytes(number % 5, 900)
            except ArchiveError as problem:
                errors.append(str(problem))
        with contextlib.suppress(ArchiveError):
            list(ArchiveReader(home).pages(path))
    finally:
        path.write_bytes(clean)
    assert all("w1-2025-05-13T07-1.warc.gz@" in error for error in errors)


def test_reference_with_another_hash_is_refused(archive: tuple[Path, list[EvidenceRef]]) -> None:
    home, refs = archive
    ref = refs[0]
    lied = EvidenceRef(ref.file, ref.offset, ref.length, "0" * 64, ref.record_id, ref.digest)
    with pytest.raises(BrokenRecord, match="not the one the observation was read from"):
        ArchiveReader(home).read_page(lied)


def test_reference_into_the_middle_of_a_record_is_refused(archive: tuple[Path, list[EvidenceRef]]) -> None:
    home, refs = archive
    ref = refs[0]
    with pytest.raises(BrokenRecord):
        ArchiveReader(home).read_page(
            EvidenceRef(ref.file, ref.offset + 3, ref.length, ref.sha256, ref.record_id, ref.digest)
        )
    with pytest.raises(BrokenRecord, match="none of ours"):
        ArchiveReader(home).read_page(
            EvidenceRef(ref.file, ref.offset, 10**12, ref.sha256, ref.record_id, ref.digest)
        )


@pytest.mark.parametrize(
    ("coding", "raw"),
    [
        (b"gzip", gzip.compress(PAGE)),
        (b"x-gzip", gzip.compress(PAGE)),
        (b"deflate", zlib.compress(PAGE)),
        (b"deflate", zlib.compress(PAGE)[2:-4]),
        (b"br", brotli.compress(PAGE)),
        (b"identity", PAGE),
        (b"gzip, br", brotli.compress(gzip.compress(PAGE))),
    ],
    ids=["gzip", "x-gzip", "deflate", "bare-deflate", "br", "identity", "two"],
)
def test_content_codings(coding: bytes, raw: bytes) -> None:
    headers = ((b"Content-Encoding", coding),)
    assert decode_body(raw, headers) == PAGE
    if coding != b"identity":
        with pytest.raises(UndecodableBody):
            decode_body(raw[: len(raw) // 2], headers)
        with pytest.raises(BodyTooLarge):
            decode_body(raw, headers, limit=len(PAGE) - 1)


def test_unknown_coding_is_not_guessed() -> None:
    with pytest.raises(UndecodableBody, match="'zstd' is not one we read"):
        decode_body(b"x", ((b"Content-Encoding", b"zstd"),))


@pytest.mark.parametrize(
    "raw", [gzip.compress(bytes(40_000_000)), brotli.compress(bytes(40_000_000), quality=1)]
)
def test_bomb_stops_at_the_limit(raw: bytes) -> None:
    coding = b"gzip" if raw.startswith(b"\x1f\x8b") else b"br"
    with pytest.raises(BodyTooLarge):
        decode_body(raw, ((b"Content-Encoding", coding),))


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_chunks_come_off(pieces: list[bytes]) -> None:
    raw = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert remove_chunks(raw) == b"".join(pieces)
    headers = ((b"Transfer-Encoding", b"chunked"),)
    assert decode_body(raw, headers) == b"".join(pieces)


def test_chunks_taken_off_by_the_client_are_not_missed() -> None:
    assert decode_body(PAGE, ((b"Transfer-Encoding", b"chunked"),)) == PAGE


@pytest.mark.parametrize(
    "raw", [b"5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello\r\nzz\r\n", b"5\r\nhelloXX0\r\n\r\n"]
)
def test_wrong_chunks_are_an_error(raw: bytes) -> None:
    with pytest.raises(UndecodableBody, match="chunk"):
        decode_body(raw, ((b"Transfer-Encoding", b"chunked"),))


def test_body_that_cannot_be_decoded_is_still_proved(tmp_path: Path) -> None:
    broken = exchange(b"not gzip at all", compress=False)
    headers = (*broken.response_headers, (b"Content-Encoding", b"gzip"))
    sent = type(broken)(
        method="GET",
        url=broken.url,
        request_headers=(),
        status=200,
        response_headers=headers,
        raw_body=b"not gzip at all",
        started_at=START,
        finished_at=START,
    )
    with ArchiveWriter(tmp_path, "w1", now=Hand().now) as writer:
        ref = writer.write_exchange(sent)
    page = ArchiveReader(tmp_path).read_page(ref)
    assert page.raw_body == sent.raw_body
    with pytest.raises(UndecodableBody):
        page.body()
