"""RDV-Préfecture, the State's own platform, played.

Address   /rdvpref/reservation/demarche/<number>/, then cgu/ and creneau/.
Funnel    landing -> conditions and captcha -> slots, for a session that passed the captcha.
Session   cookie JSESSIONID; creneau/ without a passed captcha sends back to cgu/?error=errorSessionInvalide.
Forbidden everything posted, every action (/_...), formulaire/, login/, the captcha's own server: answered,
          and logged. The right code, which nobody should send, is BACSABLE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random, SystemRandom
from types import MappingProxyType

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _rdv_prefecture_pages as pages
from guichets.sandbox.families._rdv_prefecture_scenes import SCENES
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import page, redirect
from guichets.sandbox.scenes import Stage
from guichets.sandbox.world import monday_of, week_number

CODE = "BACSABLE"
HORIZON_DAYS = 75  # last bookable day
CONDITIONS_WEEKS = 3  # how long a text of conditions stands

_PATH = re.compile(r"/rdvpref/reservation/demarche/(?P<number>\d{1,12})(?P<rest>/.*)?")
_SESSIONS = SystemRandom()
_ERAS, _DATES = ("1", "2"), ("iso", "french")


@dataclass(frozen=True, slots=True)
class Manners:
    """One démarche's behaviour."""

    era: str = "2"  # of the captcha
    dates: str = "iso"  # encoding in the JSON: iso, or french
    version: str = "4.3.1"  # of the framework
    message: str = ""  # what the landing page warns of
    link: bool = True  # whether the landing page has its link
    captcha: bool = True  # whether the conditions bear it
    skips_landing: bool = False
    week: str = "first-free"  # week on which creneau/ opens; current may have nothing
    release: str = "next"  # which one creneau/ announces: next, last, both, or none
    guarded: bool = True  # both headings in the template
    creneau_open: bool = False  # creneau/ is shown to anybody

    def __post_init__(self) -> None:
        for name, allowed in (
            ("era", _ERAS),
            ("dates", _DATES),
            ("week", ("first-free", "current")),
            ("release", ("next", "last", "both", "none")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")


class RdvPrefecture:
    """The family's part of the sandbox; holds no state of its own."""

    name = "rdv_prefecture"
    cookie = "JSESSIONID"
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "status-503"
    realistic: Mapping[str, float] = MappingProxyType({"no-booking-link": 1})  # a wall concerns a whole host

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(1_000, 16_999)
        while number in taken or number + 1 in taken:
            number = fate.randint(1_000, 16_999)
        taken.update((number, number + 1))  # the next one is where a moved démarche went
        manners = Manners(
            era=fate.choice(("1", "2", "2", "2")),
            dates=fate.choice(("iso", "iso", "french")),
            version=fate.choice(("4.3.0", "4.3.1", "4.3.2")),
            week=fate.choice(("first-free", "current")),
            release=fate.choice(("next", "next", "last", "both", "none")),
            guarded=fate.random() < 0.7,
        )
        return Draft(number, {str(number): title}, manners)

    def new_session(self) -> str:
        return f"bac~bac{_SESSIONS.getrandbits(100):x}.bac"

    def entry(self, desk: DeskPlan) -> str:
        return f"/rdvpref/reservation/demarche/{desk.draft.number}/"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (self.entry(desk),)

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        """What stands before the slots, whatever they are."""
        manners: Manners = situation.manners
        if situation.scene is not None and situation.scene.outcome is not None:
            return situation.scene.outcome
        return Outcome.CAPTCHA if manners.link and manners.captcha else Outcome.UNRECOGNISED

    def shown(self, situation: Situation, counter: CounterNow) -> Shown | None:
        return None

    def tripwire(self, call: Call) -> str | None:
        action = re.search(r"/(_\w+)", call.path)
        if action:
            return f"action-{action[1]}"
        for fragment in ("formulaire", "login", "piste"):
            if f"/{fragment}" in call.path:
                return fragment
        if call.method not in {"GET", "HEAD"}:
            return f"method-{call.method}"
        if call.parameter("error") == "invalidCaptcha":
            return "wrong-code"
        return None

    def answer(self, call: Call, play: Play) -> Answer | None:
        found = _PATH.fullmatch(call.path)
        if found is None:
            return None
        number, rest = int(found["number"]), (found["rest"] or "/").strip("/")
        desk = play.by_number.get((call.host, number))
        if desk is None:
            before = play.by_number.get((call.host, number - 1))
            if before is None or rest:
                return None
            situation = play.situation(before)
            return Answer(page(pages.landing_page(_form(before, situation, call.title, number))))
        visit = play.visit(call.session, desk)
        if visit is None or not rest:
            visit = play.begin(call.session, desk)
        situation = play.situation(desk, visit)
        form = _form(desk, situation, call.title)
        manners: Manners = situation.manners
        if rest == "_validerCaptcha":
            if call.field("captchaUsercode") == CODE:
                visit.step = 3
                return Answer(redirect(f"{form.base}creneau/"), desk, situation)
            return Answer(redirect(f"{form.base}cgu/?error=invalidCaptcha"), desk, situation)
        if rest.startswith(("_", "formulaire")):
            return Answer(page(pages.forbidden_page(form)), desk, situation)
        if rest == "cgu":
            text = pages.conditions_page(
                form,
                conditions=_conditions(desk, situation.at),
                captcha=manners.captcha,
                error=call.parameter("error") or "",
            )
            return Answer(page(text), desk, situation, Stage.ANSWER)
        if rest == "creneau":
            if visit.step < 3 and not manners.creneau_open:
                return Answer(redirect(f"{form.base}cgu/?error=errorSessionInvalide"), desk, situation)
            week = displayed_week(situation, situation.counters[0])
            return Answer(page(pages.slots_page(form, week, guarded=manners.guarded)), desk, situation)
        if rest:
            return None
        if manners.skips_landing:
            return Answer(redirect(f"{form.base}cgu/"), desk, situation)
        return Answer(
            page(pages.landing_page(form, link=manners.link, message=manners.message)), desk, situation
        )


def _form(desk: DeskPlan, situation: Situation, site: str, number: int | None = None) -> pages.Form:
    manners: Manners = situation.manners
    return pages.Form(
        site=site,
        label=desk.label,
        number=number or desk.draft.number,
        era=manners.era,
        version=manners.version,
        dates=manners.dates,
        seed=f"{desk.id} {situation.at}",
    )


def _conditions(desk: DeskPlan, at: datetime) -> str:
    """What draws the text of conditions: another one every few weeks."""
    return f"{desk.id} {week_number(at, desk.zone) // CONDITIONS_WEEKS}"


def displayed_week(situation: Situation, counter: CounterNow) -> pages.Week:
    """What creneau/ shows of a counter to a session that passed the captcha."""
    manners: Manners = situation.manners
    zone = situation.desk.zone
    now = situation.at.astimezone(zone)
    tomorrow = now.date() + timedelta(days=1)
    slots = [slot.astimezone(zone) for slot in counter.slots]
    slots = [slot for slot in slots if slot.date() >= tomorrow]
    first: date | None = slots[0].date() if slots else None
    shown = first if first is not None and manners.week == "first-free" else tomorrow
    monday = shown - timedelta(days=shown.weekday())
    week = week_number(situation.at, zone)
    released = counter.life.released_at(week).astimezone(zone)
    following = counter.life.released_at(week + 1).astimezone(zone)
    return pages.Week(
        monday=monday,
        earliest=tomorrow,
        last=monday_of(week) + timedelta(days=HORIZON_DAYS),
        first_free=first,
        slots=pages.week_of(monday, slots),
        next_release=following if manners.release in {"next", "both"} else None,
        last_release=released if manners.release in {"last", "both"} and released <= now else None,
    )


FAMILY = RdvPrefecture()
