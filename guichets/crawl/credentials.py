"""The credential that a platform's owner gave us: added to what it is for, kept out of everything else.

Only a request that asks for it bears it, and only to an address the operator named: scheme, host and port
are compared whole, so that neither a redirect nor a catalogue's row can carry it elsewhere. What is
archived is the header's name (``guichets.crawl.archive``). Decision 0054.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from guichets import configuration
from guichets.crawl import meta


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a family's credential goes, and the settings that hold it."""

    header: str
    setting: str  # its value; unset, there is none
    places: str  # the addresses it is for

    def grant(self, settings: Mapping[str, Any]) -> Grant | None:
        """What the operator of this crawl was given; None without a value. Raises ConfigurationError."""
        value = configuration.read_from(settings, self.setting)
        places = configuration.read_from(settings, self.places)
        return Grant(self.header, value, frozenset(map(_origin, places))) if value else None


@dataclass(frozen=True, slots=True)
class Grant:
    """A credential in force."""

    header: str
    value: str = field(repr=False)
    origins: frozenset[str]

    def covers(self, url: str) -> bool:
        return _origin(url) in self.origins


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


class CredentialMiddleware:
    """Adds the header to what robots.txt allows; the gate judges last, after whatever adds something."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        grant = getattr(crawler.spider, "grant", None)
        if not isinstance(grant, Grant):
            raise NotConfigured  # the family has none, or it is not set: a message would be a warning
        return cls(grant)

    def process_request(self, request: Request) -> None:
        if request.meta.get(meta.SIGNED) and self._grant.covers(request.url):
            request.headers[self._grant.header] = self._grant.value
            request.meta[meta.WITHHELD] = self._grant.header
