"""The downloader middlewares and the handler, in Scrapy's order, without what each call costs Scrapy.

For every middleware of every request Scrapy builds the name it would warn with, and a coroutine around
methods that are none. Here a method is simply called, and awaited when it asks for it (decision 0002).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.deprecate import argument_is_required


class Chain:
    """What a request of a probe goes through: down to the network, and back up."""

    def __init__(self, crawler: Crawler) -> None:
        assert crawler.engine is not None
        downloader = crawler.engine.downloader

        def methods(name: str) -> tuple[Callable[..., Any], ...]:
            found = (method for method in downloader.middleware.methods[name] if method is not None)
            return tuple(
                # as many a middleware of Scrapy's users still asks for it
                partial(method, spider=crawler.spider) if argument_is_required(method, "spider") else method
                for method in found
            )

        self._before = methods("process_request")
        self._after = methods("process_response")
        self._failing = methods("process_exception")
        self._send = downloader.handlers.download_request_async

    async def download(self, request: Request) -> Response:
        """The response, or what the first component raised that no other made good."""
        try:
            response = await self._down(request)
        except Exception as error:  # noqa: BLE001 - raised again, unless a middleware makes it good
            response = await self._made_good(request, error)
        for method in self._after:
            answer = method(request=request, response=response)
            response = answer if isinstance(answer, Response) else _response(await ensure_awaitable(answer))
        return response

    async def _down(self, request: Request) -> Response:
        for method in self._before:
            answer = method(request=request)
            if answer is not None and (answer := await ensure_awaitable(answer)) is not None:
                return _response(answer)
        return await self._send(request)

    async def _made_good(self, request: Request, error: Exception) -> Response:
        for method in self._failing:
            answer = await ensure_awaitable(method(request=request, exception=error))
            if answer is not None:
                return _response(answer)
        raise error


def _response(answer: object) -> Response:
    """A probe asks one thing at a time: another request in place of the answer leads nowhere."""
    if not isinstance(answer, Response):
        raise TypeError(f"a middleware answered {answer!r} in place of a response")
    return answer
