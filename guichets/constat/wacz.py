"""The pages of a constat as one WACZ file, which ReplayWeb.page opens.

It holds copies for readers: bodies decoded, sessions, tokens and slot handles blanked. Where nothing had to
be blanked the body is, byte for byte, the one whose SHA-256 the observation's row names, and each record says
so (``Guichets-Copy: exact``). The sealed records themselves never leave the archive: see decision 0066.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from guichets import __version__
from guichets.errors import ConfigurationError
from guichets.evidence.packing import Fields, pack_record
from guichets.evidence.warc import format_warc_date
from guichets.visit import SCREENSHOT, SHOWN

VERSION = "1.1.1"  # of the WACZ specification
SOFTWARE = f"Guichets/{__version__}"
WARC_NAME = "constat.warc.gz"
EXACT, SCRUBBED = "exact", "scrubbed"
REVISIT_PROFILE = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
STORED_DATE = (1980, 1, 1, 0, 0, 0)  # of every entry: a date of its own would say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One archived page as it is given out."""

    record_id: str  # of the archived record
    record_digest: str  # SHA-256 of the archived record's bytes
    original_sha256: str  # of the archived body, decoded
    url: str  # scrubbed
    at: datetime
    status: int
    reason: str
    headers: Sequence[tuple[str, str]]  # scrubbed; none that tells of length or coding
    body: bytes
    content_type: str
    is_exact: bool  # the body is the archived one

    @property
    def is_drawn(self) -> bool:
        """Whether no host answered it, so that it has no head."""
        return is_drawn(self.url)


def is_drawn(url: str) -> bool:
    """Whether it is what a browser made of a page, and not what a host answered."""
    return url.startswith((SCREENSHOT, SHOWN))


class WaczWriter:
    """Writes one WACZ; pages in the order of time. Not for use by two threads."""

    def __init__(self, place: Path, *, created: datetime, title: str) -> None:
        self._place = place
        self._created = created
        self._title = title
        self._warc = io.BytesIO()
        self._index: list[str] = []
        self._pages: list[str] = []
        self._first: tuple[str, str] | None = None
        self._known: dict[tuple[str, str], str] = {}  # address and payload -> date of its response
        self._written: set[str] = set()
        self._pack_warcinfo()

    def add(self, copy: Copy, title: str) -> None:
        """Add a page once, however many attempts rest on it; ``title``: as it is listed."""
        if copy.record_id in self._written:
            return
        self._written.add(copy.record_id)
        payload = hashlib.sha256(copy.body).hexdigest()
        date = format_warc_date(copy.at)
        offset = self._warc.tell()
        earlier = self._known.get((copy.url, payload))
        fields: Fields = [
            ("WARC-Record-ID", f"<{uuid5(NAMESPACE_URL, copy.record_id).urn}>"),
            ("WARC-Date", date),
            ("WARC-Target-URI", copy.url),
            ("WARC-Payload-Digest", f"sha256:{payload}"),
            ("Guichets-Copy", EXACT if copy.is_exact else SCRUBBED),
            ("Guichets-Original", copy.record_id),
            ("Guichets-Original-Body", copy.original_sha256),
            ("Guichets-Original-Record", copy.record_digest),
        ]
        if earlier is not None:
            fields += [
                ("WARC-Refers-To-Target-URI", copy.url),
                ("WARC-Refers-To-Date", earlier),
                ("WARC-Profile", REVISIT_PROFILE),
            ]
        if not copy.is_drawn:
            fields.append(("Content-Type", "application/http; msgtype=response"))
        elif earlier is None:
            fields.append(("Content-Type", copy.content_type))
        kind = "revisit" if earlier is not None else "resource" if copy.is_drawn else "response"
        head = b"" if copy.is_drawn else _head(copy)
        pack_record(self._warc, kind, fields, head=head, body=b"" if earlier is not None else copy.body)
        self._known.setdefault((copy.url, payload), date)
        mime = "warc/revisit" if earlier is not None else copy.content_type.split(";")[0]
        self._list(copy, title, mime, payload, offset)

    def close(self, key: ec.EllipticCurvePrivateKey | None) -> None:
        """Write the file; ``key`` signs it."""
        files = {
            f"archive/{WARC_NAME}": self._warc.getvalue(),
            "indexes/index.cdx": "".join(sorted(self._index)).encode(),
            "pages/pages.jsonl": _lines(
                [{"format": "json-pages-1.0", "id": "pages", "title": "Pages"}], self._pages
            ),
        }
        package = {
            "profile": "data-package",
            "wacz_version": VERSION,
            "title": self._title,
            "created": _zulu(self._created),
            "software": SOFTWARE,
            **({"mainPageUrl": self._first[0], "mainPageDate": self._first[1]} if self._first else {}),
            "resources": [
                {
                    "name": name.rpartition("/")[2],
                    "path": name,
                    "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
                    "bytes": len(content),
                }
                for name, content in files.items()
            ],
        }
        described = json.dumps(package, indent=2, ensure_ascii=False).encode()
        digest: dict[str, object] = {
            "path": "datapackage.json",
            "hash": f"sha256:{hashlib.sha256(described).hexdigest()}",
        }
        if key is not None:
            digest["signedData"] = sign(str(digest["hash"]), key, self._created)
        files["datapackage.json"] = described
        files["datapackage-digest.json"] = json.dumps(digest, indent=2).encode()
        with self._place.open("wb") as stream:
            write_stored(stream, files)

    def _list(self, copy: Copy, title: str, mime: str, payload: str, offset: int) -> None:
        stamp = copy.at.astimezone(UTC)
        entry = {
            "url": copy.url,
            "mime": mime,
            **({} if copy.is_drawn else {"status": str(copy.status)}),
            "digest": f"sha256:{payload}",
            "length": str(self._warc.tell() - offset),
            "offset": str(offset),
            "filename": WARC_NAME,
        }
        self._index.append(f"{surt(copy.url)} {stamp:%Y%m%d%H%M%S} {json.dumps(entry)}\n")
        if copy.is_drawn or copy.content_type.split(";")[0].endswith(("javascript", "/css")):
            return  # parts of a page are found by their addresses
        page = {
            "id": uuid5(NAMESPACE_URL, f"page {copy.record_id}").hex,
            "url": copy.url,
            "ts": _zulu(stamp),
            "title": title,
        }
        self._first = self._first or (copy.url, page["ts"])
        self._pages.append(json.dumps(page, ensure_ascii=False) + "\n")

    def _pack_warcinfo(self) -> None:
        fields = [
            ("WARC-Record-ID", f"<{uuid5(NAMESPACE_URL, f'{self._title} {self._created}').urn}>"),
            ("WARC-Date", format_warc_date(self._created)),
            ("WARC-Filename", WARC_NAME),
            ("Content-Type", "application/warc-fields"),
        ]
        body = (
            f"software: {SOFTWARE}\r\nformat: WARC File Format 1.1\r\n"
            "description: reading copies; sessions, tokens and slot handles are blanked\r\n"
        )
        pack_record(self._warc, "warcinfo", fields, body=body.encode())


def write_stored(stream: BinaryIO, files: Mapping[str, bytes | Path]) -> None:
    """A ZIP of uncompressed entries without dates: each of its bytes follows from what it holds."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, STORED_DATE)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, content.read_bytes() if isinstance(content, Path) else content)


def read_key(place: str) -> ec.EllipticCurvePrivateKey | None:
    """The key that signs archives, from its PEM file; None for no place. Raises ConfigurationError."""
    if not place:
        return None
    try:
        key = serialization.load_pem_private_key(Path(place).expanduser().read_bytes(), None)
    except (OSError, ValueError, TypeError) as problem:
        raise ConfigurationError(f"GUICHETS_SIGNING_KEY={place!r}: cannot be read ({problem})") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise ConfigurationError(
            f"GUICHETS_SIGNING_KEY={place!r}: not a key of the curve P-384: "
            "openssl ecparam -name secp384r1 -genkey -noout -out FILE"
        )
    return key


def sign(digest: str, key: ec.EllipticCurvePrivateKey, created: datetime) -> dict[str, str]:
    """An anonymous signature as WACZ files bear it: ECDSA on P-384 with SHA-256, in base64."""
    r, s = decode_dss_signature(key.sign(digest.encode(), ec.ECDSA(hashes.SHA256())))
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "hash": digest,
        "signature": base64.b64encode(r.to_bytes(48) + s.to_bytes(48)).decode(),
        "publicKey": base64.b64encode(public).decode(),
        "created": _zulu(created),
        "software": SOFTWARE,
    }


def surt(url: str) -> str:
    """The key by which an index sorts an address: its host backwards, then the rest, in small letters."""
    if url.startswith("urn:"):  # no host of its own
        name, question, query = url.lower().partition("?")
        return name + question + "&".join(sorted(query.split("&")))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url.lower()
    name = ",".join(reversed(host.removeprefix("www.").split(".")))
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    shown = f":{port}" if port is not None and port != usual else ""
    query = "&".join(sorted(parts.query.lower().split("&")))
    path = parts.path.lower().rstrip("/") or "/"
    return f"{name}{shown}){path}" + (f"?{query}" if query else "")


def _head(copy: Copy) -> bytes:
    lines = [f"HTTP/1.1 {copy.status} {copy.reason}".rstrip()]
    lines += [f"{name}: {value}" for name, value in copy.headers]
    lines += [f"Content-Type: {copy.content_type}", f"Content-Length: {len(copy.body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _lines(first: Sequence[object], rest: Sequence[str]) -> bytes:
    return ("".join(json.dumps(one) + "\n" for one in first) + "".join(rest)).encode()


def _zulu(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
