"""How one EZBooking site behaves where sites differ, and how its plannings are named."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from guichets.sandbox.families._ezbooking_pages import NO_SLOT_SENTENCES

_CHOICES: dict[str, tuple[object, ...]] = {
    "answers": ("redirect", "in-place"),
    "layout": ("old", "dsfr"),
    "prefix": ("", "/index.php", "/layout/set/print"),
    "entry": ("", "/0"),
    "no_slot": tuple(NO_SLOT_SENTENCES),
    "calendar": ("first-free", "current"),
    "closed_at": ("0", "1", "redirect"),
    "first_post_ignored": ("", "0", "1"),
}
_LABELS = (
    "Guichet {n}",
    "GUICHET {n} B",
    "guichet 2{n} - Juillet 2026",
    "Guichet {n} matin",
    "Guichet {n} après-midi",
    "Calendrier - guichets 1, 2, 3 et {n}",
)


@dataclass(frozen=True, slots=True)
class Manners:
    """One site's behaviour. ``prefix`` and ``entry`` are part of the address, so they never change."""

    answers: str = "redirect"  # to a POST: redirect to the next step, or in-place
    layout: str = "old"  # old, or dsfr
    prefix: str = ""
    entry: str = ""  # what ends the catalogue's address: nothing, or /0
    absolute_location: bool = False  # redirects name scheme and host
    no_slot: str = "usual"  # wording of step 2
    calendar: str = "first-free"  # week on which step 4 opens; current may show only « complet »
    skips_step3: bool = False
    lists_one_planning: bool = False  # step 1 is shown even for a single planning
    plannings: int = 0  # how many are shown; 0 = all
    radios_change: bool = False  # the list differs from one visit to the next
    first_post_ignored: str = ""  # step whose first POST of a visit has no effect
    closed_at: str = "0"  # where a shut form says so: on step 0, on each counter (1), on a redirect to 1
    says_retry: bool = False  # the closed sentence has its second half
    calendar_disagrees: bool = False  # the week calls show free cells whatever the form says

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
        if type(self.plannings) is not int or not 0 <= self.plannings <= 9:
            raise ValueError(f"plannings={self.plannings!r} is not a number from 0 to 9")


def draw_manners(fate: Random) -> Manners:
    """The behaviour of a site, in the proportions the sources suggest."""
    return Manners(
        answers=fate.choice(("redirect", "redirect", "in-place")),
        layout=fate.choice(("old", "dsfr")),
        prefix=fate.choice(("",) * 8 + ("/index.php", "/layout/set/print")),
        entry=fate.choice(("", "", "/0")),
        absolute_location=fate.random() < 0.3,
        no_slot=fate.choice(("usual",) * 12 + ("curly", "english")),
        calendar=fate.choice(("first-free",) * 5 + ("current",)),
        skips_step3=fate.random() < 0.15,
        lists_one_planning=fate.random() < 0.1,
        radios_change=fate.random() < 0.1,
        first_post_ignored=fate.choice(("",) * 30 + ("0", "1")),
        says_retry=fate.random() < 0.5,
        closed_at=fate.choice(("0", "0", "0", "1", "redirect")),
        calendar_disagrees=fate.random() < 0.05,
    )


def draw_counters(fate: Random, number: int, title: str) -> dict[str, str]:
    """One to nine plannings, whose numbers follow the form's at small distances."""
    count = fate.choice((1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 9))
    counters = {}
    key = number
    for place in range(1, count + 1):
        key += fate.randint(1, 6)
        counters[str(key)] = f"{title} - {fate.choice(_LABELS).format(n=place)}"
    return counters
