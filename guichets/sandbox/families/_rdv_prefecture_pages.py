"""The pages of RDV-Préfecture: Vue templates that no script has rendered, and the JSON blob after them.

Names, identifiers and sentences are those the dossier gives; what surrounds them is ours. Pages carry the
words that mislead careless readers: the no-slot sentence stands in the conditions and in the footer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from html import escape
from random import Random
from typing import Any

_SENTENCES = (
    "Ce rendez-vous est réservé aux personnes qui habitent le département depuis plus de trois mois.",
    "Tout rendez-vous pris pour une autre démarche sera annulé sans préavis.",
    "Présentez-vous seul, dix minutes avant l'heure, avec votre convocation imprimée.",
    "Les timbres fiscaux s'achètent en ligne ou chez un buraliste avant le rendez-vous.",
    "Si la page affiche « Aucun créneau disponible », réessayez ultérieurement : les créneaux sont mis "
    "en ligne chaque semaine.",
    "Un seul rendez-vous par personne : les doublons sont supprimés chaque soir.",
)
_DOCUMENTS = (
    "passeport en cours de validité",
    "trois photographies d'identité récentes",
    "justificatif de domicile de moins de six mois",
    "ancien titre de séjour",
    "attestation d'hébergement et pièce d'identité de l'hébergeant",
    "contrat de travail et bulletins de salaire",
)
_WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")


@dataclass(frozen=True, slots=True)
class Form:
    """What every page of one démarche shares."""

    site: str  # name of the département
    label: str
    number: int
    era: str  # 1: BotDetect, 2: CaptchEtat v2
    version: str  # of the framework
    dates: str  # iso, or french
    seed: str  # of what looks random in a page, the same for a desk and a minute

    @property
    def base(self) -> str:
        return f"/rdvpref/reservation/demarche/{self.number}/"

    @property
    def context(self) -> str:
        """A view context, as the framework writes them."""
        digest = blake2b(self.seed.encode(), digest_size=32).hexdigest()
        rest = digest[32:]
        return f"{digest[:32]}${rest[:8]}-{rest[8:12]}-4{rest[13:16]}-8{rest[17:20]}-{rest[20:32]}"

    @property
    def token(self) -> str:
        return blake2b(f"{self.seed} token".encode(), digest_size=24).hexdigest()

    def day(self, day: date | None) -> str:
        if day is None:
            return ""
        return day.isoformat() if self.dates == "iso" else f"{day:%d/%m/%Y}"

    def instant(self, at: datetime) -> str:
        return f"{at:%Y-%m-%dT%H:%M}" if self.dates == "iso" else f"{at:%d/%m/%Y %H:%M}"


@dataclass(frozen=True, slots=True)
class Week:
    """What creneau/ shows: one week, and the first day with something free."""

    monday: date
    earliest: date
    last: date
    first_free: date | None
    slots: tuple[datetime, ...] = ()  # of that week, in local time
    next_release: datetime | None = None  # local
    last_release: datetime | None = None


def landing_page(form: Form, *, link: bool = True, message: str = "") -> str:
    """Step 1: what do you want to do."""
    button = (
        f'<q-btn type="a" color="primary" href="{form.base}cgu/" label="Prendre un rendez-vous"></q-btn>'
        if link
        else ""
    )
    inside = (
        f"<h1>{escape(form.label, quote=False)}</h1><p>Que souhaitez-vous faire ?</p>{button}"
        '<q-btn type="a" outline href="/rdvpref/login/" label="Gérer mes rendez-vous"></q-btn>'
    )
    return _page(form, "Accueil", 1, inside, {}, message)


def conditions_page(form: Form, *, conditions: str, captcha: bool = True, error: str = "") -> str:
    """Step 2: the préfecture's conditions, then the captcha."""
    fate = Random(conditions)
    sentences = fate.sample(_SENTENCES, 4)
    documents = fate.sample(_DOCUMENTS, 4)
    text = "".join(f"<p>{sentence}</p>" for sentence in sentences)
    text += "<h3>Pièces à apporter</h3><ul>" + "".join(f"<li>{one}</li>" for one in documents) + "</ul>"
    wrong = (
        '<p id="text-input-captcha-desc-error">Le code de sécurité saisi est incorrect</p>'
        if error == "invalidCaptcha"
        else ""
    )
    endpoint = "captcha" if form.era == "1" else "captchetat/v2"
    gate = (
        f'<rdv-captchetat endpoint-url="https://api.piste.gouv.fr/piste/{endpoint}/simple-captcha-endpoint" '
        f'captcha-style-name="captchaFR" token="{form.token}"></rdv-captchetat>{wrong}'
        "<p>Recopiez le code de sécurité pour continuer.</p>"
        '<input type="hidden" name="CTX" v-bind:value="vueData.CTX">'
        '<q-btn type="submit" color="primary" formaction="_validerCaptcha" label="Suivant"></q-btn>'
        if captcha
        else '<q-btn type="submit" color="primary" formaction="_suivant" label="Suivant"></q-btn>'
    )
    inside = (
        f"<h2>Constituez votre dossier</h2><section>{text}</section>"
        f'<form method="post" action="#" autocomplete="off">{gate}</form>'
    )
    return _page(form, "Constituez votre dossier", 2, inside, {})


def slots_page(form: Form, week: Week, *, guarded: bool = True) -> str:
    """Step 3. ``guarded``: both headings stand in the template, and a script chooses."""
    free = week.first_free is not None
    headings = (
        '<h2 v-if="vueData.isDisplayCalendar">Choisissez votre créneau</h2>'
        "<h2 v-else>Aucun créneau disponible</h2>"
        if guarded
        else f"<h2>{'Choisissez votre créneau' if free else 'Aucun créneau disponible'}</h2>"
    )
    calendar = (
        '<rdv-choix-tranche v-if="vueData.isDisplayCalendar" :tranches="vueData.tranches">'
        "</rdv-choix-tranche>"
    )
    data: dict[str, Any] = {
        "critere": {
            "premierJour": form.day(week.monday),
            "dateMin": form.day(week.earliest),
            "minutesMin": 0,
            "dateMax": form.day(week.last),
            "datePremiereDispo": form.day(week.first_free),
        },
        "tranches": [
            {
                "trhId": str(100_000 + place),
                "dateLocale": form.day(slot.date()),
                "minutesDebut": slot.hour * 60 + slot.minute,
            }
            for place, slot in enumerate(week.slots)
        ],
        "isDisplayCalendar": free,
        "prochainePub": _release(form, week.next_release),
        "precedentePub": _release(form, week.last_release),
    }
    submit = '<q-btn type="submit" color="primary" formaction="_choisirBloc" label="Suivant"></q-btn>'
    inside = f'{headings}<form method="post" action="#">{calendar}{submit}</form>'
    return _page(form, "Choisissez votre créneau", 3, inside, data)


def rendered_slots_page(form: Form, week: Week) -> str:
    """Step 3 as a browser's script leaves it, saved without scripts."""
    free = week.first_free is not None
    days: dict[date, list[datetime]] = {}
    for slot in week.slots:
        days.setdefault(slot.date(), []).append(slot)
    columns = "".join(
        '<div class="column col items-center blocCreneauSelection">'
        f'<h3 class="celulleHeader text-bold text-center">{_WEEKDAYS[day.weekday()]}<br>{day:%d/%m}</h3><ul>'
        + "".join(
            '<li class="row cellule justify-center radio-card">'
            f'<input type="radio" name="trhId" id="trhId_{slot:%H%M}" data-value="{slot:%H%M}">'
            f'<label class="fr-label" for="trhId_{slot:%H%M}">{slot:%Hh%M}</label></li>'
            for slot in slots
        )
        + "</ul></div>"
        for day, slots in sorted(days.items())
    )
    if free and not columns:
        assert week.first_free is not None
        columns = (
            "<p>Aucun créneau disponible sur cette semaine</p>"
            f'<button class="q-btn">Prochaine disponibilité le {week.first_free:%d/%m/%Y}</button>'
        )
    heading = "Choisissez votre créneau" if free else "Aucun créneau disponible"
    retry = "" if free else '<div class="text-center q-pa-md">Veuillez réessayer ultérieurement.</div>'
    lines = _line("Prochaine mise en ligne de nouveaux rendez-vous", week.next_release)
    lines += _line("Dernière mise en ligne de rendez-vous", week.last_release)
    return (
        '<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>Choisissez votre créneau</title>'
        f'</head><body><div id="page"><main id="contenu"><h2>{heading}</h2>{retry}'
        f'<div class="row q-gutter-xs">{columns}</div>{lines}'
        f'<a href="https://www.rdv-prefecture.interieur.gouv.fr{form.base}">Retour</a>'
        "</main></div></body></html>"
    )


def forbidden_page(form: Form) -> str:
    """Something plausible for the step no observer may reach."""
    inside = '<h2>Vos informations</h2><form method="post"><input name="nom"><input name="email"></form>'
    return _page(form, "Vos informations", 4, inside, {})


def _release(form: Form, at: datetime | None) -> dict[str, str] | None:
    if at is None:
        return None
    monday = at.date() + timedelta(days=14 - at.weekday())
    return {
        "dateMin": form.day(monday),
        "dateMax": form.day(monday + timedelta(days=4)),
        "instantPublication": form.instant(at),
    }


def _line(words: str, at: datetime | None) -> str:
    if at is None:
        return ""
    monday = at.date() + timedelta(days=14 - at.weekday())
    return (
        '<div class="text-center q-pa-md">'
        f'<span class="fr-text--italic fr-text--bold">{words} : le {at:%d/%m/%Y} à {at:%H:%M}</span> '
        f'<span class="fr-text--italic">pour des créneaux de la semaine du {monday:%d/%m/%Y}</span></div>'
    )


def _page(form: Form, title: str, step: int, inside: str, data: dict[str, Any], message: str = "") -> str:
    blob = {
        "vueData": {"CTX": form.context, **data},
        "componentStates": {"pendingAction": {"actionNames": []}},
        "uiMessageStack": {
            "globalErrors": [],
            "globalWarnings": [message] if message else [],
            "globalInfos": [],
            "globalSuccess": [],
            "objectFieldErrors": {},
        },
        "authz": {},
        "vuiLang": "fr",
    }
    static = "/rdvpref/vertigo-ui/static"
    libraries = f"{static}/3rdParty/cdn.jsdelivr.net/npm"
    return (
        '<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8">'
        f"<title>{title} - Rendez-vous en préfecture</title>"
        f'<link rel="stylesheet" href="{libraries}/quasar@2.18.1/dist/quasar.prod.css">'
        f'<script src="{libraries}/vue@3.5.13/dist/vue.global.prod.js"></script>'
        f'<script src="{static}/js/vertigo-ui.umd.js?v={form.version}"></script></head><body>'
        '<div id="page" v-cloak><header class="fr-header"><p>République française</p></header>'
        '<main id="contenu" role="main"><section><div><div>'
        f'<div class="fr-stepper"><p class="fr-stepper__state">Étape {step} sur 6</p></div>'
        '<div class="fr-alert fr-alert--warning" v-for="one in uiMessageStack.globalWarnings">{{ one }}</div>'
        f"{inside}</div></div></section></main>"
        f'<footer class="fr-footer"><p>Préfecture ({escape(form.site, quote=False)}) - '
        "Aucun créneau disponible ? Revenez plus tard.</p></footer></div>"
        f'<script id="vui-init-data" type="application/json">{json.dumps(blob, ensure_ascii=False)}</script>'
        "</body></html>"
    )


def week_of(monday: date, slots: Sequence[datetime]) -> tuple[datetime, ...]:
    """The slots of the seven days from ``monday``."""
    return tuple(slot for slot in slots if monday <= slot.date() < monday + timedelta(days=7))
