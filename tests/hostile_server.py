"""A server of raw bytes, for what no HTTP library would send: each address is a host of its own.

``with HostileServer() as server: host = server.add(answer)`` listens on a free port of 127.0.0.1. An answer
is bytes, sent as they are before the connection is closed; or a function of (request, writer) that does
what it likes with the connection. robots.txt is answered 404, unless the host was added with ``robots``.
Whatever is asked is kept in ``requests``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Self

Answer = bytes | Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LONGEST_SECONDS = 300.0  # nothing hangs longer than a test


def page(body: bytes | str, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer: status line, length and body; ``headers`` are more lines, each with its end."""
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n{headers}\r\n".encode("latin-1") + data


def redirect(location: bytes | str, status: str = "302 Found") -> bytes:
    """A redirect whose Location is sent as it is."""
    target = location.encode() if isinstance(location, str) else location
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\nLocation: "
    return head.encode() + target + b"\r\n\r\n"


async def silence(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.sleep(LONGEST_SECONDS)


async def reset(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Tear the connection down before any byte."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def endless(start: bytes, piece: bytes) -> Answer:
    """Send a beginning, then the same piece for ever."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)  # drain alone does not let others in

    return answer


def slowly(data: bytes, seconds: float) -> Answer:
    """Answer whole, after a while."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(data)

    return answer


class HostileServer:
    """Listens from a thread of its own, so that a test may run a crawl meanwhile."""

    def __init__(self) -> None:
        self.requests: dict[str, list[bytes]] = defaultdict(list)  # by host, heads and bodies as received
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile server", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, answer: Answer, *, robots: Answer = NOT_FOUND, tls: ssl.SSLContext | None = None) -> str:
        """A new host, ``address:port``."""
        host: str = self._run(self._listen(answer, robots, tls))
        return host

    def paths(self, host: str) -> list[str]:
        """What was asked of a host, as ``METHOD path``, in order."""
        return [b" ".join(text.split(b" ", 2)[:2]).decode("latin-1") for text in self.requests[host]]

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self, answer: Answer, robots: Answer, tls: ssl.SSLContext | None) -> str:
        name = ""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                request = await _read_request(reader)
                self.requests[name].append(request)
                chosen = robots if request.startswith(b"GET /robots.txt ") else answer
                if isinstance(chosen, bytes):
                    writer.write(chosen)
                else:
                    await chosen(request, writer)
                await writer.drain()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()
            self._tasks.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        self._servers.append(server)
        address, port = server.sockets[0].getsockname()
        name = f"{address}:{port}"
        return name

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head
