"""The pace of one host: how long to wait, when to pause, when to stop for the day.

Pure arithmetic on instants given by the caller. ``Pace`` speaks in seconds of a monotonic clock, so that
a jump of the wall clock hurries nobody; only the day of the strikes is a date (Europe/Paris, the day of
the administrators we visit).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")

FIRST_PAUSE_SECONDS = 40 * 60  # after a 403 or 429; bans were seen to last up to half an hour
STRIKES_PER_DAY = 3  # the third refusal of a day ends the day's visits
BACK_OFF_FACTOR = 2.0  # each failure in a row doubles the delay
BACK_OFF_LIMIT_SECONDS = 30 * 60
MOST_DOUBLINGS = 60  # a host may fail for weeks, and a float holds 1023
JITTER = (0.0, 0.05)  # share of the delay added to it, never taken away: docs/decisions/0006
LONGEST_PATIENCE_SECONDS = 120  # a longer wait asked by the host is a pause: its other desks stay due
RETRY_AFTER_LIMIT_SECONDS = 7 * 86_400  # a host that asks for more is asked again in a week


@dataclass(slots=True)
class Pace:
    """What is owed to one host. All ``…_at`` are seconds of the worker's monotonic clock."""

    delay_seconds: float  # least time between two requests, Crawl-delay and host rule included
    ready_at: float = 0.0  # no request before
    paused_until: float = 0.0  # no request before, and no waiting either: the host is left alone
    refused: bool = False  # the pause follows a refusal of our visits
    strikes: int = 0
    strikes_on: date | None = None  # the Paris day the strikes belong to
    failures: int = 0  # in a row

    def wait_seconds(self, now: float) -> float:
        """How long to wait before the next request; 0 when it may go at once."""
        return max(0.0, self.ready_at - now)

    def is_paused(self, now: float) -> bool:
        return self.paused_until > now

    def slow_down_to(self, delay_seconds: float) -> None:
        """Take a Crawl-delay or a host's rule into account; a pace is never made faster."""
        self.delay_seconds = max(self.delay_seconds, delay_seconds)

    def note_request(self, now: float, *, uniform: Callable[[float, float], float]) -> None:
        """A request is leaving now; ``uniform`` draws the jitter."""
        self.ready_at = now + self._backed_off_seconds() * (1.0 + uniform(*JITTER))

    def note_answer(self, now: float) -> None:
        """The host answered and is well.

        A whole delay is counted from here too: however late a request reached the host, it sees none closer.
        """
        self.failures = 0
        self.ready_at = max(self.ready_at, now + self.delay_seconds)
        self._end_refusal(now)

    def note_failure(self, now: float, *, retry_after_seconds: float | None = None) -> None:
        """The host answered that it is failing (5xx), or did not answer: back off."""
        self.failures += 1
        self.ready_at = max(self.ready_at, now + self._backed_off_seconds())
        self._end_refusal(now)
        self._heed(now, retry_after_seconds)

    def note_refusal(self, now: float, wall: datetime, *, retry_after_seconds: float | None = None) -> None:
        """The host refused us (403, 429): pause from 40 minutes, doubling; off for the day at the third."""
        today = wall.astimezone(PARIS).date()
        self.strikes = self.strikes + 1 if self.strikes_on == today else 1
        self.strikes_on = today
        pause = FIRST_PAUSE_SECONDS * BACK_OFF_FACTOR ** (min(self.strikes, STRIKES_PER_DAY) - 1)
        if self.strikes >= STRIKES_PER_DAY:
            pause = max(pause, seconds_to_midnight(wall))
        self.refused = True
        self.ready_at = max(self.ready_at, now + self.delay_seconds)
        self.paused_until = max(self.paused_until, now + pause)
        self._heed(now, retry_after_seconds)

    def _backed_off_seconds(self) -> float:
        delay = self.delay_seconds * BACK_OFF_FACTOR ** min(self.failures, MOST_DOUBLINGS)
        return max(self.delay_seconds, min(delay, BACK_OFF_LIMIT_SECONDS))

    def _end_refusal(self, now: float) -> None:
        """Once its pause is over, a refusal explains no later pause."""
        if not self.is_paused(now):
            self.refused = False

    def _heed(self, now: float, retry_after_seconds: float | None) -> None:
        if retry_after_seconds is None:
            return
        wait = min(retry_after_seconds, RETRY_AFTER_LIMIT_SECONDS)
        self.ready_at = max(self.ready_at, now + wait)
        if wait > LONGEST_PATIENCE_SECONDS:
            self.paused_until = max(self.paused_until, now + wait)


def seconds_to_midnight(wall: datetime) -> float:
    """Seconds from an aware instant to the next midnight in Paris, right on nights of 23 and 25 hours."""
    local = wall.astimezone(PARIS)
    midnight = datetime.combine(local.date() + timedelta(days=1), time.min, tzinfo=PARIS)
    return midnight.timestamp() - wall.timestamp()


def read_retry_after(value: str | None, wall: datetime) -> float | None:
    """Seconds asked by a Retry-After header (a number or an HTTP date); None when it cannot be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        return None
    return max(0.0, instant.timestamp() - wall.timestamp())
