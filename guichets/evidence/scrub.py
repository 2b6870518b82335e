"""Takes out of what is exported everything by which someone could act as us or take a slot.

Two kinds of rows: names whose value is secret wherever they stand (cookie, query, form field, JSON key, HTML
attribute), and patterns of values that are secret by their shape. A value found secret in one place of a page
is taken out of every other place of it too. Adding a family = its rows here and a case in the tests.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, quote_plus, unquote

from guichets.evidence.exchange import Headers

SCRUBBED = "[scrubbed]"
SHORTEST_KNOWN_SECRET = (
    6  # a shorter value is only scrubbed where its name stands: it may be an ordinary word
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What is secret on the pages of one family."""

    names: tuple[str, ...] = ()  # compared without case
    patterns: tuple[str, ...] = ()  # the group « secret » is taken out
    headers: tuple[str, ...] = ()  # whole values, besides those of every family


EVERY_FAMILY = Rows(
    names=(
        "jsessionid",
        "phpsessid",
        "sessionid",
        "session_id",
        "httpsessionid",
        "access_token",
        "refresh_token",
        "id_token",
        "csrf_token",
        "csrf-token",
        "_csrf",
        "csrfmiddlewaretoken",
        "authenticity_token",
        "__requestverificationtoken",
        "__viewstate",
        "__viewstategenerator",
        "__eventvalidation",
        "javax.faces.viewstate",
        "cf_clearance",
        "__cf_bm",
    ),
    patterns=(
        r"(?i:\bbearer)\s+(?P<secret>[A-Za-z0-9._~+/=-]{8,})",
        r"(?P<secret>\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*)",  # a JSON web token
        r"(?i:\b(?:visid_incap|incap_ses)_[0-9_]+)=(?P<secret>[^;&\s\"'<>]+)",
        r"(?i:;jsessionid)=(?P<secret>[^;?#&\s\"'<>]+)",
    ),
    headers=(
        "cookie",
        "set-cookie",
        "authorization",
        "proxy-authorization",
        "x-csrf-token",
        "x-xsrf-token",
        "www-authenticate",
    ),
)

FAMILIES: dict[str, Rows] = {
    "ezbooking": Rows(
        names=("ezsessid",),
        patterns=(
            # The last segments of a slot's link: following them takes the slot.
            r"/booking/create/\d+/[5-9]/(?P<secret>[^\s\"'<>?#]+)",
            r"/booking/confirm/?(?P<secret>[^\s\"'<>#]+)",
        ),
    ),
    "rdv_prefecture": Rows(
        names=("ctx", "token", "trhid", "captchaid", "captchetat-uuid", "uuid", "bdc_vcid_captchafr"),
        patterns=(
            r"(?P<secret>\b[0-9a-f]{32}(?:\$|%24|&#36;)[0-9a-fA-F-]{36})",  # a view context
            r"\btrhId_(?P<secret>[^\s\"'<>&]+)",
            r"\bname=[\"']?trhId[\"']?[^>]*?\bdata-value=[\"'](?P<secret>[^\"']+)",
        ),
    ),
    "eappointment": Rows(
        names=("scriptsessionid", "dwrsessionid", "id_route_gfa"),
        patterns=(r"handleNewScriptSession\([\"'](?P<secret>[^\"']+)",),
    ),
    "rdv_service_public": Rows(
        names=("invitation_token", "_rdv_session", "starts_at", "public_link_organisation_token"),
        patterns=(r"/users/rdv_wizard_step/new\?(?P<secret>[^\s\"'<>]+)",),
    ),
    "troov": Rows(
        names=("captcha", "sessionid", "cf-turnstile-response"),
        patterns=(r"/reservations-session/(?P<secret>[^\s\"'<>/?]+)",),
        headers=("x-gouv-handshake", "x-gouv-app-id", "x-gouv-csrf", "x-gouv-ck"),
    ),
    "ants": Rows(
        names=("antibot_token", "captcha_token", "recaptcha_token", "callback_url"),  # which takes the slot
        headers=("x-hub-rdv-auth-token", "x-hub-rdv-front-auth-token"),
    ),
    "demarche_numerique": Rows(names=("_ds_session", "prefill_token")),
    "lutece": Rows(names=("nonce", "token", "nidslot", "id_slot")),
    "orion": Rows(names=("usageruid",)),
}

_TAG = re.compile(r"<(?:input|meta|button|option|textarea)\b(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
_VALUE = re.compile(
    r"(?P<lead>(?<![\w-])(?:value|content)\s*=\s*)(?:\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)'|(?P<c>[^\s\"'<>]+))",
    re.IGNORECASE,
)
_QUOTE = r"(?:\\?\"|&quot;|&#34;|')"


def scrub_text(text: str, family: str, *, known: Iterable[str] = ()) -> str:
    """The text without secrets; ``known``: values that must not be left standing anywhere in it."""
    secrets = {*known, *_secrets_in(text, family)}
    for pattern in _patterns(family):
        text = pattern.sub(_blank, text)
    text = _TAG.sub(lambda tag: _scrub_tag(tag[0], family), text)
    for secret in sorted(_variants(secrets), key=len, reverse=True):
        text = text.replace(secret, SCRUBBED)
    return text


def scrub_html(page: str, family: str, *, headers: Headers = (), url: str = "") -> str:
    """A page without secrets, those its own headers and address reveal included."""
    return scrub_text(page, family, known=[*secrets_of_headers(headers), *_secrets_in(url, family)])


def scrub_url(url: str, family: str) -> str:
    """An address without session, token or slot handle, and without user name and password."""
    url = re.sub(r"(?<=//)[^/?#@]*@", f"{SCRUBBED}@", url, count=1)
    return scrub_text(url, family)


def scrub_headers(headers: Headers, family: str) -> Headers:
    """Headers with secret values blanked; names of cookies stay, because they tell the platform."""
    secret_names = {name.encode() for name in (*EVERY_FAMILY.headers, *_rows(family).headers)}
    known = secrets_of_headers(headers)
    kept = []
    for name, value in headers:
        lowered = name.lower()
        if lowered in (b"cookie", b"set-cookie"):
            value = _cookie_names(value, only_first=lowered == b"set-cookie")
        elif lowered in secret_names:
            value = SCRUBBED.encode()
        else:
            text = scrub_url(value.decode("latin-1"), family)
            value = scrub_text(text, family, known=known).encode("latin-1", "replace")
        kept.append((name, value))
    return tuple(kept)


def secrets_of_headers(headers: Headers) -> set[str]:
    """The values of cookies and authorisations, to be looked for elsewhere."""
    found = set()
    for name, value in headers:
        text = value.decode("latin-1")
        if name.lower() == b"cookie":
            found |= {pair.partition("=")[2].strip() for pair in text.split(";")}
        elif name.lower() == b"set-cookie":
            found.add(text.split(";")[0].partition("=")[2].strip())
        elif name.lower() in (b"authorization", b"proxy-authorization"):
            found.add(text.rpartition(" ")[2])
    return {value.strip('"') for value in found if len(value) >= SHORTEST_KNOWN_SECRET}


def _rows(family: str) -> Rows:
    try:
        return FAMILIES[family]
    except KeyError:
        # A family without rows would be exported unscrubbed: better not at all.
        raise ValueError(f"family {family!r} has no scrubbing rows: add them to {__name__}") from None


@cache
def _names(family: str) -> frozenset[str]:
    return frozenset(name.lower() for name in (*EVERY_FAMILY.names, *_rows(family).names))


@cache
def _patterns(family: str) -> tuple[re.Pattern[str], ...]:
    names = "|".join(re.escape(name) for name in sorted(_names(family), key=len, reverse=True))
    before = r"(?<![\w-])"
    by_name = (
        # name=value in addresses, forms and cookies; name="value" in HTML and scripts
        rf"{before}(?i:{names})\s*=\s*\"(?P<secret>[^\"<>]+)\"",
        rf"{before}(?i:{names})\s*=\s*'(?P<secret>[^'<>]+)'",
        rf"{before}(?i:{names})(?:=|%3D)(?P<secret>[^&;\s\"'<>#]+)",
        # "name": "value" and "name": 12 in JSON, escaped or not
        rf"{_QUOTE}(?i:{names}){_QUOTE}\s*:\s*{_QUOTE}(?P<secret>(?:(?!{_QUOTE}).)+)",
        rf"{_QUOTE}(?i:{names}){_QUOTE}\s*:\s*(?P<secret>[0-9]+)",
    )
    own = (*EVERY_FAMILY.patterns, *_rows(family).patterns)
    return tuple(re.compile(pattern) for pattern in (*own, *by_name))


def _blank(match: re.Match[str]) -> str:
    start, end = match.span("secret")
    whole, offset = match[0], match.start()
    return whole[: start - offset] + SCRUBBED + whole[end - offset :]


def _is_secret_field(tag: str, family: str) -> bool:
    found = re.findall(r"(?i)(?<![\w-])(?:name|id|http-equiv)\s*=\s*[\"']?([^\s\"'<>]+)", tag)
    return any(name.lower() in _names(family) for name in found)


def _scrub_tag(tag: str, family: str) -> str:
    if not _is_secret_field(tag, family):
        return tag
    return _VALUE.sub(rf'\g<lead>"{SCRUBBED}"', tag)


def _secrets_in(text: str, family: str) -> Iterator[str]:
    for pattern in _patterns(family):
        for match in pattern.finditer(text):
            yield match["secret"]
    for tag in _TAG.findall(text):
        if _is_secret_field(tag, family):
            for value in _VALUE.finditer(tag):
                yield html.unescape(value["a"] or value["b"] or value["c"] or "")


def _variants(secrets: set[str]) -> set[str]:
    """Each secret as it may be written in a page, an address or a form."""
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST_KNOWN_SECRET and SCRUBBED not in secret:
            plain = unquote(secret)
            forms |= {secret, plain, quote(plain, safe=""), quote_plus(plain), html.escape(plain)}
    return {form for form in forms if len(form) >= SHORTEST_KNOWN_SECRET}


def _cookie_names(value: bytes, *, only_first: bool) -> bytes:
    first, semicolon, rest = value.partition(b";")
    if only_first:
        return first.partition(b"=")[0] + b"=" + SCRUBBED.encode() + semicolon + rest
    names = [pair.partition(b"=")[0].strip() for pair in value.split(b";")]
    return b"; ".join(name + b"=" + SCRUBBED.encode() for name in names)
