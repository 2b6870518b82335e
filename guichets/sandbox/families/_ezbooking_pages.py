"""The pages of an EZBooking site, in its old layout and in the State's design system (2023 on).

Names and identifiers are those seen on real pages; what surrounds them is ours. Every page carries the
words that mislead careless readers: « ultérieurement », « libre » and half of the no-slot sentence stand
in the footer, in the legend of the calendar and in the information text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from zoneinfo import ZoneInfo

from guichets.sandbox.world import OPENED_DAYS, wall

NO_SLOT = (
    "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
    "Veuillez recommencer ultérieurement."
)
NO_SLOT_SENTENCES: Mapping[str, str] = {
    "usual": NO_SLOT,
    "curly": NO_SLOT.replace("'", "’"),
    "partial": "Il n'y a plus de rendez-vous disponibles pour le moment.",
    "english": "There is no free slot left for your appointment request. Please try later.",
}
CLOSED = "Il n'y a pas calendrier disponible pour effectuer une demande de rendez-vous"  # sic
BEGIN_BUTTON = "Effectuer une demande de rendez-vous"
MANAGE_BUTTON = "Annuler, consulter et gérer mes demandes de rendez-vous"
NEXT_BUTTON = "Etape suivante"
FIRST_SLOT_BUTTON = "Première plage horaire libre"

TITLES: Mapping[int, str] = {
    1: "Choix de la nature du rendez-vous",
    2: "Vérification de disponibilité",
    3: "Description de la nature du rendez-vous",
    4: "Choix d'une plage horaire",
    6: "Contrôle de sécurité",
    8: "Coordonnées personnelles",
    9: "Validation de la demande de rendez-vous",
}
ENGLISH_NO_SLOT_TITLE = "Availability check"

_ARROWS = (
    "Prise de RDV",
    "Descriptif",
    "Choix d'une plage",
    "Contrôle de sécurité",
    "Cordonnées personnelles",  # sic
    "Valider et terminer",
)
_ARROW_STEPS = (1, 3, 4, 6, 8, 9)
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip
_DAYS = ("Lundi", "Mardi", "Mercredi", "Jeudi", "Vendredi", "Samedi", "Dimanche")

_CONSENT = (
    "Veuillez cocher la case pour accepter les conditions d'utilisation "
    "avant de continuer le processus de prise de rendez-vous."
)
_INFORMATION = (
    "<p>Toutes les prises de rendez-vous proposées sur ce site internet sont gratuites. Accueil uniquement "
    "sur rendez-vous. La préfecture se réserve le droit d'annuler un rendez-vous : en cas d'annulation, une "
    "notification vous est adressée par messagerie.</p>"
    "<p>Munissez-vous de votre ancien titre, de votre récépissé et de vos timbres fiscaux. Le message "
    "« Il n'existe plus de plage horaire libre » signifie que le planning est complet : "
    "recommencez ultérieurement.</p>"
)
_FOOTER = (
    "<footer><p>Rappel : s'il n'existe plus de plage horaire libre pour votre demande, revenez "
    "ultérieurement. Stationnement libre, calendrier disponible à l'accueil.</p>"
    "<p>Contacts - Aide en ligne - Gestion des cookies</p></footer>"
)


@dataclass(frozen=True, slots=True)
class Form:
    """What every page of one form shares."""

    site: str  # name of the département
    title: str
    base: str  # path of the form without its step, such as /index.php/booking/create/12083
    dsfr: bool

    def action(self, step: int) -> str:
        return f"{self.base}/{step}"


def conditions_page(form: Form, error: str | None = None) -> str:
    """Step 0; with ``error``, the same step again and its list of errors."""
    errors = f'<ul class="error"><li>{escape(error, quote=False)}</li></ul>' if error else ""
    fields = (
        '<div id="condition_Booking">'
        '<input type="checkbox" class="condition" name="condition" id="condition" '
        f'title="{_CONSENT.replace("Veuillez cocher", "Cliquez")}">'
        f'<label for="condition">{_CONSENT}</label></div>'
        f'<div id="submit_Booking">{_submit("nextButton", BEGIN_BUTTON)}'
        f"{_submit('manageButton', MANAGE_BUTTON)}</div>"
    )
    return _page(form, 0, None, errors + _INFORMATION + _form(form, 0, fields))


def counters_page(form: Form, counters: Mapping[str, str], error: str | None = None) -> str:
    """Step 1: one radio per planning, none checked; with ``error``, an error list in their place."""
    if error:
        errors = f'<ul class="error"><li>{escape(error, quote=False)}</li></ul>'
        return _page(form, 1, TITLES[1], errors + _form(form, 1, ""))
    radios = "".join(
        '<p class="Bligne">'
        f'<input type="radio" class="radio" value="{key}" name="planning" id="planning{key}">'
        f'<label for="planning{key}">{escape(label, quote=False)} </label></p>'
        for key, label in counters.items()
    )
    fields = (
        f'<fieldset id="fchoix_Booking"><legend>Que souhaitez-vous effectuer ?</legend>{radios}</fieldset>'
        f'<div id="submit_Booking">{_submit("nextButton", NEXT_BUTTON)}</div>'
    )
    return _page(form, 1, TITLES[1], _form(form, 1, fields))


def no_slot_page(form: Form, wording: str) -> str:
    """Step 2: the no-slot sentence is the form's only text."""
    title = ENGLISH_NO_SLOT_TITLE if wording == "english" else TITLES[2]
    fields = f"<p>{NO_SLOT_SENTENCES[wording]}</p>" + _submit("finishButton", "Terminer")
    return _page(form, 2, title, _form(form, 2, fields))


def description_page(form: Form) -> str:
    """Step 3, shown only when slots exist."""
    text = (
        "<p>Vous devez vous présenter en personne avec votre convocation, votre ancien titre, votre "
        "récépissé et vos timbres fiscaux. Tout dossier incomplet sera présenté ultérieurement.</p>"
    )
    fields = f'<div id="submit_Booking">{_submit("nextButton", NEXT_BUTTON)}</div>'
    return _page(form, 3, TITLES[3], _form(form, 3, text + fields))


def calendar_page(form: Form, week: str) -> str:
    """Step 4: the week calendar, and the button that takes the first slot."""
    fields = (
        f'<div id="planning_Booking"><div></div><div></div><div></div><div>{week}</div>'
        "<p>Rechargement automatique du calendrier</p></div>"
        f'<div id="submit_Booking">{_submit("nextButton", FIRST_SLOT_BUTTON)}</div>'
    )
    return _page(form, 4, TITLES[4], "<p>Choisissez une plage horaire.</p>" + _form(form, 4, fields))


def forbidden_page(form: Form, step: int) -> str:
    """Something plausible for the steps no observer may reach."""
    title = TITLES.get(step, TITLES[6])
    fields = (
        '<fieldset><legend>Date</legend></fieldset><div class="g-recaptcha"></div>'
        f"{_submit('nextButton', NEXT_BUTTON)}"
    )
    return _page(form, step, title, _form(form, step, fields))


def unknown_step_page(form: Form) -> str:
    """A step that no one has described: known frame, known form, new title and fields."""
    fields = (
        '<fieldset><legend>Votre situation</legend><label for="motif">Motif</label>'
        '<select name="motif" id="motif"><option>Libre</option></select></fieldset>'
        f'<div id="submit_Booking">{_submit("nextButton", NEXT_BUTTON)}</div>'
    )
    return _page(form, 2, "Choix du motif", _form(form, 7, fields))


def week_fragment(
    *,
    base: str,
    planning: str,
    monday: date,
    hours: Sequence[time],
    zone: ZoneInfo,
    free: frozenset[datetime],
    now: datetime,
    english: bool = False,
) -> str:
    """One week of the calendar, as the page and the ezjscore call show it; ``free`` and ``now`` in UTC."""
    sunday = monday + timedelta(days=6)
    period = (
        f"Week from lundi {_written(monday)} to dimanche {_written(sunday)}"
        if english
        else f"Semaine du lundi {_written(monday)} au dimanche {_written(sunday)}"
    )
    days = [monday + timedelta(days=ahead) for ahead in range(7)]
    head = "".join(
        f"<th>{name} {day.day:02}/{day.month:02}</th>" for name, day in zip(_DAYS, days, strict=True)
    )
    link = f"{base}/5/{planning}"
    rows = "".join(
        f"<tr><td>{hour:%H:%M}</td>"
        + "".join(_cell(link, wall(day, hour, zone), free, now) for day in days[:OPENED_DAYS])
        + "<td></td><td></td></tr>"
        for hour in hours
    )
    return (
        f'<table><thead><tr><th><a href="#">&lt;&lt;</a></th><th colspan="7">{period}</th>'
        f'<th><a href="#">&gt;&gt;</a></th></tr><tr><th>Heure</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        "<p>Légende : <span>libre</span> <span>complet</span></p>"
    )


def _cell(link: str, start: datetime, free: frozenset[datetime], now: datetime) -> str:
    if start in free:
        unix = int(start.astimezone(UTC).timestamp())
        return f'<td class="free" title="plage libre"><a href="{link}/{unix}">libre</a></td>'
    return "<td></td>" if start <= now else "<td>complet</td>"


def _written(day: date) -> str:
    return f"{day.day:02} {_MONTHS[day.month - 1]} {day.year}"


def _submit(name: str, value: str) -> str:
    return f'<input class="Bbutton" type="submit" name="{name}" value="{value}">'


def _form(form: Form, step: int, inside: str) -> str:
    return (
        '<form name="create" id="FormBookingCreate" class="jqTransform FormValidate" '
        f'action="{form.action(step)}" method="post">{inside}</form>'
    )


def _page(form: Form, step: int, title: str | None, inside: str) -> str:
    heading = f"<h2>{title}</h2>" if title else ""
    name = escape(form.title, quote=False)
    head = (
        '<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8">'
        f"<title>{name} - Les services de l'État dans {escape(form.site, quote=False)}</title></head>"
    )
    arrows = _arrows(step)
    if form.dsfr:
        return (
            f'{head}<body><header class="fr-header"><p>Préfecture ({escape(form.site)})</p></header>'
            '<main role="main" id="main">'
            '<div class="fr-container"><div class="fr-grid-row"><div class="fr-col-12">'
            f'<div><h1>{name}</h1></div><div class="fr-my-4w">{arrows}{heading}{inside}</div>'
            f"</div></div></div></main>{_FOOTER}<button>Gestion des cookies</button></body></html>"
        )
    return (
        f'{head}<body><div id="cookies-banner"><p class="boutons"><a href="#">Accepter</a></p></div>'
        '<div id="container"><div id="header"></div>'
        f"<div><p>Accueil &gt; {name}</p></div><div><div><h1>{name}</h1>"
        f'<div id="inner_Booking"><p>{arrows}</p>{heading}{inside}</div></div></div></div>'
        f"{_FOOTER}</body></html>"
    )


def _arrows(step: int) -> str:
    return "".join(
        f'<img src="/images/etape_{number}{"r" if number == step else ""}.png" alt="{label}">'
        for number, label in zip(_ARROW_STEPS, _ARROWS, strict=True)
    )
