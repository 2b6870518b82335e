"""The headers of every request: who we are (rule 3 of the project) and what we read.

Scrapy's two middlewares for this would normalise each name and value anew for each request.
"""

from __future__ import annotations

from typing import Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Headers


class IdentityMiddleware:
    """Adds USER_AGENT and DEFAULT_REQUEST_HEADERS where a request does not say otherwise."""

    def __init__(self, headers: Headers) -> None:
        self._headers = tuple((name, tuple(values)) for name, values in dict.items(headers))

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        given = {
            **crawler.settings.getdict("DEFAULT_REQUEST_HEADERS"),
            "User-Agent": crawler.settings["USER_AGENT"],
        }
        return cls(Headers({name: value for name, value in given.items() if value is not None}))

    def process_request(self, request: Request) -> None:
        headers = request.headers
        for name, values in self._headers:
            if not dict.__contains__(headers, name):
                dict.__setitem__(headers, name, [*values])
