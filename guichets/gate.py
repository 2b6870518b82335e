"""The gate: what a family's spider may ask of a site. Everything not allowed is refused.

Rule 1 of the project, as data: an allow-list of requests (method, path, body fields and their values).
The downloader middleware that applies it is ``guichets.crawl.gate``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import parse_qsl, urlsplit

FORM_TYPE = "application/x-www-form-urlencoded"
JSON_TYPE = "application/json"
LARGEST_JSON_BYTES = 200_000  # of what a page asks with; some tens of kilobytes were seen
DEFAULT_PORTS = frozenset({None, 80, 443})
WEB_SCHEMES = frozenset({"http", "https"})
SOCKET_SCHEMES = frozenset({"ws", "wss"})
_UNSAFE = re.compile(r"[^!-~]")  # white space, controls, anything beyond ASCII


@dataclass(frozen=True, slots=True)
class Allow:
    """One kind of request that may leave.

    ``path`` and the values of ``fields`` are regular expressions that must match whole; a form's body must
    hold exactly the named fields, each once. ``query`` likewise; names of ``optional`` may be there besides,
    once each, those that end in ``[]`` any number of times. Neither of them means no query string at all.
    ``body`` is for requests that are no forms: an expression the whole body must match, of ``content_type``.
    ``json`` is for a JSON object: exactly the named keys, and for each an expression that its value, written
    without white space, must match whole.
    ``message`` is the one text that is sent over a WebSocket: a JSON object of exactly these keys, each a
    string or a number whose text matches; such a row is for ws: and wss: addresses, and no other row is.
    ``redirect_only`` rows are reached by following the site's own answer, never asked for directly.
    """

    method: str
    path: str
    fields: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    optional: Mapping[str, str] | None = None
    body: str | None = None
    json: Mapping[str, str] | None = None
    message: Mapping[str, str] | None = None
    content_type: str = FORM_TYPE
    redirect_only: bool = False

    def __post_init__(self) -> None:
        if sum(kind is not None for kind in (self.body, self.fields, self.json, self.message)) > 1:
            raise ValueError(f"{self.method} {self.path}: fields, a pattern, keys or a message, one of them")

    @property
    def schemes(self) -> frozenset[str]:
        return WEB_SCHEMES if self.message is None else SOCKET_SCHEMES

    def allows_query(self, query: str) -> bool:
        if self.query is None and self.optional is None:
            return not query
        return _holds(query, self.query or {}, self.optional or {})

    def allows_body(self, body: bytes, content_type: str) -> bool:
        if self.json is not None:
            return media_type(content_type) == JSON_TYPE and _holds_json(body, self.json, _as_json)
        if self.message is not None:
            return body.isascii() and _holds_json(body, self.message, _as_text)
        if self.fields is None and self.body is None:
            return not body
        if media_type(content_type) != self.content_type or not body.isascii():
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
        if parts.scheme not in WEB_SCHEMES | SOCKET_SCHEMES or "@" in parts.netloc:
            return "bad-url"
        if not same_host(ask.host, parts.hostname or "", port):
            return "off-host"
        path = self.plain_path(parts.path)
        plain = parts.scheme in WEB_SCHEMES and ask.method == "GET" and not ask.body
        if plain and parts.path == "/robots.txt" and not parts.query:
            return None
        reason = "not-allowed"
        for row in self.rows:
            if row.method != ask.method or _whole(row.path).fullmatch(path) is None:
                continue
            if parts.scheme not in row.schemes or (row.redirect_only and not ask.redirected):
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


def media_type(content_type: str) -> str:
    """A Content-Type without its parameters, in lower case."""
    return content_type.split(";")[0].strip().lower()


def same_host(desk_host: str, name: str, port: int | None) -> bool:
    """Whether an address is on the desk's host; http and https of one name are the same host."""
    desk_name, desk_port = _name_and_port(desk_host)
    if desk_name != name.lower() or not name:
        return False
    return desk_port == port or (desk_port in DEFAULT_PORTS and port in DEFAULT_PORTS)


@lru_cache
def _name_and_port(host: str) -> tuple[str, int | None]:
    """Of a desk's host; an empty name is nobody's."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


@cache
def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _holds(text: str, wanted: Mapping[str, str], optional: Mapping[str, str]) -> bool:
    """Whether a query or a form's body has the wanted names, once each, and nothing unknown."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        return False
    seen: set[str] = set()
    for name, value in pairs:
        pattern = wanted.get(name, optional.get(name))
        if pattern is None or _whole(pattern).fullmatch(value) is None:
            return False
        if name in seen and (name in wanted or not name.endswith("[]")):
            return False
        seen.add(name)
    return ";" not in text and seen.issuperset(wanted)


def _holds_json(body: bytes, wanted: Mapping[str, str], written: Callable[[object], str]) -> bool:
    """Whether a body is a JSON object of exactly the wanted keys, once each, with values as wanted."""
    if len(body) > LARGEST_JSON_BYTES:
        return False
    try:
        pairs = json.loads(body.decode("utf-8"), object_pairs_hook=_Pairs)
        if not isinstance(pairs, _Pairs) or sorted(name for name, _ in pairs) != sorted(wanted):
            return False
        return all(_whole(wanted[name]).fullmatch(written(value)) for name, value in pairs)
    except (ValueError, RecursionError):
        return False


class _Pairs(list[tuple[str, object]]):
    """A JSON object with all its keys: ``json`` would keep the last of two equal ones, and hide the first."""


def _as_json(value: object) -> str:
    """A value as it is written without white space. Raises ValueError where a key comes twice."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> object:
    """A value with its objects as dictionaries. Raises ValueError where a key comes twice."""
    if isinstance(value, _Pairs):
        found = {name: _plain(inner) for name, inner in value}
        if len(found) != len(value):
            raise ValueError("a key comes twice")
        return found
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _as_text(value: object) -> str:
    """A string as it is, a number as it is written. Raises ValueError for what is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("neither a string nor a number")
    return json.dumps(value)


NOTHING = Gate(rows=())
"""The gate of a spider that declares none: nothing leaves."""
