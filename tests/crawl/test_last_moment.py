from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import aiohttp
import pytest
import uvloop

from guichets.clock import SystemClock
from guichets.crawl.last_moment import Sending, WatchedHandler, sending
from guichets.schedule.lease import HostLease, LeaseLost
from guichets.schedule.pace import Pace

OVER = {"lost": {"lost": True}, "expired": {"expires_at": 0.0}}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("over", [None, *OVER])
def test_no_byte_leaves_under_a_lease_that_is_over(loop: object, method: str, over: str | None) -> None:
    received = b""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        piece = await reader.read(65_536)
        received += piece
        if piece:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    async def ask(lease: HostLease) -> bool:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connector = aiohttp.TCPConnector()
        connector._factory = partial(WatchedHandler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        leaving = Sending(lease, SystemClock())
        sending.set(leaving)
        async with aiohttp.ClientSession(connector=connector) as session:
            try:
                async with session.request(
                    method, f"http://127.0.0.1:{port}/", data=b"x" * 9 if method == "POST" else None
                ) as answer:
                    assert await answer.read() == b"hi"
            except (aiohttp.ClientError, LeaseLost):
                assert leaving.refused
        await asyncio.wait_for(ended.wait(), 20)
        server.close()
        await server.wait_closed()
        return leaving.refused

    lease = HostLease(host="127.0.0.1", pace=Pace(10.0), **(OVER[over] if over else {}))  # type: ignore[arg-type]
    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        refused = runner.run(ask(lease))
    assert refused == (over is not None)
    assert (received == b"") == refused
    if not refused:
        assert lease.pace.ready_at >= SystemClock().monotonic() + 9  # the delay counts from the write
