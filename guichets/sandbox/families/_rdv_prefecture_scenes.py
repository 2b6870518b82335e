"""Every state of a RDV-Préfecture démarche, on demand, with the outcome it must be read as."""

from __future__ import annotations

import re

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage

_HEAD = '<!DOCTYPE html><html lang="en-US"><head><meta charset="utf-8">'
_BLOCK = (
    f"{_HEAD}<title>Attention Required! | Cloudflare</title></head><body>"
    "<h1>Sorry, you have been blocked</h1><h2>You are unable to access interieur.gouv.fr</h2>"
    "<p>Cloudflare Ray ID: 8f2a0c7e1d3b4a5f</p></body></html>"
)
_CHALLENGE = (
    f"{_HEAD}<title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue"
    '</noscript><script src="https://challenges.cloudflare.com/turnstile/v0/api.js"></script></body></html>'
)
_FRENCH_CHALLENGE = (
    '<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Un instant…</title></head><body>'
    "<h2>Vérification de sécurité en cours</h2><p>Vérifiez que vous êtes humain</p>"
    '<div class="cf-turnstile"></div><p>Performances et sécurité par Cloudflare</p></body></html>'
)
_IMPERVA = (
    '<html style="height:100%"><head><meta name="robots" content="noindex, nofollow"></head><body>'
    '<iframe src="/_Incapsula_Resource?SWUDNSAI=31" width="100%">Request unsuccessful. '
    "Incapsula incident ID: 0-0</iframe></body></html>"
)
_BASE = re.compile(r"(.*/demarche/)(\d+).*")


def _edge(text: str, status: int, **headers: str) -> Fault:
    reply = replies.page(text, status)
    for name, value in headers.items():
        reply = reply.with_header(name.replace("_", "-"), value)
    return lambda occasion: reply


def _to(rest: str) -> Fault:
    """A redirect to another page of the démarche."""
    return lambda occasion: replies.redirect(_BASE.sub(rf"\g<1>\g<2>{rest}", occasion.path))


def _to_another(occasion: Occasion) -> Reply:
    """A redirect to the same page of the next démarche."""
    found = _BASE.match(occasion.path)
    assert found is not None
    number = int(found[2]) + 1
    return replies.redirect(f"{found[1]}{number}/", 301)


def _session_error(occasion: Occasion) -> Reply:
    """cgu/ reached without the session it wants: sent to itself, once."""
    if "error=" in occasion.path:
        return occasion.reply
    return replies.redirect(f"{occasion.path}?error=errorSessionInvalide")


_O = Outcome

_OWN: tuple[Scene, ...] = (
    Scene("captcha-era-1", _O.CAPTCHA, "CaptchEtat v1 stands on the conditions", manners={"era": "1"}),
    Scene("captcha-era-2", _O.CAPTCHA, "CaptchEtat v2 stands on the conditions", manners={"era": "2"}),
    Scene(
        "captcha-message",
        _O.CAPTCHA,
        "the landing page bears a warning",
        manners={"message": "Le service sera interrompu jeudi de 12 h à 14 h."},
    ),
    Scene(
        "captcha-session",
        _O.CAPTCHA,
        "the conditions are shown with ?error=errorSessionInvalide",
        fault=_session_error,
        stage=Stage.ANSWER,
    ),
    Scene(
        "captcha-at-once",
        _O.CAPTCHA,
        "the landing page sends straight to the conditions",
        manners={"skips_landing": True},
    ),
    Scene("no-booking-link", _O.UNRECOGNISED, "the landing page has lost its link", manners={"link": False}),
    Scene(
        "conditions-without-captcha",
        _O.UNRECOGNISED,
        "the conditions have lost their captcha",
        manners={"captcha": False},
    ),
    Scene(
        "moved-to-another-demarche",
        _O.MOVED,
        "sent to another démarche",
        fault=_to_another,
        stage=Stage.ENTRY,
    ),
    Scene(
        "landing-again",
        _O.UNRECOGNISED,
        "the landing page in place of the conditions",
        fault=_to("/"),
        stage=Stage.ANSWER,
    ),
    *(
        Scene(f"{late}{name}", _O.BLOCKED, f"{sentence}{place}", fault=fault, stage=stage)
        for late, place, stage in (
            ("", "", Stage.ENTRY),
            ("late-", ": only on the conditions", Stage.ANSWER),
        )
        for name, sentence, fault in (
            ("cloudflare-block-status-403", "Cloudflare's block page, 403", _edge(_BLOCK, 403)),
            ("cloudflare-block-200", "the same, 200", _edge(_BLOCK, 200)),
            (
                "cloudflare-challenge-status-403",
                "Cloudflare's challenge, 403",
                _edge(_CHALLENGE, 403, cf_mitigated="challenge"),
            ),
            ("cloudflare-challenge-503", "the same, 503", _edge(_CHALLENGE, 503)),
            ("cloudflare-challenge-french", "the same in French, 200", _edge(_FRENCH_CHALLENGE, 200)),
            ("imperva-block", "Imperva's block page, 200", _edge(_IMPERVA, 200)),
        )
    ),
    Scene(
        "rate-limit-status-429",
        _O.BLOCKED,
        "429 of the framework's own limiter",
        fault=_edge("<html><body>Too many requests</body></html>", 429, X_Rate_Limit_Remaining="0"),
        stage=Stage.ENTRY,
    ),
    Scene(
        "redirect-formulaire",
        _O.OBSERVER_FAULT,
        "redirected to the identity form, which the gate refuses",
        fault=_to("/formulaire/"),
        stage=Stage.ENTRY,
    ),
    Scene(
        "late-redirect-formulaire",
        _O.OBSERVER_FAULT,
        "the same in place of the conditions",
        fault=_to("/formulaire/"),
        stage=Stage.ANSWER,
    ),
    Scene(
        "redirect-wrong-code",
        _O.OBSERVER_FAULT,
        "told that we sent a wrong code, which must never happen",
        fault=_to("/cgu/?error=invalidCaptcha"),
        stage=Stage.ENTRY,
    ),
    Scene(
        "redirect-login",
        _O.OBSERVER_FAULT,
        "redirected to somebody's account",
        fault=lambda occasion: replies.redirect("/rdvpref/login/"),
        stage=Stage.ENTRY,
    ),
)

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
