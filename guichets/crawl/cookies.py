"""Cookies, one jar per probe. The jar travels with the requests, so it goes when its probe goes.

Scrapy's own middleware never purges jars, and asks the network for the list of public suffixes; a probe
talks to one host, where neither is needed.
"""

from __future__ import annotations

from scrapy import Request
from scrapy.http import Response
from scrapy.http.cookies import CookieJar

from guichets.crawl import meta


class ProbeCookiesMiddleware:
    """Sends a probe's cookies back, and keeps those it is given."""

    def process_request(self, request: Request) -> None:
        jar = request.meta.get(meta.JAR)
        if isinstance(jar, CookieJar):
            request.headers.pop("Cookie", None)
            jar.add_cookie_header(request)

    def process_response(self, request: Request, response: Response) -> Response:
        jar = request.meta.get(meta.JAR)
        if isinstance(jar, CookieJar):
            jar.extract_cookies(response, request)
        return response
