"""Démarche numérique, the gate before the appointment, played.

Address   /commencer/<name>; closed ones send to /fermeture/<name>, replaced ones to another name, unknown
          ones to / with a sentence. /preremplir/<name>/schema describes those that are open data.
Lives     a desk is open, but for the weeks in which its life is closed; slots are never told.
Forbidden the links of the page, any query (a field in it would make a file), whatever is posted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from random import Random, SystemRandom
from types import MappingProxyType

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import Reply, page, redirect
from guichets.sandbox.scenes import COMMON, Occasion, Scene, Stage, everyone
from guichets.sandbox.world import monday_of, week_number

UNKNOWN = "La démarche n’existe pas"
_PATH = re.compile(
    r"/(?P<kind>commencer|fermeture|preremplir)/(?P<name>[a-z-]+?-(?P<number>\d{1,9})(?P<end>[a-z-]*))(?P<rest>/.*)?"
)
_SESSIONS = SystemRandom()
_JSON = ("Content-Type", "application/json; charset=utf-8")
_TEXTS = (
    "Les rendez-vous se prennent désormais sur le site de la préfecture.\nN'envoyez plus de dossier ici.",
    "La campagne est terminée. Les dossiers déposés sont instruits dans l'ordre de leur arrivée.",
    "",
)


@dataclass(frozen=True, slots=True)
class Manners:
    """One procedure's behaviour."""

    spelling: bool = False  # the catalogue's name is an old one: 301 to today's
    replaced: str = ""  # 302 to another procedure, which is open or closed
    known: bool = True  # False: 302 to / and its sentence
    says_unknown: bool = True  # whether / says so
    text: int = 0  # which words the administration left on the closed page
    described: str = "yes"  # schema: yes, no (404), html, broken

    def __post_init__(self) -> None:
        for name, allowed in (
            ("replaced", ("", "open", "closed")),
            ("described", ("yes", "no", "html", "broken")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is not one of {', '.join(map(repr, allowed))}"
                )
        if self.text not in range(len(_TEXTS)):
            raise ValueError(f"text={self.text!r} is not one of {', '.join(map(str, range(len(_TEXTS))))}")


def _to_log_in(occasion: Occasion) -> Reply:
    return redirect("/users/sign_in")


_O = Outcome
_OWN: tuple[Scene, ...] = (
    Scene("open", _O.OPEN, "the callout and its links", everyone(_O.NONE)),
    Scene(
        "open-old-name",
        _O.OPEN,
        "the same after a 301 to today's name",
        everyone(_O.NONE),
        manners={"spelling": True},
    ),
    Scene(
        "open-not-described",
        _O.OPEN,
        "no open data: the schema answers 404",
        everyone(_O.NONE),
        manners={"described": "no"},
    ),
    Scene(
        "open-description-html",
        _O.OPEN,
        "the schema answers a page",
        everyone(_O.NONE),
        manners={"described": "html"},
    ),
    Scene(
        "open-description-broken",
        _O.OPEN,
        "the schema answers half an object",
        everyone(_O.NONE),
        manners={"described": "broken"},
    ),
    Scene(
        "closed",
        _O.CLOSED,
        "302 to the closing, its date and the administration's words",
        everyone(_O.CLOSED),
    ),
    Scene(
        "closed-without-words",
        _O.CLOSED,
        "the same, the administration says nothing",
        everyone(_O.CLOSED),
        manners={"text": 2},
    ),
    Scene("replaced", _O.MOVED, "302 to another procedure, which is open", manners={"replaced": "open"}),
    Scene("replaced-and-closed", _O.MOVED, "the same, closed in its turn", manners={"replaced": "closed"}),
    Scene("unknown", _O.GONE, "302 to /, which says so", manners={"known": False}),
    Scene(
        "unknown-unsaid",
        _O.UNRECOGNISED,
        "302 to /, which says nothing",
        manners={"known": False, "says_unknown": False},
    ),
    Scene(
        "redirect-log-in",
        _O.OBSERVER_FAULT,
        "sent to the log-in, which the gate refuses",
        fault=_to_log_in,
        stage=Stage.ENTRY,
    ),
)

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)


class DemarcheNumerique:
    """The family's part of the sandbox; holds no state of its own."""

    name = "demarche_numerique"
    cookie = "_ds_session"
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "status-503"
    realistic: Mapping[str, float] = MappingProxyType(
        {"closed": 15, "replaced": 4, "unknown": 3, "open-old-name": 2}
    )

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(10_000, 140_000)
        while number in taken:
            number = fate.randint(10_000, 140_000)
        taken.add(number)
        manners = Manners(text=fate.randrange(len(_TEXTS)), described=fate.choice(("yes", "yes", "no")))
        return Draft(number, {str(number): title}, manners)

    def new_session(self) -> str:
        return f"{_SESSIONS.getrandbits(160):040x}"

    def entry(self, desk: DeskPlan) -> str:
        return f"/commencer/{_name(desk)}"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (f"{self.entry(desk)}$", f"/preremplir/{_name(desk)}/")

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        """Open or closed, whatever is free."""
        manners: Manners = situation.manners
        if manners.replaced:
            return Outcome.MOVED
        if not manners.known:
            return Outcome.GONE if manners.says_unknown else Outcome.UNRECOGNISED
        return Outcome.CLOSED if counter.outcome is Outcome.CLOSED else Outcome.OPEN

    def shown(self, situation: Situation, counter: CounterNow) -> Shown | None:
        return None

    def tripwire(self, call: Call) -> str | None:
        if call.method not in {"GET", "HEAD"}:
            return f"method-{call.method}"
        for fragment in ("sign_up", "sign_in", "connect", "dossier", "users", "graphql"):
            if fragment in call.path:
                return fragment
        if call.query and call.path.startswith("/commencer"):
            return "query"
        return None

    def answer(self, call: Call, play: Play) -> Answer | None:
        if call.path == "/":
            return _root(call, play)
        found = _PATH.fullmatch(call.path)
        desk = play.by_number.get((call.host, int(found["number"]))) if found else None
        if found is None or desk is None:
            return None
        visit = play.visit(call.session, desk)
        if visit is None or found["kind"] == "commencer":
            visit = play.begin(call.session, desk)
        situation = play.situation(desk, visit)
        if found["kind"] == "preremplir":
            return Answer(_described(desk, situation), desk, situation)
        if found["rest"]:
            return Answer(page(_root_page(said=False)), desk, situation)
        return _gate(desk, situation, found["name"], found["end"], is_closing=found["kind"] == "fermeture")


def _root(call: Call, play: Play) -> Answer:
    """The home page, which says to this session what became of the procedure it asked for last."""
    for desk in play.desks.values():
        visit = play.visit(call.session, desk) if desk.host == call.host else None
        if visit is not None:
            situation = play.situation(desk, visit)
            manners: Manners = situation.manners
            said = not manners.known and manners.says_unknown
            return Answer(page(_root_page(said=said)), desk, situation, Stage.ANSWER)
    return Answer(page(_root_page(said=False)))


def _gate(desk: DeskPlan, situation: Situation, name: str, end: str, *, is_closing: bool) -> Answer:
    manners: Manners = situation.manners
    own = _name(desk)
    if not manners.known:
        return Answer(redirect("/"), desk, situation)
    if manners.replaced and end != "-suite":
        return Answer(redirect(f"/commencer/{own}-suite"), desk, situation)
    if manners.spelling and end != "-bis":
        return Answer(redirect(f"/commencer/{own}-bis", 301), desk, situation)
    closed = (
        manners.replaced == "closed" if manners.replaced else situation.counters[0].outcome is Outcome.CLOSED
    )
    if closed and not is_closing:
        return Answer(redirect(f"/fermeture/{name}"), desk, situation)
    if not closed and is_closing:
        return Answer(redirect(f"/commencer/{name}"), desk, situation)
    text = _closed_page(desk, situation) if closed else _open_page(desk, name)
    return Answer(page(text), desk, situation, Stage.ANSWER)


def _name(desk: DeskPlan) -> str:
    return f"demande-de-rendez-vous-{desk.draft.number}"


def _open_page(desk: DeskPlan, name: str) -> str:
    label = escape(desk.label, quote=False)
    return _page(
        label,
        f'<h1>{label}</h1><div class="fr-callout"><h2 class="fr-callout__title">Commencer la démarche</h2>'
        f'<a href="/commencer/{name}/france_connect">S’identifier avec FranceConnect</a>'
        f'<a class="fr-btn" href="/commencer/{name}/sign_up">Créer un compte</a>'
        f'<a class="fr-btn" href="/commencer/{name}/sign_in">J’ai déjà un compte</a></div>'
        "<h2>Quelles sont les pièces à fournir ?</h2><p>La démarche n'est close qu'en décembre.</p>",
    )


def _closed_page(desk: DeskPlan, situation: Situation) -> str:
    manners: Manners = situation.manners
    label = escape(desk.label, quote=False)
    since = date(2025, 1, 1) + timedelta(days=desk.draft.number % 300)
    words = _TEXTS[manners.text].replace("\n", "<br>")
    return _page(label, f"<h1>La démarche {label} est close depuis le {since:%d/%m/%Y}</h1><p>{words}</p>")


def _root_page(*, said: bool) -> str:
    flash = f'<div class="alert alert-danger" role="alert">{UNKNOWN}</div>' if said else ""
    return _page("Démarche numérique", f"{flash}<h1>Un outil simple pour vos démarches</h1>")


def _page(title: str, inside: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        '<header class="fr-header"><a href="/users/sign_in">Se connecter</a></header>'
        f'<main id="contenu"><div class="fr-container">{inside}</div></main>'
        "<footer><p>Une démarche n'existe pas ? Elle est close depuis le début. Accessibilité</p></footer>"
        "</body></html>"
    )


def _described(desk: DeskPlan, situation: Situation) -> Reply:
    manners: Manners = situation.manners
    if manners.described == "html":
        return page(_root_page(said=False))
    closed = situation.counters[0].outcome is Outcome.CLOSED
    if manners.described == "no" or closed or not manners.known:
        return Reply(json.dumps({"error": "procedure is not found"}).encode(), 404, (_JSON,))
    told = {
        "id": "UHJvY2VkdXJl",
        "number": desk.draft.number,
        "title": desk.label,
        "state": "publiee",
        "datePublication": "2025-03-04T09:00:00+01:00",
        "dateDerniereModification": f"{monday_of(week_number(situation.at, desk.zone))}T08:00:00+01:00",
        "dateFermeture": None,
        "revision": {"champDescriptors": [{"label": "Nom", "required": True}]},
    }
    text = json.dumps(told, ensure_ascii=False)
    return Reply((text[: len(text) // 2] if manners.described == "broken" else text).encode(), 200, (_JSON,))


FAMILY = DemarcheNumerique()
