"""Every state of an RDV Service Public desk, on demand, with the outcome it must be read as."""

from __future__ import annotations

from urllib.parse import parse_qsl

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.families import _rdv_service_public_pages as pages
from guichets.sandbox.families._rdv_service_public_manners import Motive
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone

MANY_PLACES = 60
MANY_MOTIVES = 20


def _frame(occasion: Occasion) -> pages.Frame:
    query = tuple(parse_qsl(occasion.path.partition("?")[2], keep_blank_values=True))
    return pages.Frame("sandbox", query, dsfr=False, dates="offset")


def _many_places(occasion: Occasion) -> Reply:
    return replies.page(pages.many_places_page(_frame(occasion), MANY_PLACES))


def _many_motives(occasion: Occasion) -> Reply:
    motives = [Motive(f"motif_{n}-public_office", f"Motif {n}", 1, {}) for n in range(MANY_MOTIVES)]
    return replies.page(pages.motives_page(_frame(occasion), motives))


def _all_taken(occasion: Occasion) -> Reply:
    return replies.page(pages.all_taken_page(_frame(occasion)))


def _quoting(occasion: Occasion) -> Reply:
    return replies.page(pages.quoting_page(_frame(occasion)))


def _to(path: str) -> Fault:
    return lambda occasion: replies.redirect(path)


def _last_offers(place: int, count: int) -> Outcome:
    return Outcome.OFFERED if place == count - 1 else Outcome.NONE


def _every_other(place: int, count: int) -> Outcome:
    return Outcome.NONE if place % 2 else Outcome.OFFERED


_O = Outcome
_NONE, _OFFERED = everyone(_O.NONE), everyone(_O.OFFERED)

_OWN: tuple[Scene, ...] = (
    Scene("none", _O.NONE, "« Malheureusement, aucun créneau ... »", _NONE),
    Scene("none-dsfr", _O.NONE, "the same in the State's design system", _NONE, manners={"layout": "dsfr"}),
    Scene("none-closed", _O.NONE, "switched off: the platform has no other word", everyone(_O.CLOSED)),
    Scene(
        "none-not-listed",
        _O.NONE,
        "nothing free, and the organisation is no longer among the public links",
        _NONE,
        manners={"public_links": "left-out"},
    ),
    Scene(
        "none-links-in-html",
        _O.NONE,
        "nothing free, and the public links answer with a page",
        _NONE,
        manners={"public_links": "html"},
    ),
    Scene("offered", _O.OFFERED, "places, then their week", _OFFERED, manners={"layout": "cards"}),
    Scene(
        "offered-dsfr",
        _O.OFFERED,
        "the same in the State's design system",
        _OFFERED,
        manners={"layout": "dsfr"},
    ),
    Scene("offered-last-place", _O.OFFERED, "only the last place has slots", _last_offers),
    Scene("mixed", _O.OFFERED, "every other place has slots", _every_other),
    Scene(
        "offered-2024",
        _O.OFFERED,
        "an empty department leads to the address step",
        _OFFERED,
        manners={"empty_departement": "asked"},
    ),
    Scene(
        "offered-2026",
        _O.OFFERED,
        "an empty department is ignored",
        _OFFERED,
        manners={"empty_departement": "ignored"},
    ),
    Scene(
        "offered-services",
        _O.OFFERED,
        "each motive has its own service",
        _OFFERED,
        manners={"services": "several"},
    ),
    Scene(
        "offered-without-offset",
        _O.OFFERED,
        "links whose dates have no offset",
        _OFFERED,
        manners={"dates": "wall"},
    ),
    Scene(
        "offered-closing",
        _O.OFFERED,
        "the days after the last slot are closed to booking",
        _OFFERED,
        manners={"closes": True},
    ),
    Scene(
        "offered-workshop",
        _O.OFFERED,
        "a week of workshops, without machine dates",
        _OFFERED,
        manners={"week": "workshop"},
    ),
    Scene(
        "offered-week-503",
        _O.OFFERED,
        "places are listed, their week answers 503",
        _OFFERED,
        manners={"week": "503"},
    ),
    Scene(
        "offered-week-empty",
        _O.OFFERED,
        "places are listed, their week shows nothing and says nothing",
        _OFFERED,
        manners={"week": "empty"},
    ),
    Scene(
        "taken-meanwhile",
        _O.NONE,
        "places are listed, then « n'est plus disponible à la réservation »",
        _OFFERED,
        manners={"week": "taken"},
    ),
    Scene(
        "card-31-february",
        _O.UNRECOGNISED,
        "places whose date does not exist",
        _OFFERED,
        manners={"bad_date": True},
    ),
    Scene(
        "gone-organisation",
        _O.GONE,
        "sent home: « Organisation non trouvée »",
        stage=Stage.ENTRY,
        manners={"organisation": "unknown"},
    ),
    Scene(
        "home-in-silence",
        _O.UNRECOGNISED,
        "sent home without a word",
        stage=Stage.ENTRY,
        manners={"organisation": "silent"},
    ),
    Scene(
        "address-step",
        _O.UNRECOGNISED,
        "the address is asked for, whatever the link holds",
        stage=Stage.ENTRY,
        manners={"asks_address": True},
    ),
    Scene("too-many-places", _O.UNRECOGNISED, "60 places", fault=_many_places, stage=Stage.ENTRY),
    Scene("too-many-motives", _O.UNRECOGNISED, "20 motives", fault=_many_motives, stage=Stage.ENTRY),
    Scene(
        "all-taken",
        _O.UNRECOGNISED,
        "« tous les créneaux sont pris », a sentence of the pages behind the account",
        fault=_all_taken,
        stage=Stage.ENTRY,
    ),
    Scene(
        "none-quoted",
        _O.UNRECOGNISED,
        "a page that only quotes the no-slot sentence",
        fault=_quoting,
        stage=Stage.ENTRY,
    ),
    Scene(
        "late-none-quoted",
        _O.UNRECOGNISED,
        "the same in place of the verdict",
        fault=_quoting,
        stage=Stage.ANSWER,
    ),
    Scene(
        "redirect-sign-in",
        _O.OBSERVER_FAULT,
        "sent to the account, which the gate refuses",
        fault=_to("/users/sign_in"),
        stage=Stage.ENTRY,
    ),
    Scene(
        "late-redirect-wizard",
        _O.OBSERVER_FAULT,
        "sent into the booking in place of the verdict",
        fault=_to("/creneaux?starts_at=2030-01-01+09%3A00%3A00+%2B0100&motif_id=1"),
        stage=Stage.ANSWER,
    ),
)

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
