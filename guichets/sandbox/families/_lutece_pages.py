"""The pages of Lutece's appointment module, in French and in English.

Names, classes, sentences and scripts are those of the portal; what surrounds them is ours. Every page carries
words that mislead careless readers: the footer quotes the no-slot sentence, a comment holds an old script.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlencode

PORTAL = "jsp/site/Portal.jsp"
NONE = (
    "Aucun rendez-vous n'est actuellement disponible. "
    "De nouveaux rendez-vous seront proposés prochainement sur cette page."
)
NONE_CALENDAR = "Aucun créneau disponible n'a été trouvé. Veuillez réiterer votre recherche ultérieurement."
NONE_FALLBACK = "Aucun créneau disponible"
INACTIVE = "Le formulaire n'est pas actif"
EXPIRED = "Le formulaire n'est plus valide"
HELD = "Pas de place disponible pour le moment"
MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
ENGLISH_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_COMMENT = "<!-- <script>var events = [{className: '', start: '2020-01-01T09:00'}];</script> -->"
_FOOTER = (
    "<footer><p>Aide : « Aucun rendez-vous n'est actuellement disponible. » s'affiche quand tout est pris. "
    "Accès libre.</p></footer>"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One place of a search, as its page shows it."""

    form: str
    name: str
    shown: Sequence[datetime]
    more: int  # slots that are not shown
    free: int
    total: int


def search_page(
    listed: Sequence[Listed], *, keys: Mapping[str, str], english: bool = False, script: str = "exact"
) -> str:
    """The search: places with their next slots, and the script that counts. ``keys``: its names of forms."""
    heading = "First available appointments" if english else "Premiers rendez-vous disponibles"
    blocks = "".join(_block(place, english) for place in listed)
    if blocks:
        body = f'<div class="nextAvailableAppointments">{blocks}</div>'
    else:
        words = "No appointment is available at the moment." if english else NONE
        body = f'<h3 class="text-warning">{escape(words, quote=False)}</h3>'
    return _page(f'<h3 id="rdv_liste">{heading}</h3>{body}', free_places(listed, keys, script), english)


def free_places(listed: Sequence[Listed], keys: Mapping[str, str], script: str = "exact") -> str:
    """The script that counts free places: whole, malformed, or missing."""
    if script == "missing":
        return ""
    counts = {keys[place.form]: {"free": place.free, "total": place.total} for place in listed}
    text = json.dumps(counts)
    if script == "malformed":
        text = text.replace("}", "", 1)
    return (
        "<script>window.lutece_appointment_solrsearchapp_points = [];\n"
        f"window.lutece_appointment_solrsearchapp_freePlaces = {text}\n"
        "$(document).ready(function() { map(); });</script>"
    )


def calendar_page(
    form: str,
    free: Sequence[datetime],
    full: Sequence[datetime],
    shut: Sequence[datetime],
    *,
    message: str = "",
    capacity: int = 1,
    step_minutes: int = 15,
) -> str:
    """A calendar: every slot stands in the script, by its class."""
    kinds = {
        **dict.fromkeys(full, "slot-full"),
        **dict.fromkeys(shut, "slot-closed"),
        **dict.fromkeys(free, ""),
    }
    titles = {"": "Réserver", "slot-full": "Complet", "slot-closed": "Fermé"}
    events = []
    for starts in sorted(kinds):
        ends = starts + timedelta(minutes=step_minutes)
        begin, end = (f"{instant:%Y-%m-%dT%H:%M}" for instant in (starts, ends))
        kind = kinds[starts]
        events.append(
            f"\t\t{{\n\t\t\ttitle : '{titles[kind]}',\n\t\t\tclassName : '{kind}',\n"
            f"\t\t\tstart : '{begin}',\n\t\t\tend : '{end}',\n\t\t\tid : '0',\n"
            f"\t\t\turl : eventUrl + '&id_form={form}&id_slot=0&starting_date_time={begin}"
            f"&ending_date_time={end}&max_capacity={capacity}&anchor=step3',\n\t\t}},\n"
        )
    script = (
        f"<script>var eventUrl = '{PORTAL}?page=appointment&view=getViewAppointmentForm';\n"
        f"var dow = [ 1, 2, 3, ];\nvar events = [\n{''.join(events)}\t];\n"
        "$(document).ready(function() { $('#calendar').fullCalendar({events: events}); });</script>"
    )
    box = _box(message) if message else ""
    return _page(f'<h2 class="stepTitle">Choisissez un créneau</h2>{box}<div id="calendar"></div>', script)


def _box(words: str) -> str:
    return f'<div class="alert alert-danger" id="messages_infos_div">{escape(words, quote=False)}</div>'


def message_page(words: str) -> str:
    """A page of the portal that says one thing."""
    return _page(
        f'<div class="alert alert-danger" id="messages_infos_div">{escape(words, quote=False)}</div>', ""
    )


def account_page() -> str:
    return (
        '<!DOCTYPE html><html lang="fr"><head><title>Mon Paris</title></head><body><h1>Connexion</h1>'
        '<form id="form-login" action="/login" method="post"><input id="username" name="username">'
        '<input id="password" name="password" type="password"></form></body></html>'
    )


def form_page() -> str:
    """What stands beyond a slot's link: the identity form."""
    return _page("<h2>Saisissez vos informations</h2><p>Votre créneau est réservé dix minutes.</p>", "")


def quoting_page() -> str:
    """A page of the portal that only speaks of having nothing."""
    words = escape(NONE, quote=False)
    return _page(f"<h2>Aide</h2><p>Le message « {words} » signifie que tout est pris.</p>", "")


def _block(place: Listed, english: bool) -> str:
    items = "".join(
        f'<li><a title="{_words(starts, english)}" href="{_slot_link(place.form, starts)}">'
        f"{_words(starts, english)}</a></li>"
        for starts in place.shown
    )
    more = f"<p>{place.more} autre(s) créneau(x) disponible(s).</p>" if place.more else ""
    query = {"page": "appointment", "view": "getViewAppointmentCalendar", "id_form": place.form}
    calendar = escape(f"{PORTAL}?{urlencode(query)}")
    return (
        f"<div><div><h4>{escape(place.name, quote=False)}</h4></div><div><p>Adresse : 1 place du Marché</p>"
        f"<p>Prochains créneaux disponibles :</p><ul>{items}</ul>{more}"
        f'<a class="btn" href="{calendar}">Voir le calendrier complet</a></div></div>'
    )


def _slot_link(form: str, starts: datetime) -> str:
    query = {
        "page": "appointment",
        "view": "getViewAppointmentForm",
        "id_form": form,
        "starting_date_time": f"{starts:%Y-%m-%dT%H:%M}",
        "anchor": "step3",
    }
    return escape(f"{PORTAL}?{urlencode(query)}")


def _words(starts: datetime, english: bool) -> str:
    months = ENGLISH_MONTHS if english else MONTHS
    return f"{starts.day} {months[starts.month - 1]} {starts.year} {starts:%H:%M}"


def _page(body: str, script: str, english: bool = False) -> str:
    lang = "en" if english else "fr"
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>Rendez-vous</title>'
        '<base href="https://www.example.org/rdvtitres/"></head><body>'
        f'<nav><a href="{PORTAL}?page=appointment&amp;view=getViewFormList">Accueil</a></nav>{_COMMENT}'
        f"<main><h1>Rendez-vous</h1>{body}</main>{_FOOTER}{script}</body></html>"
    )
