"""A server of pages it has seen once: next to nothing to do, so that workers are what is measured.

The first visit of a desk goes on to a sandbox's one desk, page by page; every later visit of any desk is
answered from memory, whatever its form's number, by a bare protocol on uvloop.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar

import uvloop

HOSTS = tuple(f"127.0.40.{number}" for number in range(1, 81))
_FORM = re.compile(rb"/booking/create/(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NEVER_FORWARDED = {"host", "connection", "content-length", "accept-encoding"}
_NEVER_KEPT = {"connection", "content-length", "transfer-encoding", "date", "keep-alive"}


class Canned(asyncio.Protocol):
    """One connection; requests come one after the other."""

    pages: ClassVar[dict[tuple[bytes, bytes], tuple[bytes, bytes]]] = {}  # of (method, path): head and body
    upstream = ("", b"")  # the sandbox's name:port, and its form's number
    answered: Any  # shared with the bench

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self._transport: Any = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if len(rest) < length:
            return
        self._read = rest[length:]
        method, path, _ = head.split(b" ", 2)
        form = _FORM.search(path)
        key = (method, path.replace(form[1], b"#") if form else path)
        if key not in self.pages:
            self.pages[key] = self._fetch(method, path, head, rest[:length])
        page_head, body = self.pages[key]
        if form:
            page_head = page_head.replace(b"/create/" + self.upstream[1], b"/create/" + form[1])
            body = body.replace(b"/create/" + self.upstream[1], b"/create/" + form[1])
        self.answered.value += 1
        self._transport.write(page_head + b"content-length: %d\r\n\r\n" % len(body) + body)

    def _fetch(self, method: bytes, path: bytes, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        sent = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
        asked = _FORM.sub(b"/booking/create/" + self.upstream[1], path)
        connection = HTTPConnection(self.upstream[0], timeout=30)
        connection.request(
            method.decode(),
            asked.decode(),
            body or None,
            {name: value for name, value in sent.items() if name.lower() not in _NEVER_FORWARDED},
        )
        answer = connection.getresponse()
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        for name, value in answer.getheaders():
            if name.lower() not in _NEVER_KEPT:
                lines.append(f"{name}: {value.replace(f'http://{self.upstream[0]}', '')}")
        page = answer.read()
        connection.close()
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1"), page


@contextmanager
def serve_canned(desk_url: str) -> Iterator[tuple[int, Any]]:
    """Serve on every one of HOSTS; the port, and how many requests were answered so far."""
    context = multiprocessing.get_context("spawn")
    port, answered = context.Value("i", 0), context.Value("i", 0, lock=False)
    process = context.Process(target=_serve, args=(desk_url, port, answered), daemon=True)
    process.start()
    try:
        while not port.value:
            process.join(0.05)
            assert process.is_alive(), "the server of canned pages did not start"
        yield port.value, answered
    finally:
        process.terminate()
        process.join()


def write_catalogue(folder: Path, *, desks: int, port: int) -> Path:
    """That many desks, spread over HOSTS."""
    folder.mkdir(parents=True)
    text = "".join(
        f'[[desk]]\nid = "canned-{number}"\nfamily = "ezbooking"\ndepartement = "92"\n'
        f'office = "Préfecture"\nprocedure = "remise_titre"\nlabel = "{number}"\n'
        f'url = "http://{HOSTS[number % len(HOSTS)]}:{port}/booking/create/{10_000 + number}"\n\n'
        for number in range(desks)
    )
    (folder / "92.toml").write_text(text, encoding="utf-8")
    return folder


def _serve(desk_url: str, port: Any, answered: Any) -> None:
    found = _FORM.search(desk_url.encode())
    assert found is not None
    Canned.upstream = (desk_url.split("/")[2], found[1])
    Canned.answered = answered
    uvloop.run(_listen(HOSTS, port))


async def _listen(hosts: Sequence[str], port: Any) -> None:
    loop = asyncio.get_running_loop()
    first = await loop.create_server(Canned, hosts[0], 0)
    number = first.sockets[0].getsockname()[1]
    for host in hosts[1:]:
        await loop.create_server(Canned, host, number)
    port.value = number
    await asyncio.Event().wait()
