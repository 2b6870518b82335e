"""Entry URLs of desks: what is wrong with one, its canonical form, and when two are the same entry."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

MAX_URL_CHARACTERS = 2000
ANTS_SEARCH = {  # what a search of the ANTS API holds, by name; the dates are the visit's
    "longitude": r"-?[0-9]{1,3}(?:\.[0-9]{1,15})?",
    "latitude": r"-?[0-9]{1,3}(?:\.[0-9]{1,15})?",
    "radius_km": "20",  # the one value that every version of it takes
    "reason": "CNI|PASSPORT|CNI-PASSPORT",
    "documents_number": "[1-9]",
    "address": r"(?u:[^\W_](?:[\w' .,-]{0,68}\w)?) [0-9]{5}",  # town and postcode, in the letters it takes
}

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_ILLEGAL = re.compile(r"[\s\x00-\x1f\x7f\"<>\\^`{|}]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EZBOOKING_ENTRY = re.compile(r"(?:/[A-Za-z0-9._~-]+)*?/booking/create/([1-9][0-9]{0,11})(?:/0)?/?")
_EZBOOKING_STEP = re.compile(r"(.*/booking/create/[0-9]+)/[1-9][0-9]*(?:/.*)?")
_RDV_PREFECTURE_ENTRY = re.compile(r"(/rdvpref/reservation/demarche/[0-9]+)/?")
_RDV_SHORT_LINK = re.compile(r"/org/(?:[0-9]+|ext/[0-9AB]{2,3}/[A-Za-z0-9_-]+)(?:/[A-Za-z0-9_-]+)?")
_SHORT_LINK_WORDS = re.compile(r"^(/org/(?:[0-9]+|ext/[0-9AB]{2,3}/[A-Za-z0-9_-]+))/[^/]*$")
_RDV_PREFECTURE_STEP = re.compile(r"(/rdvpref/reservation/demarche/[0-9]+)/[^/]+/?")
_EZBOOKING_PREFIXES = re.compile(r"^(?:/index\.php|/layout/set/print)+(?=/)")


def url_problem(url: str, family: str | None = None) -> str | None:
    """What a volunteer must change in ``url``, as the end of a sentence; None when it can be used."""
    problem = _spelling_problem(url)
    if problem:
        return problem
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    problem = _authority_problem(parts, port)
    if problem:
        return problem
    if {".", ".."} & set(parts.path.split("/")):
        return 'holds a "." or ".." step in its path: write the address the browser ends up showing'
    if family == "ezbooking":
        return _ezbooking_problem(parts)
    if family == "rdv_prefecture":
        return _rdv_prefecture_problem(parts)
    if family == "rdv_service_public":
        return _rdv_service_public_problem(parts)
    if family == "lutece":
        return _lutece_problem(parts)
    if family == "ants":
        return _ants_problem(parts)
    return None


def host_problem(host: str) -> str | None:
    """What is wrong with a host written ``name`` or ``name:port``; None when it can be used."""
    if "/" in host or "@" in host:
        return 'is not a host: write the name alone, such as "www.ain.gouv.fr" or "127.0.0.1:8001"'
    problem = _spelling_problem(f"http://{host}/")
    if problem:
        return problem
    try:
        parts = urlsplit(f"http://{host}/")
        port = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    return _authority_problem(parts, port)


def canonical_url(url: str) -> str:
    """The URL with scheme and host in lower case and without the scheme's own port.

    What paces and what leases hosts compares names as text: two spellings would be paced as two hosts.
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.lower(), _host_and_port(parts), parts.path, parts.query, ""))


def entry_key(family: str, url: str, params: Mapping[str, Any]) -> str:
    """Equal for two desks that would be probed by the same requests.

    The scheme does not count, because sites hop between http and https; EZBooking serves the same form
    under its front controller, in its print layout, and with or without the first step's number. The order
    of what a search is asked for does not count either, nor what is left empty.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    query = parts.query
    if family in {"rdv_service_public", "lutece", "ants"}:
        query = urlencode(sorted(parse_qsl(query)))
        path = _SHORT_LINK_WORDS.sub(r"\1", path)
    if family == "ezbooking":
        path = _EZBOOKING_PREFIXES.sub("", path).rstrip("/")
        path, query = path.removesuffix("/0"), ""
    return "\n".join(
        (family, _host_and_port(parts), path.rstrip("/"), query, json.dumps(dict(params), sort_keys=True))
    )


def _host_and_port(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme.lower()):
        return host
    return f"{host}:{parts.port}"


def _spelling_problem(url: str) -> str | None:
    if len(url) > MAX_URL_CHARACTERS:
        return f"is longer than {MAX_URL_CHARACTERS} characters"
    illegal = _ILLEGAL.search(url)
    if illegal:
        what = "a space or line break" if illegal[0].isspace() else f"the character {illegal[0]!r}"
        return f"holds {what} at position {illegal.start() + 1}: remove it or write it percent-encoded"
    if not url.isascii():
        host = urlsplit_host(url)
        if not host.isascii():
            return f"has letters outside ASCII in its host: write the host in ASCII{_idna_hint(host)}"
        return f'holds letters outside ASCII: write them percent-encoded, "{quote(url, safe=_SAFE)}"'
    if _BAD_PERCENT.search(url):
        return 'holds a "%" that two hexadecimal digits do not follow'
    if "#" in url:
        return 'holds a "#": a fragment is never sent to the server, so leave it out'
    return None


_SAFE = ":/?&=;,+%@!$'()*~[]#"


def urlsplit_host(url: str) -> str:
    """The text between ``//`` and the next ``/``, for URLs that urlsplit would refuse."""
    return re.split(r"[/?#]", url.partition("//")[2], maxsplit=1)[0]


def _idna_hint(host: str) -> str:
    try:
        return f' ("{host.encode("idna").decode()}")'
    except UnicodeError:
        return ""


def _authority_problem(parts: SplitResult, port: int | None) -> str | None:
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        scheme = f'has the scheme "{parts.scheme}"' if parts.scheme else "has no scheme"
        return f'{scheme}: it must begin with "https://" or "http://"'
    if "@" in parts.netloc:
        return "holds a user name or password: public desks need none, so remove it"
    host = (parts.hostname or "").lower()
    if not host:
        return "has no host name"
    if port == 0 or parts.netloc.endswith(":"):
        return "has no usable port: write a number from 1 to 65535, or leave the colon out"
    return _host_name_problem(host)


def _host_name_problem(host: str) -> str | None:
    last_label = host.rstrip(".").rpartition(".")[2]
    if ":" in host or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last_label):  # what resolvers take for an address
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return f'has the host "{host}", which is not an IP address'
        return None
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return f'has the host "{host}", which is not a host name'
    return None


def _ezbooking_problem(parts: SplitResult) -> str | None:
    if parts.query:
        return "holds a query string, which EZBooking never uses: remove it from the question mark on"
    deeper = _EZBOOKING_STEP.fullmatch(parts.path)
    if deeper:
        return f'points inside the funnel: write its entry, "{parts.scheme}://{parts.netloc}{deeper[1]}"'
    if not _EZBOOKING_ENTRY.fullmatch(parts.path):
        return 'is not an EZBooking entry: its path must end with "/booking/create/<form number>"'
    return None


def _rdv_prefecture_problem(parts: SplitResult) -> str | None:
    if parts.query:
        return (
            "holds a query string, which no entry of RDV-Préfecture has: remove it from the question mark on"
        )
    deeper = _RDV_PREFECTURE_STEP.fullmatch(parts.path)
    if deeper:
        return f'points inside the funnel: write its entry, "{parts.scheme}://{parts.netloc}{deeper[1]}/"'
    if not _RDV_PREFECTURE_ENTRY.fullmatch(parts.path):
        return 'is not a RDV-Préfecture entry: its path must be "/rdvpref/reservation/demarche/<number>/"'
    return None


def _rdv_service_public_problem(parts: SplitResult) -> str | None:
    if parts.path.startswith("/users") or parts.path == "/creneaux":
        return "begins a booking: write the search that leads there, with /prendre_rdv?… or /org/<number>"
    personal = {"invitation_token", "prescripteur", "referent_ids[]"} & set(parse_qs(parts.query))
    if personal:
        return f'holds "{min(personal)}", which is one person\'s: remove it'
    if parts.path in {"/prendre_rdv", "/prdv"}:
        return None
    if not _RDV_SHORT_LINK.fullmatch(parts.path):
        return 'is not an entry of RDV Service Public: its path must be "/prendre_rdv" or "/org/<number>"'
    return "holds a query string, which short links never use: remove it" if parts.query else None


def _lutece_problem(parts: SplitResult) -> str | None:
    query = parse_qs(parts.query)
    page, view = query.get("page", [""])[0], query.get("view", [""])[0]
    if view == "getViewAppointmentForm" or "starting_date_time" in query:
        return "holds a place in the calendar: write the calendar, with view=getViewAppointmentCalendar"
    is_calendar = view == "getViewAppointmentCalendar" and "id_form" in query
    if not parts.path.endswith("/jsp/site/Portal.jsp") or not (
        page in {"appointmentsearch", "appointmenttitresearch"} or (page == "appointment" and is_calendar)
    ):
        return (
            'is not an entry of Lutece: it must end with "/jsp/site/Portal.jsp?page=appointmentsearch&…" or '
            '"?page=appointment&view=getViewAppointmentCalendar&id_form=<number>"'
        )
    return None


def _ants_problem(parts: SplitResult) -> str | None:
    if parts.path != "/api/SlotsFromPosition":
        return 'is not a search of the ANTS API: its path must be "/api/SlotsFromPosition"'
    asked = parse_qs(parts.query, keep_blank_values=True)
    for name in asked:
        if name not in ANTS_SEARCH:
            return f'holds "{name}": a search is {", ".join(ANTS_SEARCH)}, and its dates are the visit\'s'
    for name, shape in ANTS_SEARCH.items():
        values = asked.get(name, [])
        if len(values) != 1 or not re.fullmatch(shape, values[0]):
            example = {"address": "Seclin%2059113", "longitude": "3.0348", "latitude": "50.5491"}.get(name)
            wanted = f"such as {name}={example}" if example else f"{name}={shape}"
            return f"must hold {name} once, {wanted}"
    return None
