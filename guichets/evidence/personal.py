"""Says why a contributed page may not be kept: past the calendar, or somebody's personal data in it.

Reasons never repeat what was found. When in doubt the page is refused: a page lost is a smaller harm than a
person's data in an archive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import lxml.html
from lxml import etree

from guichets.evidence.exchange import Exchange

PERSONAL_NAMES = re.compile(
    r"(?<![a-z])(?:first_?name|last_?name|given_?name|family_?name|full_?name|nom|prenom|pr%C3%A9nom|prénom|"
    r"nom_?(?:naissance|usage|famille)|e?-?mail|emailcheck|courriel|adresse_?(?:mail|electronique)|"
    r"number_agdref|agdref|numero_?(?:agdref|etranger)|end_date_validity|post_?code|is_foreign|"
    r"birth_?(?:date|day|place)?|date_?(?:de_?)?naissance|lieu_?naissance|phone|tel|telephone|"
    r"téléphone|passport|passeport|nationalite|nationality)(?![a-z])",
    re.IGNORECASE,
)
"""Names of fields that hold a person's data: those of EZBooking's step 8 and the usual ones elsewhere."""

FORBIDDEN_PATHS = (
    (re.compile(r"/booking/create/\d+/(?:[5-9]|\d\d+)(?:/|$)"), "a booking step past the calendar"),
    (re.compile(r"/booking/(?:confirm|cancel|manage)"), "a booking's confirmation"),
    (
        re.compile(r"/reservation/demarche/[^/]+/(?:formulaire|recapitulatif|validation|confirmation)"),
        "the identity form",
    ),
    (re.compile(r"/_(?:choisirBloc|confirmer|valider(?!Captcha))"), "the choice of a slot"),
    (re.compile(r"/login(?:/|$)|/users/(?:sign_in|password|informations)"), "somebody's account"),
    (
        re.compile(r"/rdv_wizard_step/|/reservations-session/|/reservations/family"),
        "a booking step past the calendar",
    ),
)
FORBIDDEN_HEADINGS = re.compile(
    r"contrôle de sécurité|coordonnées personnelles|validation de la demande|vos informations|"
    r"récapitulatif|confirmer le rendez-vous|rendez-vous confirmé",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[a-z]{2,}", re.IGNORECASE)
_FOREIGNER_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:\d{9,10}|[Ff]\d{9,10})(?![0-9A-Za-z])")
_LABELLED_NUMBER = re.compile(
    r"(?:agdref|num[ée]ro\s+(?:d[’' ]?|de\s+(?:l[’'])?)?[ée]tranger|n°\s*[ée]tranger)[^0-9]{0,40}?"
    r"(?:\d[ .]?){9,10}",
    re.IGNORECASE,
)
_GREETING = re.compile(r"\b(?:Bonjour|Madame|Monsieur|M\.|Mme)\s+[A-ZÉÈ][\w’'-]+\s+[A-ZÉÈ]{2,}[\w’'-]*")
_TYPED = ("text", "email", "tel", "search", "number", "date", "password", "url", "")
_TEXT_TYPES = ("html", "json", "xml", "text/plain")


def refusal(exchange: Exchange, body: bytes) -> str | None:
    """Why this exchange may not be stored, as a phrase without any of its data; None when it may."""
    return _of_address(exchange) or _of_request(exchange) or _of_page(exchange, body)


def _of_address(exchange: Exchange) -> str | None:
    parts = urlsplit(exchange.url)
    path = unquote(parts.path)
    for pattern, meaning in FORBIDDEN_PATHS:
        if pattern.search(path):
            return f"its address is that of {meaning}"
    if exchange.method not in ("GET", "HEAD") and re.search(r"/booking/create/\d+/4(?:/|$)", path):
        return "its address is that of the choice of a slot"
    if parts.username or parts.password:
        return "its address holds a user name"
    return _of_pairs(parse_qsl(parts.query), "its address")


def _of_request(exchange: Exchange) -> str | None:
    if not exchange.request_body:
        return None
    text = exchange.request_body.decode("utf-8", "replace")
    return _of_pairs(parse_qsl(text), "what was sent") or _of_json(text, "what was sent")


def _of_pairs(pairs: list[tuple[str, str]], where: str) -> str | None:
    for name, value in pairs:
        if value.strip() and PERSONAL_NAMES.search(name):
            return f"{where} holds a filled field named like personal data"
        if _EMAIL.search(value):
            return f"{where} holds an e-mail address"
    return None


def _of_page(exchange: Exchange, body: bytes) -> str | None:
    content_type = b" ".join(v for n, v in exchange.response_headers if n.lower() == b"content-type")
    kind = content_type.decode("latin-1").lower()
    if kind and not any(word in kind for word in _TEXT_TYPES):
        return None
    text = body.decode("utf-8", "replace")
    if _LABELLED_NUMBER.search(text):
        return "it holds a foreigner's number (AGDREF)"
    if "json" in kind or text.lstrip()[:1] in ("{", "["):
        return _of_json(text, "it")
    try:
        root = lxml.html.document_fromstring(text.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))
    except (etree.ParserError, ValueError):
        return None  # empty, or no markup at all
    return _of_markup(root)


def _of_markup(root: lxml.html.HtmlElement) -> str | None:
    for heading in root.iter("h1", "h2", "h3", "title"):
        if FORBIDDEN_HEADINGS.search(heading.text_content()):
            return "its heading is that of a step past the calendar"
    for name, value in _filled_fields(root):
        if PERSONAL_NAMES.search(name):
            return "it holds a filled field named like personal data"
        if _EMAIL.search(value):
            return "it holds an e-mail address in a filled field"
        if _FOREIGNER_NUMBER.search(value.strip()):
            return "it holds a foreigner's number (AGDREF) in a filled field"
    for script in root.iter("script"):
        if "json" in (script.get("type") or ""):
            reason = _of_json(script.text_content(), "it")
            if reason:
                return reason
    if _GREETING.search(root.text_content()):
        return "it addresses a person by name"
    return None


def _filled_fields(root: lxml.html.HtmlElement) -> Iterator[tuple[str, str]]:
    """Name (with id and label hints) and value of each field a person may have filled."""
    for field in root.iter("input", "textarea", "select"):
        hints = " ".join(field.get(key) or "" for key in ("name", "id", "autocomplete", "placeholder"))
        if field.tag == "textarea":
            value = field.text_content()
        elif field.tag == "select":
            chosen = [one for one in field.iter("option") if one.get("selected") is not None]
            value = " ".join(one.get("value") or "" for one in chosen)
        else:
            kind = (field.get("type") or "").lower()
            if kind not in (*_TYPED, "hidden"):
                continue
            value = field.get("value") or ""
        if value.strip():
            yield hints, value


def _of_json(text: str, where: str) -> str | None:
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return None
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, str | int) and not isinstance(inner, bool) and str(inner).strip():
                    if PERSONAL_NAMES.search(key) and key.lower() not in ("nom", "name", "tel", "phone"):
                        return f"{where} holds a filled field named like personal data"
                    continue
                waiting.append(inner)
            if {key.lower() for key, inner in value.items() if inner} >= {"nom", "prenom"}:
                return f"{where} holds a person's names"
        elif isinstance(value, list):
            waiting.extend(value)
    return None
