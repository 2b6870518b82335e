"""Time-stamps against an authority of our own, made with OpenSSL and served on loopback."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from guichets.evidence.errors import TimestampError
from guichets.evidence.seal import Seal
from guichets.evidence.timestamp import request_timestamp, stamp_seal, timestamp_path, verify_timestamp
from tests.authority_fixtures import Authority, openssl

SEAL = Seal(date(2025, 5, 13), 12, "ab" * 32, "cd" * 32)


def test_seal_is_stamped_and_verifies(authority: Authority, served: str, tmp_path: Path) -> None:
    path = stamp_seal(tmp_path, SEAL, f"{served}/")
    assert path == timestamp_path(tmp_path, SEAL.day)
    instant = verify_timestamp(path.read_bytes(), SEAL.line().encode(), [authority.root])
    assert instant.tzinfo is UTC
    assert abs(datetime.now(UTC) - instant) < timedelta(days=1)


def test_openssl_reads_our_stamps_too(authority: Authority, served: str, tmp_path: Path) -> None:
    path = stamp_seal(tmp_path, SEAL, f"{served}/")
    data = tmp_path / "line"
    data.write_text(SEAL.line())
    openssl("ts", "-verify", "-in", path, "-data", data, "-CAfile", authority.folder / "root.pem")


def test_stamp_is_asked_for_once(served: str, tmp_path: Path) -> None:
    before = stamp_seal(tmp_path, SEAL, f"{served}/").read_bytes()
    assert stamp_seal(tmp_path, SEAL, f"{served}/broken").read_bytes() == before


def test_stamp_of_other_data_does_not_hold(authority: Authority, served: str) -> None:
    answer = request_timestamp(SEAL.line().encode(), f"{served}/")
    with pytest.raises(TimestampError, match="does not hold"):
        verify_timestamp(answer, b"another line", [authority.root])


def test_stamp_of_an_unknown_authority_does_not_hold(served: str, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    answer = request_timestamp(SEAL.line().encode(), f"{served}/")
    with pytest.raises(TimestampError, match="does not hold"):
        verify_timestamp(answer, SEAL.line().encode(), [stranger.root])


def test_changed_stamp_does_not_hold(authority: Authority, served: str) -> None:
    answer = bytearray(request_timestamp(SEAL.line().encode(), f"{served}/"))
    answer[-10] ^= 1
    with pytest.raises(TimestampError):
        verify_timestamp(bytes(answer), SEAL.line().encode(), [authority.root])


def test_replayed_answer_is_refused(authority: Authority, served: str) -> None:
    old = request_timestamp(SEAL.line().encode(), f"{served}/")
    with pytest.raises(TimestampError, match="another request"):
        request_timestamp(SEAL.line().encode(), f"{served}/", post=lambda url, body: old)


@pytest.mark.parametrize(
    ("path", "text"), [("/broken", "answers 503"), ("/page", "not an RFC 3161 answer")], ids=["503", "page"]
)
def test_authority_that_fails_is_one_clear_error(served: str, path: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(TimestampError, match=text):
        stamp_seal(tmp_path, SEAL, served + path)
    assert not timestamp_path(tmp_path, SEAL.day).exists()


def test_address_that_is_no_address_is_refused() -> None:
    with pytest.raises(TimestampError, match="not the address"):
        request_timestamp(b"x", "file:///etc/passwd")
