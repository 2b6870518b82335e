"""Every ``GUICHETS_…`` setting, declared once: name, default, unit, type and one sentence.

Scrapy settings (also ``-s NAME=value``) and environment variables are read through this list; the
``guichets settings`` page and the start-up check come from it.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from guichets.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting."""

    name: str
    default: Any
    unit: str  # "" where there is none
    parse: Callable[[str], Any]  # raises ValueError with what was expected
    sentence: str
    environment: bool = False  # also read from the environment
    secret: bool = False  # never shown, not even by the message that refuses it


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 86_400 * 366:
        raise ValueError("a number of seconds, 0 or more")
    return value


def _slot(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise ValueError("a number of seconds, 1 or more")
    return value


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (value == 0 or 1 <= value <= 1440):
        raise ValueError("0, or a number of minutes from 1 to 1440")
    return value


def _hours(text: str) -> tuple[int, int]:
    expected = "two hours of the day such as 7-22, the first one 4 or later, the last one 23 or earlier"
    parts = text.split("-")
    try:
        first, last = (int(part) for part in parts)
    except ValueError:
        raise ValueError(expected) from None
    if not 4 <= first < last <= 23:
        raise ValueError(expected)
    return first, last


def _positive_integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError("a whole number, 1 or more")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ValueError("a share above 0, up to 1")
    return value


def _publication_delay(text: str) -> timedelta:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 24 <= value <= 24 * 366:
        raise ValueError("a number of hours, 24 or more: fresher ones serve resellers of appointments")
    return timedelta(hours=value)


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("true or false")


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    for url in urls:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise ValueError(f"http or https addresses separated by commas, and {url!r} is not one")
    return urls


def _one_url(text: str) -> str:
    urls = _urls(text)
    if len(urls) > 1:
        raise ValueError("one http or https address")
    return urls[0] if urls else ""


def _token(text: str) -> str:
    token = text.strip()
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("letters, digits and signs of ASCII, without a space")
    return token


def _token_places(text: str) -> tuple[str, ...]:
    places = _urls(text)
    for place in places:
        parts = urlsplit(place)
        if parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
            raise ValueError(f"https addresses, or others of this machine, and {place!r} is neither")
    return places


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _node_name(text: str) -> str:
    name = text.strip()
    if not all(character.isalnum() or character in "-_." for character in name):
        raise ValueError("letters, digits, hyphens, dots or underscores")
    return name


def _contact(text: str) -> str:
    contact = text.strip()
    if not contact or any(character in contact for character in "\r\n()"):
        raise ValueError("a URL or a mail address, without brackets")
    return contact


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GUICHETS_DATABASE_URL",
        "",
        "",
        str.strip,
        "PostgreSQL DSN; unset, the embedded server under GUICHETS_HOME serves.",
        environment=True,
    ),
    Setting(
        "GUICHETS_CATALOGUE",
        "",
        "",
        str.strip,
        "Folder of TOML files used instead of the bundled catalogue.",
        environment=True,
    ),
    Setting(
        "GUICHETS_CONTACT",
        "https://guichets.example/robot",
        "",
        _contact,
        "URL or mail address in the User-Agent, where an administrator can reach you.",
        environment=True,
    ),
    Setting(
        "GUICHETS_HOME",
        "var",
        "",
        str.strip,
        "Folder of the embedded server, the spool and the archive.",
        environment=True,
    ),
    Setting(
        "GUICHETS_WORKER",
        "",
        "",
        str.strip,
        "Name of this worker in observations and leases; unset, GUICHETS_NODE and process id, or job.",
        environment=True,
    ),
    Setting(
        "GUICHETS_NODE",
        "",
        "",
        _node_name,
        "Name of this machine among those that share the work; unset, the host name.",
        environment=True,
    ),
    Setting(
        "GUICHETS_NODES",
        "http://127.0.0.1:6800",
        "",
        _urls,
        "Scrapyd nodes that `guichets nodes` and `guichets schedule` talk to, separated by commas.",
        environment=True,
    ),
    Setting(
        "GUICHETS_NODE_CREDENTIALS",
        "",
        "",
        str.strip,
        "File of the nodes' user names and passwords, one address per line, readable by its owner alone; "
        "unset, `nodes.credentials` in GUICHETS_HOME.",
        environment=True,
    ),
    Setting(
        "GUICHETS_STORE",
        "postgres",
        "",
        str.strip,
        "Where schedule and observations live: postgres, or none (trials on loopback hosts only).",
    ),
    Setting("GUICHETS_HOST_DELAY", 10.0, "seconds", _seconds, "Least time between two requests to a host."),
    Setting(
        "GUICHETS_FORM_INTERVAL",
        900.0,
        "seconds",
        _seconds,
        "Least time between two visits of the same form.",
    ),
    Setting(
        "GUICHETS_BASELINE_DAY",
        "7-22",
        "hours",
        _hours,
        "From when to when a desk is probed once in each day slot, in its own zone; the rest is night.",
    ),
    Setting(
        "GUICHETS_BASELINE_DAY_SLOT",
        3600.0,
        "seconds",
        _slot,
        "Length of a baseline slot by day: one probe at a random instant of each; a missed one stays missed.",
    ),
    Setting(
        "GUICHETS_BASELINE_NIGHT_SLOT",
        10_800.0,
        "seconds",
        _slot,
        "Length of a baseline slot at night.",
    ),
    Setting(
        "GUICHETS_WATCH_EVERY",
        30.0,
        "minutes",
        _minutes,
        "Budget of visits where releases are watched for: one per desk in that time on average, baseline "
        "ones included; 0 = baseline alone.",
        environment=True,
    ),
    Setting("GUICHETS_MAX_HOSTS", 64, "hosts", _positive_integer, "Hosts one worker holds at once."),
    Setting(
        "GUICHETS_BROWSER_HOSTS",
        4,
        "hosts",
        _positive_integer,
        "The same for a family whose pages run in a browser: each has one open meanwhile.",
    ),
    Setting(
        "GUICHETS_LEASE", 120.0, "seconds", _seconds, "How long a claimed host stays ours without renewal."
    ),
    Setting(
        "GUICHETS_CONTROL_URLS",
        "https://www.service-public.gouv.fr/,https://www.wikipedia.org/,https://www.debian.org/",
        "",
        _urls,
        "Pages known to be up, tried when a host is unreachable, to tell our fault from theirs.",
    ),
    Setting(
        "GUICHETS_MAX_BODY",
        4_000_000,
        "bytes",
        _positive_integer,
        "Largest page that is read; a larger one is unrecognised.",
    ),
    Setting(
        "GUICHETS_ARCHIVE",
        True,
        "",
        _boolean,
        "Whether every exchange is archived as proof; false is for trials: nothing can be proved then.",
        environment=True,
    ),
    Setting(
        "GUICHETS_ARCHIVE_FILE_SIZE",
        512 * 1024 * 1024,
        "bytes",
        _positive_integer,
        "An archive file that reached this size is closed and another begun; each hour begins one too.",
        environment=True,
    ),
    Setting(
        "GUICHETS_RETENTION_DAYS",
        400,
        "days",
        _positive_integer,
        "How long `guichets archive prune` leaves archived pages that nothing holds: a year, and the month "
        "in which the same quarter is compared.",
        environment=True,
    ),
    Setting(
        "GUICHETS_TSA_URL",
        "",
        "",
        _one_url,
        "Address of an RFC 3161 time-stamp authority for the seals of days; unset, none is asked.",
        environment=True,
    ),
    Setting(
        "GUICHETS_BACKUP_MARK",
        "",
        "",
        str.strip,
        "File that your backup touches when it has succeeded: the exporter tells when; unset, it does not.",
        environment=True,
    ),
    Setting(
        "GUICHETS_BROWSER",
        "",
        "",
        str.strip,
        "Chromium that runs the pages of some families and draws archived ones; unset, the system's, else "
        "Playwright's.",
        environment=True,
    ),
    Setting(
        "GUICHETS_SIGNING_KEY",
        "",
        "",
        str.strip,
        "PEM file of a key (ECDSA, curve P-384) that signs the archive.wacz of a constat; unset, none is "
        "signed.",
        environment=True,
    ),
    Setting(
        "GUICHETS_PUBLICATION_DELAY",
        48.0,
        "hours",
        _publication_delay,
        "How long a day must have been over before the site and the open data may tell of it; 24 or more.",
        environment=True,
    ),
    Setting(
        "GUICHETS_COVERAGE_FLOOR",
        0.6,
        "share",
        _share,
        "Below this share of baseline slots observed, a published figure is insufficient: missing, not zero.",
        environment=True,
    ),
    Setting(
        "GUICHETS_PROBES_FLOOR",
        30,
        "probes",
        _positive_integer,
        "With fewer baseline probes that enter the rate, a published figure is insufficient.",
        environment=True,
    ),
    Setting(
        "GUICHETS_DELAY_LIMIT",
        60,
        "days",
        _positive_integer,
        "First dates further away than this are told as late. Two months: the time between the latest day on "
        "which a renewal must be asked for and the end of the permit.",
        environment=True,
    ),
    Setting(
        "GUICHETS_FALSE_ALARMS",
        0.05,
        "share",
        _share,
        "Of the differences between two quarters that are told, the share that may be false on the average.",
        environment=True,
    ),
    Setting(
        "GUICHETS_ANTS_TOKEN",
        "",
        "",
        _token,
        "ants: token that France Titres gave you for its API (better in the environment than in `-s`, which "
        "others see); unset, the public search is asked.",
        environment=True,
        secret=True,
    ),
    Setting(
        "GUICHETS_ANTS_TOKEN_FOR",
        "https://api.rendezvouspasseport.ants.gouv.fr",
        "",
        _token_places,
        "ants: addresses the token may be sent to, separated by commas; scheme, host and port must be equal.",
        environment=True,
    ),
    Setting(
        "GUICHETS_EZJSCORE",
        False,
        "",
        _boolean,
        "ezbooking: also make the week-calendar call (off by default).",
    ),
)

_BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


def read(name: str, given: object = None) -> Any:
    """The value of a declared setting: ``given`` if not None, else the environment, else the default.

    Raises ConfigurationError when the text cannot be read, KeyError for an undeclared name.
    """
    setting = _BY_NAME[name]
    if given is None and setting.environment:
        given = os.environ.get(name)
    if given is None:
        given = setting.default
    try:
        return setting.parse(given if isinstance(given, str) else str(given))
    except ValueError as problem:
        shown = name if setting.secret else f"{name}={given!r}"
        raise ConfigurationError(f"{shown}: expected {problem}") from None


def unknown_names(names: list[str]) -> list[str]:
    """One line for each ``GUICHETS_…`` name that no setting declares, with the nearest known one."""
    lines = []
    for name in sorted(names):
        if name.startswith("GUICHETS_") and name not in _BY_NAME:
            near = difflib.get_close_matches(name, _BY_NAME, n=1)
            lines.append(
                f"{name} is not a setting of Guichets." + (f" Did you mean {near[0]}?" if near else "")
            )
    return lines


def home() -> Path:
    """The folder of everything Guichets writes on this machine, absolute."""
    return Path(read("GUICHETS_HOME")).expanduser().absolute()


def read_from(settings: Mapping[str, Any], name: str) -> Any:
    """The value of a declared setting among Scrapy's, else the environment, else the default."""
    return read(name, settings.get(name))
