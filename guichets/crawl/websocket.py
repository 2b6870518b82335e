"""The download handler of ws: and wss: addresses: one message is sent, and the answer is heard to its end.

A conversation is one exchange like any other: the gate judged its message, the pace counted it, the lease
is looked at before each byte leaves, and it is archived with the head of its handshake, the message as the
request's body, and what was heard as the response's (``guichets.messages``). A handshake that is refused
is the plain HTTP answer that it is. See docs/decisions/0053-websocket.md.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
import yarl
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadFailedError, ResponseDataLossError
from scrapy.http import Response

from guichets.crawl import meta
from guichets.crawl.download import (
    OnceDownloadHandler,
    in_scrapy_s_words,
    response_of,
    sent_headers,
    too_large,
    wire_facts,
)
from guichets.messages import FRAME_BYTES, join_messages

CLOSING = aiohttp.ClientWSTimeout(ws_close=1.0)  # what a polite end may take, once all was heard
GONE = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})


class _Refused(Exception):
    """The handshake was answered otherwise than by an upgrade."""


@dataclass(slots=True)
class _Handshake:
    """How the handshake of this task's request was answered; ``body``: of a refusal."""

    request: Request
    answer: aiohttp.ClientResponse | None = None
    body: bytes = b""


_handshake: ContextVar[_Handshake] = ContextVar("handshake")


class WebSocketDownloadHandler(OnceDownloadHandler):
    """One handshake and one message for each request; ``meta.UNTIL`` tells the last message of the answer."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        # aiohttp follows a handshake's redirect by itself, and throws away the body of a refusal.
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(self._answered)
        trace.on_request_end.append(self._answered)
        trace.freeze()
        self._session.trace_configs.append(trace)

    async def _answered(
        self,
        session: aiohttp.ClientSession,
        _: object,
        told: aiohttp.TraceRequestRedirectParams | aiohttp.TraceRequestEndParams,
    ) -> None:
        handshake = _handshake.get()
        handshake.answer = told.response
        if told.response.status != 101:
            handshake.body = await self._read_body(told.response, handshake.request)
            raise _Refused

    async def _download(self, request: Request) -> Response:
        timeout = self._timeout_of(request)
        handshake = _Handshake(request)
        token = _handshake.set(handshake)
        began = time.monotonic()
        try:
            async with in_scrapy_s_words(request, timeout.total), asyncio.timeout(timeout.total):
                body = await self._converse(request)
        except _Refused:
            body = handshake.body
        finally:
            _handshake.reset(token)
            if handshake.answer is not None:
                handshake.answer.close()  # after a polite end, nothing is left to close; else no byte leaves
        assert handshake.answer is not None
        request.meta[meta.WIRE] = wire_facts(handshake.answer)
        # No latency but that of the whole: a server says nothing before it has searched.
        request.meta[meta.ELAPSED] = request.meta["download_latency"] = time.monotonic() - began
        return response_of(handshake.answer, request, body)

    async def _converse(self, request: Request) -> bytes:
        limit = self._limit_of(request)
        socket = await self._session.ws_connect(
            yarl.URL(request.url, encoded=True),
            headers=sent_headers(request),
            timeout=CLOSING,
            max_msg_size=limit,
            ssl=self._ssl_context,
            proxy=self._proxy_of(request),
        )
        await socket.send_str(request.body.decode("ascii"))
        messages = await self._listen(socket, request, limit)
        await socket.close()
        return join_messages(messages)

    async def _listen(
        self, socket: aiohttp.ClientWebSocketResponse[bool], request: Request, limit: int
    ) -> list[bytes]:
        """The messages up to the last one. An end before it is a truncated answer."""
        until = re.compile(request.meta[meta.UNTIL])
        messages: list[bytes] = []
        size = 0
        while True:
            message = await socket.receive()
            if message.type in GONE:
                raise ResponseDataLossError(f"{request.url} ended the conversation before its last message")
            if message.type is aiohttp.WSMsgType.ERROR:
                raise self._broken(request, message.data, limit)
            data: bytes = message.data if isinstance(message.data, bytes) else message.data.encode()
            messages.append(data)
            size += len(data) + FRAME_BYTES
            if limit and size > limit:
                raise too_large(request, limit)
            if until.fullmatch(data.decode("utf-8", "replace")):
                return messages

    def _broken(self, request: Request, error: object, limit: int) -> Exception:
        """What a frame that cannot be read, or a connection torn down, means."""
        if isinstance(error, aiohttp.WebSocketError) and error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return too_large(request, limit)
        return DownloadFailedError(f"{request.url}: {error}")
