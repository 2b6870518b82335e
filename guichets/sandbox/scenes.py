"""Scenes: every state and trap a desk can be pinned to, each with the outcome an honest probe must find.

A scene either casts the counters (which offers, which has nothing, which is shut) or breaks an answer: at
the ``ENTRY`` (every answer of the desk), at the ``ANSWER`` (only the page that would tell) or at the
``CALENDAR`` (after a page that already told). The faults below can befall any site; a family's module adds
the scenes of its own pages. An outcome of None means: whatever the desk's life says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.replies import Delivery, Reply

RETRY_AFTER_SECONDS = 120


class Stage(StrEnum):
    """Which answers of a visit a fault befalls."""

    ENTRY = "entry"
    ANSWER = "answer"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class Occasion:
    """The answer that was about to leave, and where."""

    reply: Reply
    host: str  # name:port of the desk's host
    path: str  # of the request, with its query
    elsewhere: str  # an address on another host, which no honest spider asks


Fault = Callable[[Occasion], Reply]
Cast = Callable[[int, int], Outcome]  # (place of the counter, how many there are) -> its outcome


@dataclass(frozen=True, slots=True)
class Scene:
    """One state of a desk, on demand."""

    name: str
    outcome: Outcome | None  # None: what the desk's life says
    sentence: str
    cast: Cast | None = None
    fault: Fault | None = None
    stage: Stage | None = None  # which answers the fault breaks
    slow: bool = False  # keeps a client waiting for its own time-out
    robots: bool = False  # robots.txt forbids the desk
    manners: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def hides_everything(self) -> bool:
        """Whether a visit ends at its first answer, before any counter is known."""
        return self.outcome is not None and (self.robots or self.stage is Stage.ENTRY)


def everyone(outcome: Outcome) -> Cast:
    return lambda place, count: outcome


def status(code: int) -> Fault:
    return lambda occasion: replies.proxy_page(code)


def delivered(delivery: Delivery) -> Fault:
    return lambda occasion: occasion.reply.broken(delivery)


def showing(text: str, code: int = 200) -> Fault:
    return lambda occasion: replies.page(text, code)


def _with_retry_after(code: int) -> Fault:
    return lambda occasion: replies.proxy_page(code).with_header("Retry-After", str(RETRY_AFTER_SECONDS))


def _in_latin1(occasion: Occasion) -> Reply:
    """The page in ISO-8859-1, and saying so; what is no page is left alone."""
    if not replies.is_page(occasion.reply):
        return occasion.reply
    body = replies.text_of(occasion.reply).encode("iso-8859-1", "xmlcharrefreplace")
    headers = tuple(
        (name, "text/html; charset=iso-8859-1" if name == "Content-Type" else value)
        for name, value in occasion.reply.headers
    )
    return replace(occasion.reply, body=body, headers=headers)


_O = Outcome

FAULTS: tuple[Scene, ...] = tuple(
    Scene(name, outcome, sentence, fault=fault, stage=Stage.ENTRY, slow=name in {"hang", "drip"})
    for name, outcome, sentence, fault in (
        ("status-400", _O.UNRECOGNISED, "400 of the proxy: no rule says what it means", status(400)),
        ("status-401", _O.BLOCKED, "401", status(401)),
        ("status-403", _O.BLOCKED, "403 of the proxy: our address is banned", status(403)),
        ("status-404", _O.GONE, "404 of the site", lambda occasion: replies.missing_page(404)),
        ("status-410", _O.GONE, "410 of the site", lambda occasion: replies.missing_page(410)),
        ("status-429", _O.BLOCKED, "429", status(429)),
        ("status-429-retry-after", _O.BLOCKED, "429 with Retry-After", _with_retry_after(429)),
        ("status-500", _O.OVERLOADED, "500", status(500)),
        ("status-502", _O.OVERLOADED, "502 of the proxy, the commonest failure", status(502)),
        ("status-503", _O.OVERLOADED, "503 of the proxy", status(503)),
        ("status-503-retry-after", _O.OVERLOADED, "503 with Retry-After", _with_retry_after(503)),
        ("status-504", _O.OVERLOADED, "504 of the proxy", status(504)),
        ("maintenance", _O.OVERLOADED, "« Site en maintenance », 503",
         lambda occasion: replies.maintenance_page(503)),
        ("maintenance-200", _O.OVERLOADED, "« Site en maintenance », 200",
         lambda occasion: replies.maintenance_page(200)),
        ("reset", _O.UNREACHABLE, "connection torn down (RST)", delivered(Delivery.RESET)),
        ("empty-reply", _O.UNREACHABLE, "connection closed without a byte", delivered(Delivery.NOTHING)),
        ("empty-body", _O.UNREACHABLE, "200 with an empty body", lambda occasion: Reply()),
        ("truncated", _O.UNREACHABLE, "body shorter than announced", delivered(Delivery.TRUNCATED)),
        ("truncated-chunks", _O.UNREACHABLE, "no last chunk", delivered(Delivery.TRUNCATED_CHUNKS)),
        ("not-http", _O.UNREACHABLE, "bytes that are not HTTP", delivered(Delivery.NOT_HTTP)),
        ("hang", _O.UNREACHABLE, "never answers", delivered(Delivery.HANG)),
        ("drip", _O.UNREACHABLE, "a byte now and then, never the end", delivered(Delivery.DRIP)),
        ("wrong-tls", _O.UNREACHABLE, "sent to https where nothing speaks TLS",
         lambda occasion: replies.redirect(f"https://{occasion.host}{occasion.path}")),
        ("garbage", _O.UNRECOGNISED, "random bytes as HTML", lambda occasion: replies.garbage(occasion.path)),
        ("not-html", _O.UNRECOGNISED, "a picture", lambda occasion: replies.picture()),
        ("unknown-page", _O.UNRECOGNISED, "a page of the site that says nothing of the desk",
         lambda occasion: replies.unknown_page()),
        ("huge-page", _O.UNRECOGNISED, "30 MB of text", lambda occasion: replies.huge()),
        ("huge-page-chunked", _O.UNRECOGNISED, "30 MB without an announced length",
         lambda occasion: replies.huge().broken(Delivery.CHUNKED)),
        ("gzip-bomb", _O.UNRECOGNISED, "300 kB that unpack to 300 MB", lambda occasion: replies.bomb()),
        ("redirect-loop", _O.UNRECOGNISED, "redirected to itself for ever",
         lambda occasion: replies.redirect(occasion.path)),
        ("redirect-off-host", _O.OBSERVER_FAULT, "redirected to another host, which the gate refuses",
         lambda occasion: replies.redirect(occasion.elsewhere)),
        ("wrong-charset", _O.UNRECOGNISED, "the page in EBCDIC, announced as UTF-8",
         lambda occasion: replies.in_wrong_charset(occasion.reply)),
    )
)  # fmt: skip
"""Faults of the transport and of the proxy, at the first answer."""

_NEVER_LATE = {
    "status-400", "status-401", "status-404", "status-410", "status-429-retry-after",
    "status-503-retry-after", "maintenance", "maintenance-200", "wrong-tls", "huge-page-chunked",
    "redirect-loop",  # a page redirected to the step before it would not loop
}  # fmt: skip

COMMON: tuple[Scene, ...] = (
    *FAULTS,
    *(
        replace(scene, name=f"late-{scene.name}", stage=Stage.ANSWER,
                sentence=f"{scene.sentence}: only where the verdict should be")
        for scene in FAULTS
        if scene.name not in _NEVER_LATE
    ),
    Scene("robots-forbidden", _O.BLOCKED, "robots.txt forbids the desk", robots=True),
    Scene("slow-answer", None, "every answer takes two seconds", fault=delivered(Delivery.LATE),
          stage=Stage.ENTRY),
    Scene("latin1", None, "pages in ISO-8859-1, announced so", fault=_in_latin1, stage=Stage.ENTRY),
    Scene("life", None, "back to the desk's seeded life"),
)  # fmt: skip
"""The scenes of every family."""
