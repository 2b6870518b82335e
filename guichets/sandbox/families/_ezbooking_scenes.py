"""Every state of an EZBooking form, on demand, with the outcome it must be read as."""

from __future__ import annotations

import re

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.families import _ezbooking_pages as pages
from guichets.sandbox.replies import Delivery, Reply
from guichets.sandbox.scenes import (
    COMMON,
    Fault,
    Occasion,
    Scene,
    Stage,
    delivered,
    everyone,
    showing,
    status,
)

_HEAD = (
    '<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Prise de rendez-vous</title></head>'
)
_FOOTER = "<footer>Accès libre - Réessayez ultérieurement - Contacts</footer></body></html>"
_OVERLOAD = f"{_HEAD}<body><h1>Service surchargé</h1><p>Veuillez réessayer ultérieurement.</p></body></html>"
_UNAVAILABLE = (
    f'{_HEAD}<body><div id="container"><p>Attention : Cette page n\'est pas disponible pour le moment !</p>'
    f"</div>{_FOOTER}"
)
_DISABLED = f'{_HEAD}<body><div id="container"><p>Ce lien a été désactivé définitivement</p></div>{_FOOTER}'
_EDITORIAL = (
    f'{_HEAD}<body><div id="container"><h1>Prise de rendez-vous</h1>'
    f"<p>Nous n'avons pas d'autres dates disponibles.</p></div>{_FOOTER}"
)
_BASE = re.compile(r"(.*/booking/create/\d+).*")


def _base(occasion: Occasion) -> str:
    return _BASE.sub(r"\1", occasion.path)


def _back_to(step: int) -> Fault:
    return lambda occasion: replies.redirect(f"{_base(occasion)}/{step}")


def _to_step_5(occasion: Occasion) -> Reply:
    return replies.redirect(f"{_base(occasion)}/5/1/1893456000")


def _unknown_step(occasion: Occasion) -> Reply:
    form = pages.Form("sandbox", "Prise de rendez-vous", _base(occasion), dsfr=False)
    return replies.page(pages.unknown_step_page(form))


def _last_offers(place: int, count: int) -> Outcome:
    return Outcome.OFFERED if place == count - 1 else Outcome.NONE


def _one_of_each(place: int, count: int) -> Outcome:
    return (Outcome.OFFERED, Outcome.NONE, Outcome.CLOSED)[place % 3]


def _tie(place: int, count: int) -> Outcome:
    """Half none, half closed; the middle one of an odd number has none too."""
    return (Outcome.NONE, Outcome.CLOSED)[place % 2]


def _closed_mostly(place: int, count: int) -> Outcome:
    return Outcome.NONE if place % 3 == 2 else Outcome.CLOSED


_O = Outcome
_NONE, _OFFERED, _CLOSED = everyone(_O.NONE), everyone(_O.OFFERED), everyone(_O.CLOSED)

_OWN: tuple[Scene, ...] = (
    Scene("none", _O.NONE, "step 2 and its sentence", _NONE),
    Scene("none-redirect", _O.NONE, "step 2 after a redirect", _NONE, manners={"answers": "redirect"}),
    Scene("none-in-place", _O.NONE, "step 2 shown in place", _NONE, manners={"answers": "in-place"}),
    Scene("none-curly", _O.NONE, "step 2 with a curly apostrophe", _NONE, manners={"no_slot": "curly"}),
    Scene(
        "none-english",
        _O.NONE,
        "step 2 in English: « Please try later »",
        _NONE,
        manners={"no_slot": "english"},
    ),
    Scene(
        "none-partial",
        _O.NONE,
        "step 2 saying « … disponibles pour le moment »",
        _NONE,
        manners={"no_slot": "partial"},
    ),
    Scene(
        "none-calendar-free",
        _O.NONE,
        "step 2 while the week call shows free cells",
        _NONE,
        manners={"calendar_disagrees": True},
    ),
    Scene(
        "none-radios-change",
        _O.NONE,
        "another list of radios at each visit",
        _NONE,
        manners={"radios_change": True, "plannings": 0},
    ),
    Scene(
        "none-first-post-ignored",
        _O.NONE,
        "the first POST of step 0 has no effect",
        _NONE,
        manners={"first_post_ignored": "0"},
    ),
    Scene(
        "none-first-choice-ignored",
        _O.NONE,
        "the first POST of step 1 has no effect",
        _NONE,
        manners={"first_post_ignored": "1"},
    ),
    Scene(
        "offered",
        _O.OFFERED,
        "step 3, then the calendar",
        _OFFERED,
        manners={"skips_step3": False, "calendar": "first-free"},
    ),
    Scene(
        "offered-in-place",
        _O.OFFERED,
        "the same shown in place",
        _OFFERED,
        manners={"answers": "in-place", "skips_step3": False, "calendar": "first-free"},
    ),
    Scene(
        "offered-step3-skipped",
        _O.OFFERED,
        "straight to the calendar",
        _OFFERED,
        manners={"skips_step3": True, "calendar": "first-free"},
    ),
    Scene(
        "offered-complet-week",
        _O.OFFERED,
        "slots exist, and the displayed week is all « complet »",
        _OFFERED,
        manners={"calendar": "current"},
    ),
    Scene("offered-last-counter", _O.OFFERED, "only the last counter has slots", _last_offers),
    Scene(
        "offered-one-planning",
        _O.OFFERED,
        "a single planning: step 1 skipped",
        _OFFERED,
        manners={"plannings": 1, "lists_one_planning": False},
    ),
    Scene(
        "offered-first-post-ignored",
        _O.OFFERED,
        "the first POST of step 0 has no effect",
        _OFFERED,
        manners={"first_post_ignored": "0"},
    ),
    Scene(
        "offered-calendar-503",
        _O.OFFERED,
        "step 3 is reached, the calendar answers 503",
        _OFFERED,
        status(503),
        Stage.CALENDAR,
        manners={"skips_step3": False},
    ),
    Scene(
        "offered-calendar-reset",
        _O.OFFERED,
        "step 3 is reached, then the connection is torn down",
        _OFFERED,
        delivered(Delivery.RESET),
        Stage.CALENDAR,
        manners={"skips_step3": False},
    ),
    Scene("mixed", _O.OFFERED, "counters that offer, have none, are closed", _one_of_each),
    Scene(
        "tie",
        _O.NONE,
        "as many counters closed as without slots: none wins",
        _tie,
        manners={"closed_at": "1"},
    ),
    Scene(
        "closed-mostly",
        _O.CLOSED,
        "most counters closed, the others without slots",
        _closed_mostly,
        manners={"closed_at": "1"},
    ),
    Scene(
        "closed-no-calendar",
        _O.CLOSED,
        "« pas calendrier disponible » after step 0",
        _CLOSED,
        manners={"closed_at": "0"},
    ),
    Scene(
        "closed-no-calendar-retry",
        _O.CLOSED,
        "the same, with « Veuillez réessayer ultérieurement. »",
        _CLOSED,
        manners={"closed_at": "0", "says_retry": True},
    ),
    Scene(
        "closed-no-calendar-redirect",
        _O.CLOSED,
        "the same, on step 1 after a redirect",
        _CLOSED,
        manners={"closed_at": "redirect"},
    ),
    Scene(
        "closed-each-counter", _O.CLOSED, "the same, after each choice", _CLOSED, manners={"closed_at": "1"}
    ),
    Scene(
        "closed-calendar-free",
        _O.CLOSED,
        "closed while the week call shows free cells",
        _CLOSED,
        manners={"closed_at": "0", "calendar_disagrees": True},
    ),
    Scene(
        "closed-unavailable",
        _O.CLOSED,
        "« Cette page n'est pas disponible pour le moment »",
        fault=showing(_UNAVAILABLE),
        stage=Stage.ENTRY,
    ),
    Scene(
        "closed-disabled-200",
        _O.CLOSED,
        "« Ce lien a été désactivé définitivement », 200",
        fault=showing(_DISABLED),
        stage=Stage.ENTRY,
    ),
    Scene(
        "closed-disabled-403", _O.CLOSED, "the same, 403", fault=showing(_DISABLED, 403), stage=Stage.ENTRY
    ),
    Scene(
        "closed-disabled-404", _O.CLOSED, "the same, 404", fault=showing(_DISABLED, 404), stage=Stage.ENTRY
    ),
    Scene(
        "closed-editorial",
        _O.CLOSED,
        "« Nous n'avons pas d'autres dates disponibles »",
        fault=showing(_EDITORIAL),
        stage=Stage.ENTRY,
    ),
    Scene(
        "overload-503",
        _O.OVERLOADED,
        "« Service surchargé », 503",
        fault=showing(_OVERLOAD, 503),
        stage=Stage.ENTRY,
    ),
    Scene(
        "overload-200",
        _O.OVERLOADED,
        "« Service surchargé », 200",
        fault=showing(_OVERLOAD),
        stage=Stage.ENTRY,
    ),
    Scene(
        "late-overload-503",
        _O.OVERLOADED,
        "« Service surchargé » in place of the verdict",
        fault=showing(_OVERLOAD, 503),
        stage=Stage.ANSWER,
    ),
    Scene("late-overload-200", _O.OVERLOADED, "the same, 200", fault=showing(_OVERLOAD), stage=Stage.ANSWER),
    Scene(
        "late-unavailable",
        _O.CLOSED,
        "« Cette page n'est pas disponible » in place of the verdict",
        fault=showing(_UNAVAILABLE),
        stage=Stage.ANSWER,
    ),
    Scene(
        "step0-again",
        _O.UNRECOGNISED,
        "the session is forgotten: step 0 in place of the verdict",
        fault=_back_to(0),
        stage=Stage.ANSWER,
    ),
    Scene(
        "step1-again",
        _O.UNRECOGNISED,
        "the choice is never taken: step 1 in place of the verdict",
        fault=_back_to(1),
        stage=Stage.ANSWER,
    ),
    Scene(
        "unknown-step", _O.UNRECOGNISED, "a step nobody described", fault=_unknown_step, stage=Stage.ANSWER
    ),
    Scene(
        "redirect-step-5",
        _O.OBSERVER_FAULT,
        "redirected to a step the gate refuses",
        fault=_to_step_5,
        stage=Stage.ENTRY,
    ),
    Scene(
        "late-redirect-step-5",
        _O.OBSERVER_FAULT,
        "the same in place of the verdict",
        fault=_to_step_5,
        stage=Stage.ANSWER,
    ),
)

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
