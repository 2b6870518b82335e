"""The gate: what a family's spider may ask of a site. Everything not allowed is refused.

Rule 1 of the project, as data: an allow-list of requests (method, path, body fields and their values).
The downloader middleware that applies it is ``guichets.crawl.gate``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, urlsplit

FORM_TYPE = "application/x-www-form-urlencoded"
_UNSAFE = re.compile(r"[^!-~]")  # white space, controls, anything beyond ASCII


@dataclass(frozen=True, slots=True)
class Allow:
    """One kind of request that may leave.

    ``path`` and the values of ``fields`` are regular expressions that must match whole; a body must hold
    exactly the named fields, each once. ``query`` likewise, None meaning no query string at all.
    ``redirect_only`` rows are reached by following the site's own answer, never asked for directly.
    """

    method: str
    path: str
    fields: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    redirect_only: bool = False


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
            if not _holds_exactly(parts.query, row.query):
                continue
            if row.fields is None:
                if not ask.body:
                    return None
            elif (
                ask.content_type.split(";")[0].strip().lower() == FORM_TYPE
                and _is_ascii(ask.body)
                and _holds_exactly(ask.body.decode("ascii"), row.fields)
            ):
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


def _is_ascii(body: bytes) -> bool:
    return body.isascii()


def _holds_exactly(text: str, wanted: Mapping[str, str] | None) -> bool:
    if wanted is None:
        return not text
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return False
    names = [name for name, _ in pairs]
    return (
        sorted(names) == sorted(wanted)
        and ";" not in text
        and all(_whole(wanted[name]).fullmatch(value) for name, value in pairs)
    )


NOTHING = Gate(rows=())
"""The gate of a spider that declares none: nothing leaves."""
