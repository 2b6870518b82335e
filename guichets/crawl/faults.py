"""Which outcome each failure of a request means. An error never becomes a zero."""

from __future__ import annotations

import gzip
import ssl
import zlib
from collections.abc import Iterator
from importlib import import_module

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)

from guichets.crawl.archive import ArchiveFailed
from guichets.crawl.gate import GateRefused
from guichets.crawl.robots import RobotsForbidden, RobotsUnavailable
from guichets.outcomes import Outcome
from guichets.page import Reading
from guichets.schedule.lease import HostPaused, LeaseLost

ROBOTS_RULE = "robots"
PAUSED_RULE = "host.paused"
ARCHIVE_RULE = "observer.archive"  # no observation without proof


class RedirectLoop(Exception):
    """The site sent us round in circles, or further than a funnel is long."""


class Refused(Exception):
    """The host refused a request that a page made (403, 429): the visit ends, as it does elsewhere."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


class BrowserFailed(Exception):
    """The browser crashed, was killed or could not do its part: nothing is known of the desk."""


class PageStuck(Exception):
    """The page neither answers the browser nor asks for anything: its script never ends."""


class AsksTooMuch(Exception):
    """The page asked for more than a page of its kind does: a loop."""


def _decompression_errors() -> tuple[type[Exception], ...]:
    """What Scrapy's decompression raises for a body that is not what its Content-Encoding says."""
    found: list[type[Exception]] = [zlib.error, gzip.BadGzipFile]
    for name, error in (
        ("brotli", "error"),
        ("brotlicffi", "error"),
        ("backports.zstd", "ZstdError"),
        ("compression.zstd", "ZstdError"),
        ("zstandard", "ZstdError"),
    ):
        try:
            found.append(getattr(import_module(name), error))
        except ImportError:
            continue  # Scrapy does not announce what it cannot decompress
    return tuple(found)


UNREADABLE_BODY = _decompression_errors()


def read_failure(error: BaseException) -> Reading:
    """The reading that an exception stands for. Never raises."""
    if isinstance(error, GateRefused):
        return _reading(Outcome.OBSERVER_FAULT, f"gate.{error.reason}", str(error))
    if isinstance(error, RobotsForbidden):
        return _reading(Outcome.BLOCKED, ROBOTS_RULE, None)
    if isinstance(error, RobotsUnavailable):
        outcome = Outcome.BLOCKED if error.status == 429 else Outcome.OVERLOADED
        return _reading(outcome, f"robots.{error.status}", None)
    if isinstance(error, HostPaused):
        return _reading(Outcome.BLOCKED if error.refused else Outcome.OVERLOADED, PAUSED_RULE, None)
    if isinstance(error, ArchiveFailed):
        return _reading(Outcome.OBSERVER_FAULT, ARCHIVE_RULE, str(error))
    if isinstance(error, LeaseLost):
        return _reading(Outcome.OBSERVER_FAULT, "lease.lost", None)
    if isinstance(error, RedirectLoop):
        return _reading(Outcome.UNRECOGNISED, "http.redirect-loop", str(error))
    if isinstance(error, Refused):
        return _reading(Outcome.BLOCKED, f"http.{error.status}", None)
    if isinstance(error, PageStuck):
        return _reading(Outcome.UNRECOGNISED, "browser.stuck", str(error))
    if isinstance(error, AsksTooMuch):
        return _reading(Outcome.UNRECOGNISED, "browser.asks-too-much", str(error))
    if isinstance(error, BrowserFailed):
        return _reading(Outcome.OBSERVER_FAULT, "observer.browser", str(error)[:300])
    if isinstance(error, DownloadCancelledError):
        return _reading(Outcome.UNRECOGNISED, "http.too-large", str(error))
    if isinstance(error, CannotResolveHostError):
        return _reading(Outcome.UNREACHABLE, "network.dns", str(error))
    if isinstance(error, DownloadTimeoutError):
        return _reading(Outcome.UNREACHABLE, "network.timeout", str(error))
    if any(isinstance(cause, ssl.SSLError | ssl.CertificateError) for cause in _chain(error)):
        return _reading(Outcome.UNREACHABLE, "network.tls", str(error))
    if isinstance(error, DownloadConnectionRefusedError):
        return _reading(Outcome.UNREACHABLE, "network.connect", str(error))
    if isinstance(error, ResponseDataLossError):
        return _reading(Outcome.UNREACHABLE, "http.truncated", str(error))
    if isinstance(error, DownloadFailedError):
        return _reading(Outcome.UNREACHABLE, "network.failed", str(error))
    if isinstance(error, IgnoreRequest):
        # Scrapy's decompression refuses a body that grows beyond the limit.
        return _reading(Outcome.UNRECOGNISED, "http.too-large", str(error))
    if isinstance(error, UNREADABLE_BODY):
        return _reading(Outcome.UNRECOGNISED, "http.bad-encoding", str(error))
    if isinstance(error, UnsupportedURLSchemeError):
        return _reading(Outcome.OBSERVER_FAULT, "gate.bad-url", str(error))
    return _reading(Outcome.OBSERVER_FAULT, "observer.exception", f"{type(error).__name__}: {error}")


MAY_BE_OURS = frozenset({"network.dns", "network.timeout", "network.connect", "network.tls"})
"""Rules whose failure may come from our own network: control pages are tried before a host is blamed."""


def _reading(outcome: Outcome, rule: str, note: str | None) -> Reading:
    return Reading(outcome=outcome, rule=rule, note=note)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
