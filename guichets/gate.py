"""The gate: what a family's spider may ask of a site. Everything not allowed is refused.

Rule 1 of the project, as data: an allow-list of requests (method, path, body fields and their values).
The downloader middleware that applies it is ``guichets.crawl.gate``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, urlsplit

FORM_TYPE = "application/x-www-form-urlencoded"
_UNSAFE = re.compile(r"[^!-~]")  # white space, controls, anything beyond ASCII


@dataclass(frozen=True, slots=True)
class Allow:
    """One kind of request that may leave.

    ``path`` and the values of ``fields`` are regular expressions that must match whole; a form's body must
    hold exactly the named fields, each once. ``query`` likewise; names of ``optional`` may be there besides,
    once each, those that end in ``[]`` any number of times. Neither of them means no query string at all.
    ``body`` is for requests that are no forms: an expression the whole body must match, of ``content_type``.
    ``redirect_only`` rows are reached by following the site's own answer, never asked for directly.
    """

    method: str
    path: str
    fields: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    optional: Mapping[str, str] | None = None
    body: str | None = None
    content_type: str = FORM_TYPE
    redirect_only: bool = False

    def __post_init__(self) -> None:
        if self.body is not None and self.fields is not None:
            raise ValueError(f"{self.method} {self.path}: a body has fields or a pattern, not both")

    def allows_query(self, query: str) -> bool:
        if self.query is None and self.optional is None:
            return not query
        return _holds(query, self.query or {}, self.optional or {})

    def allows_body(self, body: bytes, content_type: str) -> bool:
        if self.fields is None and self.body is None:
            return not body
        if content_type.split(";")[0].strip().lower() != self.content_type or not body.isascii():
            return False
        text = body.decode("ascii")
        if self.fields is not None:
            return _holds(text, self.fields, {})
        return _whole(self.body or "").fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, as the gate sees it."""

    method: str
    url: str
    body: bytes = b""
    content_type: str = ""
    redirected: bool = False
    host: str = ""  # the desk's host: the only one that may be asked


@dataclass(frozen=True, slots=True)
class Gate:
    """A family's allow-list. ``prefixes`` are path prefixes that lead to the same pages."""

    rows: tuple[Allow, ...]
    prefixes: tuple[str, ...] = ()
    stops_at: str = ""  # the last step that is read; said in messages

    def refusal(self, ask: Ask) -> str | None:
        """Why the request may not leave, as a short stable word; None when it may."""
        if _UNSAFE.search(ask.url):  # urlsplit would leave some of them out, and judge another address
            return "bad-url"
        try:
            parts = urlsplit(ask.url)
            port = parts.port
        except ValueError:
            return "bad-url"
        if parts.scheme not in {"http", "https"} or parts.username is not None or parts.password is not None:
            return "bad-url"
        if not same_host(ask.host, parts.hostname or "", port):
            return "off-host"
        path = self.plain_path(parts.path)
        if ask.method == "GET" and parts.path == "/robots.txt" and not parts.query and not ask.body:
            return None
        reason = "not-allowed"
        for row in self.rows:
            if row.method != ask.method or _whole(row.path).fullmatch(path) is None:
                continue
            if row.redirect_only and not ask.redirected:
                continue
            if not row.allows_query(parts.query):
                continue
            if row.allows_body(ask.body, ask.content_type):
                return None
            reason = "body"
        return reason

    def knows(self, url: str) -> bool:
        """Whether the address is one of the family's, whatever the host."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        path = self.plain_path(parts.path)
        return any(row.method == "GET" and _whole(row.path).fullmatch(path) for row in self.rows)

    def plain_path(self, path: str) -> str:
        """The path without the prefixes under which the platform shows the same page."""
        for prefix in self.prefixes:
            if path.startswith(prefix + "/"):
                return path[len(prefix) :]
        return path


def same_host(desk_host: str, name: str, port: int | None) -> bool:
    """Whether an address is on the desk's host; http and https of one name are the same host."""
    desk = urlsplit(f"//{desk_host}")
    if (desk.hostname or "") != name.lower() or not name:
        return False
    default_ports = {None, 80, 443}
    return desk.port == port or (desk.port in default_ports and port in default_ports)


@cache
def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _holds(text: str, wanted: Mapping[str, str], optional: Mapping[str, str]) -> bool:
    """Whether a query or a form's body has the wanted names, once each, and nothing unknown."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        return False
    times = Counter(name for name, _ in pairs)
    patterns = {**optional, **wanted}
    return (
        ";" not in text
        and all(times[name] == 1 for name in wanted)
        and all(count == 1 or name.endswith("[]") for name, count in times.items())
        and all(name in patterns and _whole(patterns[name]).fullmatch(value) for name, value in pairs)
    )


NOTHING = Gate(rows=())
"""The gate of a spider that declares none: nothing leaves."""
