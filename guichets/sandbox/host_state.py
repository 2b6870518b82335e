"""What can be switched on a whole host: robots.txt, rate ban, latency, failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from protego import Protego

from guichets.errors import ArgumentError
from guichets.sandbox import replies
from guichets.sandbox.replies import Delivery, Reply

BAN_WINDOW_SECONDS = 60.0  # « about 15 requests in a row »: within a minute
BAN_SECONDS = 1800.0  # bans were seen to last up to half an hour
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)

SWITCHES: Mapping[str, tuple[type, ...]] = {
    "robots": (str,),  # text of robots.txt
    "crawl_delay": (int, float),  # seconds, added to a permissive robots.txt
    "ban_after": (int,),  # more requests than this within a minute are answered 403
    "ban_seconds": (int, float),
    "retry_after": (int,),  # seconds, sent with the ban's answer and with ``status``
    "status": (int,),  # every page is the proxy's page of this status
    "down": (bool,),  # every connection is torn down
    "latency_ms": (int, float),  # before each answer
}


@dataclass(slots=True)
class HostState:
    """One site's switches; all off at the start."""

    name: str  # address:port
    robots: str | None = None
    crawl_delay: float | None = None
    ban_after: int | None = None
    ban_seconds: float | None = None
    retry_after: int | None = None
    status: int | None = None
    down: bool | None = None
    latency_ms: float | None = None
    _recent: deque[float] = field(default_factory=deque)  # monotonic instants of the last minute's requests
    _banned_until: float = 0.0  # monotonic
    _rules: Protego | None = None

    def switch(self, changes: Mapping[str, object]) -> None:
        """Set some switches; None switches off. Any change also lifts a ban."""
        for name, value in changes.items():
            kinds = SWITCHES.get(name)
            if kinds is None:
                raise ArgumentError(f"no switch {name!r} on hosts: known are {', '.join(SWITCHES)}")
            is_misfit = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
            if value is not None and (is_misfit or (not isinstance(value, str) and value < 0)):  # type: ignore[operator]
                raise ArgumentError(f"switch {name!r} of a host cannot be {value!r}")
            if name == "status" and value is not None and value not in replies.PROXY_STATUSES:
                raise ArgumentError(f"status {value!r}: choose {', '.join(map(str, replies.PROXY_STATUSES))}")
        for name, value in changes.items():
            setattr(self, name, value)
        self._recent.clear()
        self._banned_until = 0.0
        self._rules = Protego.parse(self.robots) if self.robots is not None else None

    def interference(self, now: float) -> Reply | None:
        """What the host answers in place of its pages at monotonic instant ``now``, if anything."""
        if self.down:
            return Reply(delivery=Delivery.RESET)
        if self.ban_after is not None:
            while self._recent and self._recent[0] <= now - BAN_WINDOW_SECONDS:
                self._recent.popleft()
            self._recent.append(now)
            if len(self._recent) > self.ban_after and now >= self._banned_until:
                self._banned_until = now + (BAN_SECONDS if self.ban_seconds is None else self.ban_seconds)
        if now < self._banned_until:
            return self._refused(403)
        return self._refused(self.status) if self.status is not None else None

    def _refused(self, status: int) -> Reply:
        reply = replies.proxy_page(status)
        return (
            reply.with_header("Retry-After", str(self.retry_after)) if self.retry_after is not None else reply
        )

    def robots_txt(self, forbidden_paths: Iterable[str]) -> Reply:
        """The file as asked for, else one made of what is forbidden and the delay, else 404."""
        if self.robots is not None:
            return Reply(self.robots.encode(), headers=_TEXT)
        lines = [f"Disallow: {path}" for path in forbidden_paths]
        if self.crawl_delay is not None:
            lines.append(f"Crawl-delay: {self.crawl_delay:g}")
        if not lines:
            return replies.missing_page()
        return Reply("\n".join(["User-agent: *", *lines, ""]).encode(), headers=_TEXT)

    def is_forbidden(self, path: str, user_agent: str) -> bool:
        """Whether the robots.txt that was asked for forbids this path."""
        return self._rules is not None and not self._rules.can_fetch(f"http://{self.name}{path}", user_agent)
