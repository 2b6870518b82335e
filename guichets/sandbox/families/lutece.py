"""Lutece appointment, the City of Paris's portal, played.

Address   /rdvtitres/jsp/site/Portal.jsp?page=appointmentsearch&view=search&category=<category>, or
          ...?page=appointment&view=getViewAppointmentCalendar&id_form=<form>.
Session   cookie JSESSIONID; it only tells which visit this is.
Forbidden view=getViewAppointmentForm (it holds the slot), every action, a slot's date in an address, the
          account, every method but GET and HEAD: answered, and logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random, SystemRandom
from types import MappingProxyType
from urllib.parse import urlencode

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _lutece_pages as pages
from guichets.sandbox.families._lutece_scenes import SCENES
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import Reply, page, redirect
from guichets.sandbox.scenes import Stage

PATH = f"/rdvtitres/{pages.PORTAL}"
ACCOUNT = "https://moncompte.paris.fr/moncompte/"
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": ("search", "calendar"),
    "none": ("message", "fallback", "full", "shut"),
    "script": ("exact", "missing", "malformed"),
    "keys": ("number", "prefixed", "foreign"),
}
_ORDINALS = ("1er", "3e", "5e", "6e", "7e", "8e", "9e", "10e", "11e", "12e")
_SESSIONS = SystemRandom()


@dataclass(frozen=True, slots=True)
class Manners:
    """One desk's behaviour. ``kind`` is part of its address."""

    kind: str = "search"  # of places, or one form's calendar
    none: str = "message"  # how a calendar says that nothing is free
    script: str = "exact"  # of free places
    keys: str = "number"  # how that script names forms
    english: bool = False
    links: int = 3  # slots shown for each place of a search
    capacity: int = 1  # places of one slot

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(allowed)}")


class Lutece:
    """The family's part of the sandbox; holds no state of its own."""

    name = "lutece"
    cookie = "JSESSIONID"
    scenes = SCENES
    departement = "75"
    office = "Mairie"
    overload_scene = "status-503"
    realistic: Mapping[str, float] = MappingProxyType({"closed-inactive": 4, "account": 4, "status-503": 3})

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(10, 90_000)
        while any(near in taken for near in range(number, number + 20)):
            number = fate.randint(10, 90_000)
        taken.update(range(number, number + 20))
        manners = Manners(
            kind=fate.choice(("search", "search", "calendar")),
            none=fate.choice(("message", "message", "message", "fallback", "full", "shut")),
            script=fate.choice(("exact",) * 6 + ("missing", "malformed")),
            keys=fate.choice(("number", "prefixed", "foreign")),
            english=fate.random() < 0.2,
            links=fate.choice((1, 3, 3, 5)),
            capacity=fate.choice((1, 1, 2, 3)),
        )
        count = fate.choice((1, 2, 3, 5)) if manners.kind == "search" else 1
        names = fate.sample(_ORDINALS, count)
        return Draft(number, {str(number + n): f"Mairie du {name}" for n, name in enumerate(names)}, manners)

    def new_session(self) -> str:
        return f"{_SESSIONS.getrandbits(128):032X}"

    def entry(self, desk: DeskPlan) -> str:
        number = desk.draft.number
        if desk.draft.manners.kind == "search":
            query = {"page": "appointmentsearch", "view": "search", "category": f"titres-{number}"}
        else:
            query = {
                "page": "appointment",
                "view": "getViewAppointmentCalendar",
                "id_form": str(number),
                "nbPlacesToTake": "1",
            }
        return f"{PATH}?{urlencode(query)}"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        number = desk.draft.number
        return tuple(
            f"{PATH}*{name}{number}{end}" for name in ("category=titres-", "id_form=") for end in ("$", "&")
        )

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return desk.draft.counters if manners.kind == "search" else {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def seen(self, situation: Situation) -> tuple[CounterNow, ...]:
        scene = situation.scene
        if scene is not None and scene.stage is Stage.ANSWER and scene.outcome is not None:
            return ()
        return tuple(counter for counter in situation.counters if counter.outcome is Outcome.OFFERED)

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        if counter.outcome is Outcome.CLOSED and situation.manners.kind == "search":
            return Outcome.NONE  # a search does not list what is switched off
        return counter.outcome

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        manners: Manners = situation.manners
        slots = _local(situation, counter)
        if manners.kind == "calendar":
            return Shown(slots, max(_full_after(slots)).date())
        shown = slots[: manners.links]
        if not _is_counted(situation):
            return Shown(shown)
        return Shown(shown, None, len(slots) * manners.capacity)

    def tripwire(self, call: Call) -> str | None:
        if call.method not in {"GET", "HEAD"}:
            return f"method-{call.method}"
        query = dict(call.query)
        if query.get("view") == "getViewAppointmentForm":
            return "appointment-form"
        if "starting_date_time" in query or "id_slot" in query or "idSlot" in query:
            return "slot"
        if any(name == "action" or name.startswith("action_") for name in query):
            return "action"
        if query.get("page", "").startswith("mylutece") or "login" in call.path:
            return "account"
        return None

    def answer(self, call: Call, play: Play) -> Answer | None:
        if call.path != PATH:
            return None
        view = call.parameter("view")
        if view == "getViewAppointmentForm":
            return Answer(page(pages.form_page()))
        if call.parameter("page") == "appointmenttitresearch":
            return Answer(redirect(ACCOUNT))
        desk = _desk_of(call, play)
        if desk is None:
            return None
        visit = play.visit(call.session, desk) or play.begin(call.session, desk)
        situation = play.situation(desk, visit)
        show = _search if desk.draft.manners.kind == "search" else _calendar
        return Answer(show(situation), desk, situation, Stage.ANSWER)


def _desk_of(call: Call, play: Play) -> DeskPlan | None:
    kind, number = "calendar", call.parameter("id_form") or ""
    if call.parameter("page") == "appointmentsearch":
        kind, number = "search", (call.parameter("category") or "").removeprefix("titres-")
    desk = play.by_number.get((call.host, int(number))) if number.isdecimal() else None
    return desk if desk is not None and desk.draft.manners.kind == kind else None


def _search(situation: Situation) -> Reply:
    manners: Manners = situation.manners
    listed = []
    for counter in situation.counters:
        slots = _local(situation, counter)
        if slots:
            shown, free = slots[: manners.links], len(slots) * manners.capacity
            listed.append(
                pages.Listed(counter.key, counter.label, shown, len(slots) - len(shown), free, free + 30)
            )
    keys = {
        "number": {place.form: place.form for place in listed},
        "prefixed": {place.form: f"Form-{place.form}" for place in listed},
        "foreign": {place.form: f"place {'I' * (n + 1)}" for n, place in enumerate(listed)},
    }[manners.keys]
    return page(
        pages.search_page(listed, keys=keys, english=manners.english and bool(listed), script=manners.script)
    )


def _calendar(situation: Situation) -> Reply:
    manners: Manners = situation.manners
    (counter,) = situation.counters
    form = str(situation.desk.draft.number)
    slots = _local(situation, counter)
    if slots:
        full = _full_after(slots)
        return page(pages.calendar_page(form, slots, full[:2], full[2:], capacity=manners.capacity))
    if counter.outcome is Outcome.CLOSED:
        return page(pages.message_page(pages.INACTIVE))
    if manners.none in {"message", "fallback"}:
        words = pages.NONE_CALENDAR if manners.none == "message" else pages.NONE_FALLBACK
        return page(pages.message_page(words))
    day = situation.at.astimezone(situation.desk.zone).replace(hour=9, minute=0) + timedelta(days=3)
    taken = tuple(day + timedelta(minutes=15 * n) for n in range(8))
    return page(
        pages.calendar_page(form, (), taken, ())
        if manners.none == "full"
        else pages.calendar_page(form, (), (), taken)
    )


def _full_after(slots: tuple[datetime, ...]) -> tuple[datetime, ...]:
    """Slots that are not free, in the days after the last free one."""
    return tuple(slots[-1] + timedelta(days=n) for n in range(1, 5))


def _is_counted(situation: Situation) -> bool:
    """Whether the script of free places can be matched with the places."""
    manners: Manners = situation.manners
    offering = sum(counter.outcome is Outcome.OFFERED for counter in situation.counters)
    return manners.script == "exact" and (manners.keys != "foreign" or offering == 1)


def _local(situation: Situation, counter: CounterNow) -> tuple[datetime, ...]:
    return tuple(slot.astimezone(situation.desk.zone) for slot in counter.slots)


FAMILY = Lutece()
