"""RFC 3161 time-stamps of seals: a third party's word that a seal existed at an instant.

Off unless an authority's address is given. The library builds and checks; this module only carries bytes.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.tsp import PKIStatus

from guichets.evidence.errors import TimestampError
from guichets.evidence.record_list import write_whole
from guichets.evidence.seal import Seal

TIMEOUT_SECONDS = 30
LARGEST_ANSWER_BYTES = 1024 * 1024
FOLDER = "timestamps"

Post = Callable[[str, bytes], bytes]


def timestamp_path(home: Path, day: date) -> Path:
    """Where the time-stamp of a day's seal is kept, as the DER answer `openssl ts -verify` reads."""
    return home / FOLDER / f"{day.isoformat()}.tsr"


def stamp_seal(home: Path, seal: Seal, url: str, *, post: Post | None = None) -> Path:
    """Have a seal time-stamped and keep the answer; a day stamped already is left alone."""
    path = timestamp_path(home, seal.day)
    if not path.exists():
        answer = request_timestamp(seal.line().encode(), url, post=post)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, answer)
    return path


def request_timestamp(data: bytes, url: str, *, post: Post | None = None) -> bytes:
    """The authority's DER answer for ``data``; TimestampError unless it was granted for these very bytes."""
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = (post or _post)(url, request.as_bytes())
    response = _decode(answer, url)
    if response.tst_info.nonce != request.nonce:
        raise TimestampError(f"{url}: the answer is to another request (its nonce differs)")
    if response.tst_info.message_imprint.message != request.message_imprint.message:
        raise TimestampError(f"{url}: the answer stamps other data")
    return answer


def verify_timestamp(answer: bytes, data: bytes, roots: Sequence[bytes]) -> datetime:
    """The instant a time-stamp certifies for ``data``, in UTC.

    ``roots``: the trusted certificates, PEM. TimestampError when signature, chain or data do not hold.
    """
    response = _decode(answer, "time-stamp")
    builder = VerifierBuilder()
    try:
        for pem in roots:
            for certificate in x509.load_pem_x509_certificates(pem):
                builder = builder.add_root_certificate(certificate)
        builder.build().verify_message(response, data)
    except (VerificationError, ValueError) as problem:
        raise TimestampError(f"time-stamp does not hold: {problem}") from None
    return response.tst_info.gen_time.astimezone(UTC)


def _decode(answer: bytes, place: str) -> TimeStampResponse:
    try:
        response = decode_timestamp_response(answer)
        status = PKIStatus(response.status)
    except ValueError:
        raise TimestampError(f"{place}: not an RFC 3161 answer") from None
    if status is not PKIStatus.GRANTED:
        raise TimestampError(f"{place}: refused with status {status.name}")
    return response


def _post(url: str, body: bytes) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise TimestampError(f"{url!r} is not the address of a time-stamp authority")
    request = urllib.request.Request(url, body, {"Content-Type": "application/timestamp-query"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(LARGEST_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise TimestampError(f"{url}: answers {problem.code}") from None
    except (OSError, ValueError) as problem:
        raise TimestampError(f"{url}: does not answer ({problem})") from None
    if len(content) > LARGEST_ANSWER_BYTES:
        raise TimestampError(f"{url}: answers more than {LARGEST_ANSWER_BYTES} bytes")
    return content
