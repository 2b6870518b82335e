"""The download handler: Scrapy's own on aiohttp, told to send each request once and to hand over quickly.

aiohttp quietly repeats a GET whose kept connection was cut; a repeat is a second request to the host,
sooner than its pace allows. The body is read in one place, without a signal for each chunk, which no probe
listens to. See docs/decisions/0003-downloads.md for the measured choice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import yarl
from scrapy import Request
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes

from guichets.clock import Clock, SystemClock
from guichets.crawl import meta
from guichets.crawl.archive import WireFacts
from guichets.crawl.last_moment import Sending, WatchedHandler, sending
from guichets.schedule.lease import LeaseLost

KEEP_ALIVE_SECONDS = 5.0  # shorter than the usual delay: a paced request never meets a half-dead connection


class OnceDownloadHandler(AiohttpDownloadHandler):
    """One request on the wire for each request asked."""

    lazy = True  # made at the first request: `scrapy shell` makes eager ones before its loop runs
    experimental = False  # accepted knowingly; Scrapy would warn at each start

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._timeout = aiohttp.ClientTimeout(total=crawler.settings.getfloat("DOWNLOAD_TIMEOUT"))
        self._session._retry_connection = False
        connector = self._session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        connector._keepalive_timeout = KEEP_ALIVE_SECONDS
        connector._factory = partial(WatchedHandler, loop=connector._loop)  # type: ignore[assignment]
        self._clock: Clock = getattr(crawler.spider, "clock", None) or SystemClock()

    async def download_request(self, request: Request) -> Response:
        """Send, read the whole body, and say what went wrong in Scrapy's words.

        Ends at once when the lease it is sent under is given back: Scrapy waits for every answer before it
        stops, and nobody is there to read this one.
        """
        lease = meta.lease_of(request)
        if lease is None:
            return await self._download(request)
        leaving = Sending(lease, self._clock)
        token = sending.set(leaving)
        try:
            async with lease.cut_short_when_given_back():
                return await self._download(request)
        except TimeoutError as error:
            raise LeaseLost(lease.host) from error  # no longer waited for
        except Exception as error:
            if leaving.refused:
                request.meta.pop(meta.SENT, None)  # it did not leave
                raise LeaseLost(lease.host) from error
            raise
        finally:
            sending.reset(token)

    async def _download(self, request: Request) -> Response:
        timeout = self._timeout_of(request)
        began = time.monotonic()
        async with (
            in_scrapy_s_words(request, timeout.total),
            self._session.request(
                request.method,
                yarl.URL(request.url, encoded=True),
                data=request.body or None,
                headers=sent_headers(request),
                timeout=timeout,
                ssl=self._ssl_context,
                allow_redirects=False,
                proxy=self._proxy_of(request),
            ) as answer,
        ):
            request.meta["download_latency"] = time.monotonic() - began
            request.meta[meta.WIRE] = wire_facts(answer)
            body = await self._read_body(answer, request)
        request.meta[meta.ELAPSED] = time.monotonic() - began
        return response_of(answer, request, body)

    def _timeout_of(self, request: Request) -> aiohttp.ClientTimeout:
        seconds = request.meta.get("download_timeout")
        return self._timeout if seconds is None else aiohttp.ClientTimeout(total=seconds)

    def _proxy_of(self, request: Request) -> str | None:
        return self._extract_proxy_url_with_creds(request) if "proxy" in request.meta else None

    async def _read_body(self, answer: aiohttp.ClientResponse, request: Request) -> bytes:
        limit = self._limit_of(request)
        announced = answer.content_length
        if limit and announced is not None and announced > limit:
            raise DownloadCancelledError(f"{request.url} announces {announced} bytes, more than {limit}")
        pieces: list[bytes] = []
        size = 0
        async for piece in answer.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if limit and size > limit:
                raise too_large(request, limit)
        return b"".join(pieces)

    def _limit_of(self, request: Request) -> int:
        """Bytes; 0: any number."""
        limit: int = request.meta.get("download_maxsize", self._default_maxsize)
        return limit


@asynccontextmanager
async def in_scrapy_s_words(request: Request, seconds: float | None) -> AsyncIterator[None]:
    """What goes wrong in here comes out as the exceptions that Scrapy's handlers raise."""
    try:
        yield
    except TimeoutError as error:
        raise DownloadTimeoutError(f"{request.url} took longer than {seconds:g} seconds") from error
    except (aiohttp.InvalidUrlClientError, aiohttp.NonHttpUrlClientError) as error:
        raise UnsupportedURLSchemeError(str(error)) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise CannotResolveHostError(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise DownloadConnectionRefusedError(str(error)) from error
    except aiohttp.ClientPayloadError as error:
        raise ResponseDataLossError(str(error)) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise DownloadFailedError(str(error)) from error


def too_large(request: Request, limit: int) -> DownloadCancelledError:
    return DownloadCancelledError(f"{request.url} sends more than {limit} bytes")


def wire_facts(answer: aiohttp.ClientResponse) -> WireFacts:
    """What the archive keeps of an exchange besides what Scrapy's request and response hold."""
    peer = getattr(answer, "_peername", None)
    return WireFacts(
        sent_headers=answer.request_info.headers,
        response_headers=answer.raw_headers,
        reason=answer.reason or "",
        version=answer.version,
        ip=peer[0] if peer else None,
    )


def sent_headers(request: Request) -> list[tuple[str, str]]:
    """As Scrapy's own handler sends them; straight from the dictionary, whose items are normal already."""
    return [
        (name.decode(request.headers.encoding), value.decode(request.headers.encoding))
        for name, values in dict.items(request.headers)
        if name != b"Proxy-Authorization"
        for value in values
    ]


def response_of(answer: aiohttp.ClientResponse, request: Request, body: bytes) -> Response:
    headers = _headers(answer.raw_headers)
    # A probe reads bytes; only a person's shell wants a response with selectors.
    kind: type[Response] = Response
    if meta.lease_of(request) is None:
        kind = responsetypes.from_args(headers=headers, url=request.url, body=body)
    response = kind(url=request.url, status=answer.status, body=body, protocol="HTTP/1.1")
    response.headers = headers  # given to the constructor, they would be made anew
    return response


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Scrapy's headers, from bytes: text that is no UTF-8 cannot be encoded again.

    Filled at once: Scrapy would look at the type of each name and value, which are known.
    """
    found: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        found.setdefault(name.title(), []).append(value)
    headers = Headers()
    dict.update(headers, found)
    return headers
