"""Time-stamps against an authority of our own, made with OpenSSL and served on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from guichets.evidence.errors import TimestampError
from guichets.evidence.seal import Seal
from guichets.evidence.timestamp import request_timestamp, stamp_seal, timestamp_path, verify_timestamp

SEAL = Seal(date(2025, 5, 13), 12, "ab" * 32, "cd" * 32)

CONFIGURATION = """
[ tsa ]
default_tsa = ours
[ ours ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ root ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ stamping ]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A key, a certificate and a way to answer."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.configuration = folder / "openssl.cnf"
        self.configuration.write_text(CONFIGURATION.format(folder=folder))
        (folder / "serial").write_text("01")
        root, tsa = folder / "root", folder / "tsa"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        config = ("-config", self.configuration)
        openssl("req", "-x509", *key, *self._empty_request(), "-extensions", "root", "-days", 3650)
        root_files = ("-CA", f"{root}.pem", "-CAkey", f"{root}.key", "-CAcreateserial")
        openssl(
            "req",
            "-new",
            *key,
            "-keyout",
            f"{tsa}.key",
            "-out",
            f"{tsa}.csr",
            "-subj",
            "/CN=Our TSA",
            *config,
        )
        openssl(
            "x509", "-req", "-in", f"{tsa}.csr", *root_files, "-out", f"{tsa}.pem", "-days", 3650,
            "-extfile", self.configuration, "-extensions", "stamping",
        )  # fmt: skip
        self.root = Path(f"{root}.pem").read_bytes()

    def _empty_request(self) -> tuple[object, ...]:
        self.configuration.write_text(
            self.configuration.read_text() + "\n[ req ]\ndistinguished_name = dn\n[ dn ]\n"
        )
        root = self.folder / "root"
        return (
            "-keyout", f"{root}.key", "-out", f"{root}.pem", "-subj", "/CN=Our root",
            "-config", self.configuration,
        )  # fmt: skip

    def answer(self, query: bytes) -> bytes:
        query_file, reply_file = self.folder / "query.tsq", self.folder / "reply.tsr"
        query_file.write_bytes(query)
        openssl(
            "ts", "-reply", "-queryfile", query_file, "-config", self.configuration, "-section", "ours",
            "-out", reply_file,
        )  # fmt: skip
        return reply_file.read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "ours")


@pytest.fixture
def served(authority: Authority) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/broken":
                self.send_error(503)
                return
            reply = b"<html>no authority here</html>" if self.path == "/page" else authority.answer(query)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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
