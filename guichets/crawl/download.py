"""The download handler: Scrapy's own on aiohttp, told to send each request once.

aiohttp quietly repeats a GET whose kept connection was cut; a repeat is a second request to the host,
sooner than its pace allows. See docs/decisions/0003-downloads.md for the measured choice.
"""

from __future__ import annotations

import aiohttp
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.crawler import Crawler

KEEP_ALIVE_SECONDS = 5.0  # shorter than the usual delay: a paced request never meets a half-dead connection


class OnceDownloadHandler(AiohttpDownloadHandler):
    """One request on the wire for each request asked."""

    experimental = False  # accepted knowingly; Scrapy would warn at each start

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._session._retry_connection = False
        connector = self._session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        connector._keepalive_timeout = KEEP_ALIVE_SECONDS
