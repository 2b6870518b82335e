"""What the sandbox answers, as data, and the answers that every platform family shares."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from random import Random

from guichets.messages import join_messages

HTML = ("Content-Type", "text/html; charset=utf-8")
HUGE_BYTES = 30_000_000
BOMB_BYTES = 300_000_000  # once decompressed; about 300 kB on the wire


class Delivery(StrEnum):
    """How an answer travels: whole, or broken on purpose."""

    WHOLE = "whole"
    CHUNKED = "chunked"  # whole, without its length
    LATE = "late"  # whole, after a few seconds
    RESET = "reset"  # the connection is torn down before any byte
    NOTHING = "nothing"  # the connection is closed politely before any byte
    TRUNCATED = "truncated"  # closed in the middle of a body whose length was announced
    TRUNCATED_CHUNKS = "truncated-chunks"  # closed before the last chunk
    HANG = "hang"  # never answered
    DRIP = "drip"  # a byte now and then, never the end
    NOT_HTTP = "not-http"  # bytes that no HTTP client can read


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (HTML,)
    delivery: Delivery = Delivery.WHOLE
    is_spoken: bool = False  # over a WebSocket: the body is what is said, as guichets.messages joins it

    def broken(self, delivery: Delivery) -> Reply:
        return replace(self, delivery=delivery)

    def with_header(self, name: str, value: str) -> Reply:
        return replace(self, headers=(*self.headers, (name, value)))


def conversation(*messages: str) -> Reply:
    """What is said over a WebSocket, in its order."""
    return Reply(join_messages(message.encode() for message in messages), 101, (), is_spoken=True)


def page(text: str, status: int = 200) -> Reply:
    """An HTML page in UTF-8."""
    return Reply(text.encode(), status)


def text_of(reply: Reply) -> str:
    """A body as text; pages that are not in UTF-8 are in ISO-8859-1."""
    try:
        return reply.body.decode()
    except UnicodeDecodeError:
        return reply.body.decode("iso-8859-1")


def is_page(reply: Reply) -> bool:
    """Whether an answer is HTML; JSON and scripts are not."""
    kind = dict(reply.headers).get("Content-Type", "")
    return kind.startswith("text/html")


def redirect(location: str, status: int = 302) -> Reply:
    return Reply(b"", status, (HTML, ("Location", location)))


_PROXY = {
    400: ("400 Bad request", "Your browser sent an invalid request."),
    401: ("401 Unauthorized", "You need a valid user and password to access this content."),
    403: ("403 Forbidden", "Request forbidden by administrative rules."),
    429: ("429 Too Many Requests", "You have sent too many requests in a given amount of time."),
    500: ("500 Internal Server Error", "An internal server error occurred."),
    502: ("502 Bad Gateway", "The server returned an invalid or incomplete response."),
    503: ("503 Service Unavailable", "No server is available to handle this request."),
    504: ("504 Gateway Time-out", "The server didn't respond in time."),
}

PROXY_STATUSES = tuple(_PROXY)


def proxy_page(status: int) -> Reply:
    """The page of the HAProxy that stands before the sites."""
    title, sentence = _PROXY[status]
    return page(f"<html><body><h1>{title}</h1>\n{sentence}\n</body></html>\n", status)


def missing_page(status: int = 404) -> Reply:
    """The site's own page for an address it does not know."""
    return page(
        '<!DOCTYPE html><html lang="fr"><head><title>Page introuvable</title></head><body>'
        "<h1>Page introuvable</h1><p>La page demandée n'existe pas ou n'existe plus.</p>"
        "<footer>Prise de rendez-vous - Horaires - Contacts</footer></body></html>",
        status,
    )


def maintenance_page(status: int) -> Reply:
    return page(
        '<!DOCTYPE html><html lang="fr"><head><title>Maintenance</title></head><body>'
        "<h1>Site en maintenance</h1><p>Site indisponible : une opération de maintenance est en cours. "
        "Veuillez réessayer ultérieurement.</p></body></html>",
        status,
    )


def unknown_page() -> Reply:
    """A well-made page of the site that says nothing of the desk, though it uses all the usual words."""
    return page(
        '<!DOCTYPE html><html lang="fr"><head><title>Les services de l\'État</title></head><body>'
        '<div id="container"><h1>Vos rendez-vous en préfecture</h1><h2>Prendre rendez-vous</h2>'
        "<p>L'accès est libre le matin. Choisissez une plage horaire, cochez vos pièces, puis présentez-vous "
        "avec votre convocation et vos timbres fiscaux. Le planning affiche complet en été.</p></div>"
        "<footer>Réessayez ultérieurement - accès libre - Plan du site</footer></body></html>"
    )


def garbage(key: str) -> Reply:
    """Bytes that mean nothing, announced as HTML."""
    return Reply(Random(key).randbytes(20_000))


def picture() -> Reply:
    """A body that is no text at all, and says so."""
    return Reply(
        b"\x89PNG\r\n\x1a\n" + Random("picture").randbytes(4_000), 200, (("Content-Type", "image/png"),)
    )


def in_wrong_charset(reply: Reply) -> Reply:
    """The same page in EBCDIC while the header says UTF-8: none of its words can be read."""
    return replace(reply, body=text_of(reply).encode("cp500", "replace"))


@cache
def huge() -> Reply:
    """A page of 30 MB without a landmark."""
    start = b"<!DOCTYPE html><html><head><title>Journal</title></head><body>"
    line = b"<p>Le journal des travaux de la semaine, en acc\xc3\xa8s libre.</p>\n"
    return Reply(start + line * ((HUGE_BYTES - len(start)) // len(line) + 1))


@cache
def bomb() -> Reply:
    """A small gzip body that becomes enormous: one block compressed once, then repeated.

    A full flush ends a block on a byte and forgets what came before, so equal blocks compress to equal
    bytes and the stream is well-formed to its last byte.
    """
    block = b" " * 1_000_000
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    squeezed = squeezer.compress(block) + squeezer.flush(zlib.Z_FULL_FLUSH)
    blocks = BOMB_BYTES // len(block)
    checksum = 0
    for _ in range(blocks):
        checksum = zlib.crc32(block, checksum)
    ending = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush(zlib.Z_FINISH)
    trailer = checksum.to_bytes(4, "little") + (blocks * len(block)).to_bytes(4, "little")
    header = b"\x1f\x8b\x08" + b"\x00" * 6 + b"\xff"
    return Reply(header + squeezed * blocks + ending + trailer, 200, (HTML, ("Content-Encoding", "gzip")))
