"""The pages of RDV Service Public, in the layout of 2021-2024 and in the State's design system.

Sentences, parameters and class names are those of the platform; what surrounds them is ours. Every page
carries words that mislead careless readers: the footer speaks of « aucun créneau », the banner of choosing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import escape
from urllib.parse import urlencode

from guichets.sandbox.families._rdv_service_public_manners import Motive

NONE = "Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé."
UNKNOWN = "Organisation non trouvée"
MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
SHORT_MONTHS = (
    *("janv.", "févr.", "mars", "avr.", "mai", "juin"),
    *("juil.", "août", "sept.", "oct.", "nov.", "déc."),
)
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
WEEK = 7

_FOOTER = (
    "<footer><p>Aide : « Malheureusement, aucun créneau correspondant à votre recherche n'a été trouvé. » "
    "s'affiche quand tout est pris. Sélectionnez un créneau plus tard.</p></footer>"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of one visit shares."""

    site: str
    query: tuple[tuple[str, str], ...]  # of the page's address
    dsfr: bool
    dates: str  # how links write instants

    def link(self, **changes: str) -> str:
        kept = [(name, value) for name, value in self.query if name not in changes]
        return escape(f"/prendre_rdv?{urlencode([*kept, *changes.items()])}")

    def back(self, *names: str) -> str:
        kept = [(name, value) for name, value in self.query if name not in names]
        return escape(f"/prendre_rdv?{urlencode(kept)}")


def machine(instant: datetime, how: str) -> str:
    """An instant as the platform's links may write it."""
    if how == "iso":
        return instant.isoformat(timespec="milliseconds")
    return instant.strftime("%Y-%m-%d %H:%M:%S %z" if how == "offset" else "%Y-%m-%d %H:%M:%S")


def human(instant: datetime) -> str:
    day = f"{DAYS[instant.weekday()]} {instant.day:02} {MONTHS[instant.month - 1]} {instant.year}"
    return f"{day} à {instant:%H}h{instant:%M}"


def services_page(frame: Frame, services: Mapping[int, str]) -> str:
    cards = "".join(
        _card(frame, name, frame.link(service_id=str(number))) for number, name in services.items()
    )
    return _page(frame, f"<h2>Sélectionnez le service avec qui vous voulez prendre un RDV&nbsp;:</h2>{cards}")


def motives_page(frame: Frame, motives: Sequence[Motive]) -> str:
    cards = "".join(
        _card(
            frame,
            motive.label,
            frame.link(motif_name_with_location_type=motive.slug),
            ("Par téléphone" if motive.step == "organisation" else "Sur place", f"Service {motive.service}"),
        )
        for motive in motives
    )
    return _page(frame, f"<h3>Sélectionnez le motif de votre RDV&nbsp;:</h3>{cards}")


def places_page(
    frame: Frame, motive: Motive, first: Mapping[str, datetime], *, bad_date: bool = False
) -> str:
    """The places that have a slot, each with its first date."""
    name = "lieu_id" if motive.step == "lieu" else "user_selected_organisation_id"
    heading = (
        "Sélectionnez un lieu de RDV&nbsp;:"
        if motive.step == "lieu"
        else "Sélectionnez la structure avec laquelle prendre RDV:"
    )
    count = f"{len(first)} lieux sont disponibles" if len(first) > 1 else "1 lieu est disponible"
    cards = []
    for place, starts in first.items():
        link = frame.link(**{name: place, "date": machine(starts, frame.dates)})
        words = "mardi 31 février 2026 à 09h00" if bad_date else human(starts)
        cards.append(_place(frame, motive.places[place], link, words))
    return _page(frame, f"{_recap(frame, motive)}<h3>{heading}</h3><p>{count}</p>{''.join(cards)}")


def many_places_page(frame: Frame, count: int) -> str:
    cards = "".join(
        _place(frame, f"Lieu {place}", frame.link(lieu_id=str(place)), "lundi 01 janvier 2029 à 09h00")
        for place in range(1, count + 1)
    )
    return _page(frame, f"<h3>Sélectionnez un lieu de RDV&nbsp;:</h3>{cards}")


def week_page(
    frame: Frame,
    motive: Motive,
    place: str,
    begin: date,
    slots: Sequence[datetime],
    *,
    after: datetime | None = None,  # the next free slot, when the week has none
    closed_from: date | None = None,
) -> str:
    """Seven days from ``begin``."""
    columns = []
    for ahead in range(WEEK):
        day = begin + timedelta(days=ahead)
        links = "".join(_slot(frame, motive, slot) for slot in slots if slot.date() == day)
        if closed_from is not None and day >= closed_from:
            links = "<p>Date fermée à la reservation</p>"
        elif not links and frame.dsfr:
            links = "<p>Pas de créneau disponible</p>"
        head = f"<p><strong>{DAYS[day.weekday()]}</strong><br>{day.day} {SHORT_MONTHS[day.month - 1]}</p>"
        kind = "fr-col-6 fr-col-md-3 fr-col-lg" if frame.dsfr else "col-6 col-md-3 col-lg"
        columns.append(f'<div class="{kind}">{head}{links}</div>')
    overlay = ""
    if after is not None:
        overlay = (
            f'<div class="bg-overlay"><a class="btn" href="{frame.link(date=machine(after, frame.dates))}">'
            f"Prochaine disponibilité le<br><strong>{human(after)}</strong></a></div>"
        )
    following = ""
    if closed_from is None or closed_from >= begin + timedelta(days=WEEK):
        link = frame.link(date=(begin + timedelta(days=WEEK)).isoformat())
        following = f'<a href="{link}" aria-label="semaine suivante">&gt;</a>'
    previous = frame.link(date=(begin - timedelta(days=WEEK)).isoformat())
    body = (
        f"{_recap(frame, motive)}<h3>Sélectionnez un créneau :</h3>"
        f'<div id="creneaux-lieu-{place}"><a href="{previous}" aria-label="Semaine précédente">&lt;</a>'
        f"{''.join(columns)}{overlay}{following}</div>"
    )
    return _page(frame, body)


def workshops_page(frame: Frame, motive: Motive) -> str:
    return _page(
        frame,
        f"{_recap(frame, motive)}<h3>Inscrivez-vous à l'atelier de votre choix :</h3>"
        '<div class="card"><div class="card-header">Atelier</div><div class="card-footer">'
        '<a href="/users/rdvs/1/participations/new">S\'inscrire</a></div></div>',
    )


def taken_page(frame: Frame, motive: Motive, place: str) -> str:
    return _page(
        frame,
        f"{_recap(frame, motive)}<h3>Sélectionnez un créneau :</h3>"
        f'<div class="alert alert-warning">Le motif <b>{escape(motive.label)}</b> n\'est plus disponible à '
        f"la réservation à <b>{escape(motive.places[place])}</b></div>",
    )


def none_page(frame: Frame, motive: Motive | None) -> str:
    card = f'<div class="card"><div class="card-body"><div class="font-weight-bold">{NONE}</div></div></div>'
    return _page(frame, _recap(frame, motive) + card)


def address_page(frame: Frame, flash: str = "") -> str:
    """The search by address; also the home page."""
    word = f'<div class="alert alert-danger">{flash}</div>' if flash else ""
    return _page(
        frame,
        f"{word}<h2>Prenez rendez-vous en ligne</h2>"
        '<form id="search_form" action="/prendre_rdv" method="get">'
        '<input type="hidden" name="departement" value=""><input type="hidden" name="city_code" value="">'
        '<label for="search_where">Votre adresse</label><input id="search_where" name="address">'
        '<button id="search_submit" disabled>Rechercher</button></form>',
    )


def all_taken_page(frame: Frame) -> str:
    """A sentence of the pages behind the account: nothing of the public search."""
    return _page(frame, "<p>Malheureusement, tous les créneaux sont pris.</p>")


def quoting_page(frame: Frame) -> str:
    """A page of the platform that only speaks of having no slot."""
    return _page(frame, f"<h2>Aide</h2><p>Le message « {NONE} » signifie que tout est pris.</p>")


def forbidden_page(frame: Frame) -> str:
    return _page(frame, "<h2>Connexion</h2><p>Vous devez vous connecter pour continuer.</p>")


def _recap(frame: Frame, motive: Motive | None) -> str:
    if motive is None:
        return ""
    back = frame.back("motif_name_with_location_type", "lieu_id", "date")
    change = f'<a href="{back}" title="Modifier le motif">modifier</a>'
    return f"<ul><li>Motif : {escape(motive.label)} {change}</li></ul>"


def _slot(frame: Frame, motive: Motive, starts: datetime) -> str:
    words = f"{DAYS[starts.weekday()]} {starts.day} {SHORT_MONTHS[starts.month - 1]} à {starts:%H:%M}"
    query = {**dict(frame.query), "motif_id": "7", "starts_at": machine(starts, frame.dates)}
    kind = "fr-btn fr-btn--tertiary" if frame.dsfr else "btn btn-light"
    return (
        f'<a class="{kind}" aria-label="Choisir le créneau du {words}" '
        f'href="{escape(f"/users/rdv_wizard_step/new?{urlencode(query)}")}">{starts:%H:%M}</a>'
    )


def _card(frame: Frame, title: str, link: str, subtitles: Sequence[str] = ()) -> str:
    if frame.dsfr:
        return (
            f'<li class="fr-card"><div class="fr-card__body"><div class="fr-card__title"><a href="{link}">'
            f"{escape(title)}</a></div></div></li>"
        )
    extra = "".join(f'<div class="card-subtitle">{escape(text)}</div>' for text in subtitles)
    return (
        f'<div class="card"><a class="stretched-link" href="{link}">'
        f'<h3 class="card-title">{escape(title)}</h3>{extra}</a></div>'
    )


def _place(frame: Frame, name: str, link: str, words: str) -> str:
    if frame.dsfr:
        return (
            f'<li class="fr-card"><div class="fr-card__body"><div class="fr-card__title"><a href="{link}">'
            f"{escape(name)}</a></div><p>Prochaine disponibilité le <strong>{words}</strong></p></div></li>"
        )
    return (
        '<div class="card mb-3"><div class="card-body"><div class="row"><div class="col-md">'
        f'<h4 class="card-title">{escape(name)}</h4><div>Préfecture</div>'
        '<div class="card-subtitle">1 rue de la Préfecture</div></div>'
        f'<div class="col-md"><a class="d-block stretched-link" href="{link}">Prochaine disponibilité le<br>'
        f"<strong>{words}</strong></a></div></div></div></div>"
    )


def _page(frame: Frame, body: str) -> str:
    return (
        '<!DOCTYPE html><html lang="fr"><head><meta charset="utf-8"><title>RDV Service Public</title></head>'
        '<body><header><img src="/logo.svg" alt="Accueil - RDV Service Public">'
        '<a href="/agents/sign_in">Connexion Agent</a> <a href="/users/sign_in">Connexion Usager</a></header>'
        f"<main><h1>Prenez rendez-vous en ligne - {escape(frame.site)}</h1>{body}</main>{_FOOTER}"
        "</body></html>"
    )
