"""What was said over a WebSocket, as one body that is archived and read like any page.

A sequence of texts as RFC 7464 writes JSON ones: each stands between a record separator and a line feed.
"""

from __future__ import annotations

from collections.abc import Iterable

WEB_SCHEMES = {"ws": "http", "wss": "https"}
SPOKEN_SCHEMES = {web: spoken for spoken, web in WEB_SCHEMES.items()}

START, END = b"\x1e", b"\n"
FRAME_BYTES = len(START) + len(END)


def web_address(url: str) -> str:
    """The address a conversation's handshake asks over HTTP, by which it is archived; others as they are."""
    scheme, colon, rest = url.partition(":")
    return f"{WEB_SCHEMES.get(scheme, scheme)}{colon}{rest}"


def spoken_address(url: str) -> str:
    """The other way round."""
    scheme, colon, rest = url.partition(":")
    return f"{SPOKEN_SCHEMES.get(scheme, scheme)}{colon}{rest}"


def join_messages(messages: Iterable[bytes]) -> bytes:
    """The body of a conversation: what the other side said, in its order."""
    return b"".join(START + message + END for message in messages)


def split_messages(body: bytes) -> list[bytes] | None:
    """The messages of such a body; None for a body that is none, or was cut.

    A message that holds a separator itself comes out in pieces: JSON never does, so it is nothing that a
    reader knows.
    """
    if not body:
        return []
    if not body.startswith(START) or not body.endswith(END):
        return None
    return [piece.removesuffix(END) for piece in body.split(START)[1:]]
