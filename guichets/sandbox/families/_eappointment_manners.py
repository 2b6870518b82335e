"""How one eAppointment server behaves where servers differ, and how its motives are named."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

MESSAGES = {  # said when a motive has nothing free; the spelling is the platform's
    "motives": (
        "Aucun rendez-vous n'est possible pour les motifs selectionnnés ou le créneau horaire séléctionné."
    ),
    "service": "Il n'y a pas de rendez-vous disponible pour ce service.",
    "capitals": "AUCUN RENDEZ-VOUS N'EST POSSIBLE POUR LES MOTIFS SÉLECTIONNÉS.",
}
_CHOICES: dict[str, tuple[object, ...]] = {
    "dialect": (2, 3),
    "flow": ("motives", "beans", "plain", "soonest"),
    "months": (3, 4, 6),
    "message": tuple(MESSAGES),
    "built": ("inline", "references"),
    "hours": ("texts", "objects"),
    "motive_list": ("empty", "null", "exception", "unknown"),
}
_LABELS = (
    "Retrait de titre",
    "Première demande de titre de séjour",
    "Renouvellement de récépissé",
    "Dépôt d'une demande de naturalisation",
    "Échange de permis étranger",
)


@dataclass(frozen=True, slots=True)
class Manners:
    """One server's behaviour. ``tells_dialect`` and ``finds_place`` are part of the catalogue."""

    dialect: int = 3
    tells_dialect: bool = True  # the catalogue knows the dialect
    finds_place: bool = False  # neither catalogue nor page names site and service: there is one of each
    flow: str = "motives"  # motives on the page, as beans by DWR, none at all (plain), or « soonest » dates
    months: int = 3  # that the calendar shows, the one in progress included
    message: str = "motives"
    built: str = "inline"  # how replies are written: literals, or statements that build them
    hours: str = "texts"  # or objects with startHour
    motive_list: str = "empty"  # what a server without motives answers when asked for them
    redirects: bool = True  # from appointment.do to the page, with ;jsessionid=

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")


def draw_manners(fate: Random) -> Manners:
    """The behaviour of a server: préfectures show motives first, town halls a site and a service."""
    return Manners(
        dialect=fate.choice((2, 3)),
        tells_dialect=fate.random() < 0.7,
        finds_place=fate.random() < 0.2,
        flow=fate.choice(("motives", "motives", "beans", "plain", "plain", "plain", "soonest")),
        months=fate.choice((3, 3, 4, 6)),
        message=fate.choice(tuple(MESSAGES)),
        built=fate.choice(("inline", "references")),
        hours=fate.choice(("texts", "texts", "objects")),
        motive_list=fate.choice(("empty", "null", "exception", "unknown")),
        redirects=fate.random() < 0.8,
    )


def draw_counters(fate: Random) -> dict[str, str]:
    """One to three motives."""
    keys = sorted(fate.sample(range(10, 1000, 10), fate.choice((1, 1, 1, 2, 2, 3))))
    return {str(key): fate.choice(_LABELS) for key in keys}
