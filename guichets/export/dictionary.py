"""What each exported field means, in French and in English; the data dictionary is printed from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from guichets.facts import NAMES
from guichets.items import EXPORT_FIELDS
from guichets.outcomes import Outcome


class Kind(StrEnum):
    """How a value is written."""

    TEXT = "text"
    INTEGER = "integer"
    INSTANT = "instant"  # ISO 8601, UTC
    SLOT = "date or instant"  # ISO 8601 in the département's zone; a date where no time is shown
    DATE = "date"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Field:
    """One exported field."""

    name: str
    kind: Kind
    french: str
    english: str


_MEANINGS = (
    Field(
        "id",
        Kind.TEXT,
        "Identifiant unique de l'observation (UUIDv7).",
        "Unique identifier of the observation (UUIDv7).",
    ),
    Field("desk", Kind.TEXT, "Identifiant stable du guichet au catalogue.", "Stable id of the desk."),
    Field(
        "counter",
        Kind.TEXT,
        "Clé du sous-choix (planning, motif, lieu) ; vide pour la ligne du guichet entier.",
        "Key of the sub-choice (counter); empty on the line of the desk as a whole.",
    ),
    Field(
        "counter_label",
        Kind.TEXT,
        "Intitulé du sous-choix, dans les mots du site.",
        "Label of the sub-choice, in the site's words.",
    ),
    Field("family", Kind.TEXT, "Plateforme de rendez-vous.", "Booking platform."),
    Field(
        "departement",
        Kind.TEXT,
        "Code INSEE du département ; 99 pour les consulats.",
        "INSEE code of the département; 99 for consulates.",
    ),
    Field(
        "observed_at",
        Kind.INSTANT,
        "Instant où la réponse a été lue (UTC).",
        "When the answer had been read (UTC).",
    ),
    Field(
        "outcome",
        Kind.TEXT,
        "Issue de la visite, dans la liste ci-dessous.",
        "Outcome of the visit, from the list below.",
    ),
    Field("rule", Kind.TEXT, "Règle stable qui a décidé de l'issue.", "Stable id of the rule that decided."),
    Field(
        "purpose",
        Kind.TEXT,
        "baseline : calendrier statistique fixe, seul pris dans les taux ; watch ; contributed.",
        "baseline: fixed statistical schedule, the only kind in rates; watch; contributed.",
    ),
    Field(
        "step",
        Kind.TEXT,
        "Dernière étape du parcours qui a été lue.",
        "Last step of the funnel that was read.",
    ),
    Field(
        "first_slot",
        Kind.SLOT,
        "Première date proposée, à l'heure du département ; sans heure si le site n'en montre pas.",
        "Earliest date offered, in the département's zone; without a time where the site shows none.",
    ),
    Field("second_slot", Kind.SLOT, "Deuxième date proposée.", "Second earliest date offered."),
    Field(
        "slot_count",
        Kind.INTEGER,
        "Nombre de créneaux distincts vus ; vide si la plateforme ne le dit pas.",
        "Distinct slots seen; empty where the platform does not tell.",
    ),
    Field(
        "horizon_end",
        Kind.DATE,
        "Dernier jour couvert par la réponse.",
        "Last day the platform's answer covers.",
    ),
    Field(
        "http_status",
        Kind.INTEGER,
        "Code HTTP de la dernière réponse.",
        "HTTP status of the last response.",
    ),
    Field(
        "latency_ms",
        Kind.INTEGER,
        "Durée de la dernière réponse, en millisecondes.",
        "Time of the last response, in milliseconds.",
    ),
    Field(
        "requests",
        Kind.INTEGER,
        "Requêtes envoyées pour établir cette ligne.",
        "Requests sent to establish this line.",
    ),
    Field(
        "evidence",
        Kind.JSON,
        "Réponses sur lesquelles la ligne repose, dans l'ordre : url, status, sha256 et size (corps décodé), "
        "puis leur place dans l'archive : file, offset, length, record_id, digest (SHA-256 de "
        "l'enregistrement).",
        "Responses the line rests on, in order: url, status, sha256 and size (of the decoded body), "
        "then their place in the archive: file, offset, length, record_id, digest (SHA-256 of the record).",
    ),
    Field(
        "parser",
        Kind.TEXT,
        "Plateforme et version du lecteur de pages.",
        "Family and version of the readers.",
    ),
    Field("worker", Kind.TEXT, "Machine qui a fait la visite.", "Worker that made the visit."),
)

FIELDS: tuple[Field, ...] = tuple(
    next(field for field in _MEANINGS if field.name == name) for name in EXPORT_FIELDS
)
"""The exported fields, in their order."""

OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.OFFERED: ("au moins un créneau peut être choisi", "at least one slot can be chosen"),
    Outcome.NONE: ("la plateforme dit que rien n'est libre", "the platform itself says nothing is free"),
    Outcome.OPEN: (
        "la démarche est ouverte et rien n'est dit des créneaux",
        "the procedure accepts requests, and the platform tells nothing about slots",
    ),
    Outcome.CLOSED: ("fermé par l'administration", "switched off by the administration"),
    Outcome.MOVED: (
        "le guichet renvoie la démarche ailleurs",
        "the desk says the procedure is now elsewhere",
    ),
    Outcome.CAPTCHA: (
        "un contrôle humain précède la réponse ; il n'est jamais franchi",
        "a human check stands before the answer; it is never solved",
    ),
    Outcome.BLOCKED: ("notre visite a été refusée", "our visit was refused"),
    Outcome.OVERLOADED: (
        "la plateforme répond qu'elle est en panne ou surchargée",
        "the platform answers that it is failing",
    ),
    Outcome.UNREACHABLE: (
        "pas de réponse, ou réponse vide ou tronquée",
        "no reply, or an empty or truncated one",
    ),
    Outcome.GONE: ("la page ou le formulaire n'existe plus", "the page or form no longer exists"),
    Outcome.UNRECOGNISED: (
        "page qu'aucune règle ne reconnaît",
        "a page on which no rule's landmarks hold",
    ),
    Outcome.OBSERVER_FAULT: (
        "défaut de notre côté ; exclu de toute statistique",
        "our side failed; excluded everywhere",
    ),
}


def render_dictionary() -> str:
    """The data dictionary as a Markdown page."""
    lines = [
        "# Dictionnaire des données / Data dictionary",
        "",
        "Une ligne par observation d'un guichet ou d'un sous-choix, telle que `guichets export` l'écrit.",
        "",
        "One line per observation of a desk or of one of its counters, as `guichets export` writes it.",
        "",
        "| champ / field | type | sens | meaning |",
        "|---|---|---|---|",
        *(f"| `{field.name}` | {field.kind} | {field.french} | {field.english} |" for field in FIELDS),
        "",
        "CSV : une valeur absente est vide. JSON Lines : elle vaut `null`.",
        "Parquet : `observed_at` est un instant UTC, `horizon_end` une date ; le reste, texte ou entier.",
        "",
        "CSV: a missing value is empty. JSON Lines: it is `null`.",
        "Parquet: `observed_at` is a UTC timestamp, `horizon_end` a date; the rest text or integer.",
        "",
        "| `outcome` | sens | meaning |",
        "|---|---|---|",
        *(f"| `{outcome}` | {french} | {english} |" for outcome, (french, english) in OUTCOMES.items()),
        "",
        "Une erreur n'est jamais comptée comme « rien », ni une page inconnue comme un créneau.",
        "",
        "An error never counts as « nothing free », nor an unknown page as a slot.",
        "",
        "Ce que les pages disent d'autre est gardé par date, sans être exporté : `guichets facts` le montre.",
        "",
        "What else the pages tell is kept by date and not exported: `guichets facts` shows it.",
        "",
        "| fait / fact | sens | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {french} | {english} |" for name, (french, english) in NAMES.items()),
    ]
    return "\n".join(lines) + "\n"
