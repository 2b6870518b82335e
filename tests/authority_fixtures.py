"""A time-stamp authority of the tests' own, made with OpenSSL, and the address it answers at."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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
