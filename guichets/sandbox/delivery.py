"""How answers leave: whole, late, cut, hung or torn down."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from guichets.messages import split_messages
from guichets.sandbox.replies import Delivery, Reply

LATE_SECONDS = 2.0
DRIP_SECONDS = 0.5
FOREVER_SECONDS = 3600.0  # a client that waits longer than this has no time-out
CHUNK_BYTES = 65_536
_NO_LINGER = struct.pack("ii", 1, 0)  # makes close() send RST


async def deliver(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Answer as the reply says; after a torn connection, what is returned goes nowhere."""
    if reply.delivery is Delivery.WHOLE:
        return _whole(reply)
    if reply.delivery is Delivery.LATE:
        await asyncio.sleep(LATE_SECONDS)
        return _whole(reply)
    if reply.delivery is Delivery.HANG:
        await asyncio.sleep(FOREVER_SECONDS)
        return _torn(request, b"")
    if reply.delivery is Delivery.CHUNKED:
        return await _stream(request, reply, CHUNK_BYTES, 0.0)
    if reply.delivery is Delivery.DRIP:
        return await _stream(request, reply, 1, DRIP_SECONDS)
    if reply.delivery is Delivery.RESET:
        return _reset(request)
    if reply.delivery is Delivery.NOTHING:
        return _torn(request, b"")
    if reply.delivery is Delivery.NOT_HTTP:
        return _torn(request, b"\x15\x03\x01\x00\x02\x02\x16 +OK this is no HTTP\r\n\r\n")
    half = reply.body[: max(len(reply.body) * 2 // 3, 1)]
    if reply.delivery is Delivery.TRUNCATED_CHUNKS:
        head = _head(reply, "Transfer-Encoding: chunked")
        return _torn(request, head + b"%x\r\n%b\r\n" % (len(half), half))
    return _torn(request, _head(reply, f"Content-Length: {len(reply.body) + 1}") + half)


async def hear(request: web.BaseRequest) -> tuple[web.WebSocketResponse, bytes]:
    """Accept a handshake and wait for its message; empty when none comes."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    message = await socket.receive()
    return socket, message.data.encode() if isinstance(message.data, str) else b""


async def speak(request: web.BaseRequest, socket: web.WebSocketResponse, reply: Reply) -> web.StreamResponse:
    """Say what the reply holds, as it says; then listen until the other side closes."""
    messages = split_messages(reply.body)
    if messages is None:  # a fault has made something else of it
        messages = [reply.body]
    if reply.delivery is Delivery.LATE:
        await asyncio.sleep(LATE_SECONDS)
    elif reply.delivery is Delivery.HANG:
        await asyncio.sleep(FOREVER_SECONDS)
    elif reply.delivery is Delivery.RESET:
        return _reset(request)
    elif reply.delivery is Delivery.NOT_HTTP:
        return _torn(request, b"+OK this is no frame\r\n")
    elif reply.delivery is Delivery.TRUNCATED:  # in the middle of a frame
        return _torn(request, b"\x81\x7e\x10\x00" + messages[0])
    elif reply.delivery is Delivery.NOTHING:
        messages = []
    elif reply.delivery is Delivery.TRUNCATED_CHUNKS:
        messages = messages[:-1]
    while reply.delivery is Delivery.DRIP:
        await socket.send_str("[]")
        await asyncio.sleep(DRIP_SECONDS)
    for message in messages:
        try:
            await socket.send_str(message.decode())
        except UnicodeDecodeError:
            await socket.send_bytes(message)
    if reply.delivery in {Delivery.NOTHING, Delivery.TRUNCATED_CHUNKS}:
        await socket.close()
    while not socket.closed:
        await socket.receive()
    return socket


def _whole(reply: Reply) -> web.Response:
    response = web.Response(body=reply.body, status=reply.status)
    for name, value in reply.headers:
        response.headers[name] = value
    return response


async def _stream(request: web.BaseRequest, reply: Reply, size: int, pause: float) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.enable_chunked_encoding()
    await response.prepare(request)
    for start in range(0, len(reply.body), size):
        await response.write(reply.body[start : start + size])
        if pause:
            await asyncio.sleep(pause)
    await response.write_eof()
    return response


def _head(reply: Reply, length: str) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} OK", length, *(f"{name}: {value}" for name, value in reply.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _torn(request: web.BaseRequest, data: bytes) -> web.Response:
    """Write these bytes and close, without the server's help."""
    transport = request.transport
    if transport is not None:
        if data:
            transport.write(data)
        transport.close()
    return web.Response()


def _reset(request: web.BaseRequest) -> web.Response:
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return web.Response()
