"""How one RDV Service Public desk behaves where desks differ, and its motives and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

_CHOICES: dict[str, tuple[str, ...]] = {
    "layout": ("cards", "dsfr"),
    "entry": ("org", "slug", "external", "query", "empty", "motive", "params"),
    "dates": ("offset", "iso", "wall"),
    "empty_departement": ("ignored", "asked"),
    "organisation": ("known", "unknown", "silent"),
    "public_links": ("listed", "left-out", "missing", "html"),
    "week": ("whole", "taken", "empty", "503", "workshop"),
}
FIXES_MOTIVE = ("motive", "params")  # entries that say for which motive

_MOTIVES = (
    ("Renouvellement de récépissés arrivés à échéance", "renouvellement_de_recepisses_arrives_a_echeance_"),
    ("Remise de titre de séjour", "remise_de_titre_de_sejour"),
    ("Dépôt d'un dossier (étudiant)", "depot_d_un_dossier__etudiant_"),
    ("Changement d'adresse", "changement_d_adresse"),
)
_PLACES = ("Préfecture, hall A", "Sous-préfecture", "Maison France services", "Annexe de la gare")


@dataclass(frozen=True, slots=True)
class Motive:
    """What one comes for, and where."""

    slug: str  # with its kind of place
    label: str
    service: int
    places: Mapping[str, str]  # number -> name; organisations for what needs no place

    @property
    def step(self) -> str:
        """The step that lists its places."""
        return "organisation" if self.slug.endswith("-phone") else "lieu"

    def key(self, place: str, *, is_named: bool) -> str:
        """The counter's, where the visit's address names the motive, or does not."""
        return f"{self.slug}.{self.step}-{place}" if is_named else f"{self.step}-{place}"


@dataclass(frozen=True, slots=True)
class Manners:
    """One desk's behaviour. ``entry``, ``motives`` and ``external`` are part of its address."""

    layout: str = "cards"  # 2021-2024, or the State's design system
    entry: str = "org"  # how the catalogue writes the address
    motives: tuple[Motive, ...] = ()
    external: str = ""  # the organisation's own number in its territory
    services: str = "one"  # the step is skipped; "several": each motive has its own
    lists_one: bool = True  # the step of motives is shown even for a single one
    dates: str = "offset"  # of the links: as the framework writes them, ISO 8601, or without offset
    empty_departement: str = "ignored"  # as in 2026; "asked": the address is asked for, as in 2024
    organisation: str = "known"  # unknown: sent home with a word; silent: without
    public_links: str = "listed"
    week: str = "whole"  # what the week of slots shows; what can go wrong once a place is chosen
    asks_address: bool = False  # whatever the address holds
    bad_date: bool = False  # cards bear the 31 February
    closes: bool = False  # the days after the last free slot are closed to booking

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(allowed)}")
        if self.services not in {"one", "several"}:
            raise ValueError(f"services={self.services!r} is neither one nor several")

    @property
    def reachable(self) -> tuple[Motive, ...]:
        """The motives that the address leaves to choose from."""
        return self.motives[:1] if self.entry in FIXES_MOTIVE else self.motives

    @property
    def chooses(self) -> bool:
        """Whether a visit chooses its motive on a page."""
        several = len(self.motives) > 1 or self.lists_one
        return self.entry not in FIXES_MOTIVE and several

    def counters(self) -> dict[str, str]:
        """The places of the reachable motives, by the keys that a visit gives them."""
        is_named = self.chooses or self.entry in FIXES_MOTIVE
        return {
            motive.key(place, is_named=is_named): name
            for motive in self.reachable
            for place, name in motive.places.items()
        }

    def places(self, motive: Motive) -> dict[str, str]:
        """The motive's places by counter."""
        is_named = self.chooses or self.entry in FIXES_MOTIVE
        return {motive.key(place, is_named=is_named): place for place in motive.places}

    def motive(self, slug: str | None) -> Motive | None:
        return next((motive for motive in self.motives if motive.slug == slug), None)


def draw_manners(fate: Random, number: int) -> Manners:
    """The behaviour of a desk; numbers of services and places follow the organisation's."""
    count = fate.choice((1, 1, 2, 2, 3))
    motives: list[Motive] = []
    following = number
    for label, slug in fate.sample(_MOTIVES, count):
        kind = fate.choice(("-public_office",) * 4 + ("-phone",))
        places = {}
        for name in fate.sample(_PLACES, fate.choice((1, 1, 2, 3))):
            following += 1
            places[str(following)] = name
        motives.append(Motive(slug + kind, label, number + len(motives), places))
    return Manners(
        layout=fate.choice(("cards", "dsfr")),
        entry=fate.choice(_CHOICES["entry"]),
        motives=tuple(motives),
        external=f"ext-{number}",
        services=fate.choice(("one", "one", "several")),
        lists_one=fate.random() < 0.5,
        dates=fate.choice(("offset", "offset", "iso", "wall")),
        empty_departement=fate.choice(_CHOICES["empty_departement"]),
        public_links=fate.choice(("listed", "listed", "left-out", "missing", "html")),
        closes=fate.random() < 0.2,
    )
