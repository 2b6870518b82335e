"""EZBooking, the appointment module of préfecture web sites, played.

Address   /booking/create/<form>[/<step>], also under /index.php and /layout/set/print.
Funnel    0 conditions -> 1 counters (skipped for one planning) -> 2 none, or 3 text -> 4 calendar.
Session   cookie eZSESSID; any value is accepted, none is needed to read the list of counters.
Answers   a POST redirects to the next step, or shows it in place: each site has its manner.
Calendar  /ezjscore/call/bookingserver::planning::assign::<form>::<planning>::<days since its first week>.
Forbidden posting step 4, steps 5 to 9, confirmation, captcha, personal fields: answered, and logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random, SystemRandom
from string import ascii_lowercase, digits
from types import MappingProxyType

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _ezbooking_pages as pages
from guichets.sandbox.families._ezbooking_manners import Manners, draw_counters, draw_manners
from guichets.sandbox.families._ezbooking_scenes import SCENES
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation, Visit
from guichets.sandbox.replies import Reply, page, redirect
from guichets.sandbox.scenes import Stage
from guichets.sandbox.world import monday_of, slot_hours, week_number

FIRST_WEEKS = (date(2020, 10, 19), 104)  # plannings begin in the two years after: ezjscore counts from there
SESSION_ALPHABET = ascii_lowercase + digits
FORBIDDEN_FIELDS = frozenset(
    {
        "manageButton", "createButton", "g-recaptcha-response", "eZHumanCAPTCHACode", "firstname", "lastname",
        "email", "emailcheck", "number_agdref", "end_date_validity", "post_code", "is_foreign",
    }
)  # fmt: skip

_STEP = re.compile(
    r"(?P<prefix>(?:/index\.php|/layout/set/print)*)/booking/create/(?P<number>\d{1,12})(?:/(?P<step>\d{1,3})?)?(?P<rest>/.*)?"
)
_WEEK = re.compile(
    r"(?:/index\.php)?/ezjscore/call/bookingserver::planning::assign::(\d{1,12})::(\d{1,12})::(-?\d{1,5})"
)
_FORBIDDEN_PATHS = {
    "/booking/confirm": "booking-confirm",
    "bookingserver::captcha": "captcha",
    "ezplanning-verification": "ezplanning-verification",
}
_SESSIONS = SystemRandom()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request for one step of one form."""

    call: Call
    play: Play
    desk: DeskPlan
    prefix: str
    step: int

    @property
    def base(self) -> str:
        return f"{self.prefix}/booking/create/{self.desk.draft.number}"


class EZBooking:
    """The family's part of the sandbox; holds no state of its own."""

    name = "ezbooking"
    cookie = "eZSESSID"
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "overload-503"
    realistic: Mapping[str, float] = MappingProxyType(
        {
            "closed-no-calendar": 4,
            "closed-unavailable": 2,
            "closed-disabled-404": 1,
            "closed-disabled-200": 1,
            "overload-503": 3,
        }
    )

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(500, 30_000)
        while any(near in taken for near in range(number, number + 60)):
            number = fate.randint(500, 30_000)
        counters = draw_counters(fate, number, title)
        taken.update(range(number, number + 60))
        return Draft(number, counters, draw_manners(fate))

    def new_session(self) -> str:
        return "".join(_SESSIONS.choices(SESSION_ALPHABET, k=26))

    def entry(self, desk: DeskPlan) -> str:
        manners: Manners = desk.draft.manners
        return f"{manners.prefix}/booking/create/{desk.draft.number}{manners.entry}"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        forms = [
            f"{prefix}/booking/create/{desk.draft.number}"
            for prefix in ("", "/index.php", "/layout/set/print")
        ]
        return tuple(path for form in forms for path in (f"{form}$", f"{form}/"))

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        known = list(desk.draft.counters.items())
        if manners.plannings:
            known = known[: manners.plannings]
        if manners.radios_change and len(known) > 1:
            known = known[:-1] if visit % 2 else known[1:]
        return dict(known) if len(known) > 1 or manners.lists_one_planning else {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return manners.closed_at != "1" and all(counter.outcome is Outcome.CLOSED for counter in counters)

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        return counter.outcome

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        zone = situation.desk.zone
        week = _displayed_week(situation, counter)
        slots = [slot for slot in counter.slots if week_number(slot, zone) == week]
        return Shown(tuple(slot.astimezone(zone) for slot in slots), monday_of(week) + timedelta(days=6))

    def tripwire(self, call: Call) -> str | None:
        if call.method not in {"GET", "HEAD", "POST"}:
            return f"method-{call.method}"
        for fragment, name in _FORBIDDEN_PATHS.items():
            if fragment in call.path:
                return name
        for name, _ in call.fields:
            if name in FORBIDDEN_FIELDS:
                return f"field-{name}"
        button = (call.field("nextButton") or "").replace("+", " ")
        if button == pages.FIRST_SLOT_BUTTON:
            return "first-slot-button"
        found = _STEP.fullmatch(call.path)
        step = int(found["step"] or 0) if found else 0
        if step >= 5:
            return f"step-{step}"
        if step == 4 and call.method == "POST":
            return "post-step-4"
        if step == 3 and call.method == "POST" and button not in {"", pages.NEXT_BUTTON}:
            return "step-3-button"
        return None

    def answer(self, call: Call, play: Play) -> Answer | None:
        week = _WEEK.fullmatch(call.path)
        if week:
            return _week(call, play, *week.groups())
        found = _STEP.fullmatch(call.path)
        desk = play.by_number.get((call.host, int(found["number"]))) if found else None
        if found is None or desk is None:
            return None
        asked = _Asked(call, play, desk, found["prefix"], int(found["step"] or 0))
        visit = play.visit(call.session, desk)
        if visit is None or (asked.step == 0 and call.method != "POST"):
            visit = play.begin(call.session, desk)
        situation = play.situation(desk, visit)
        if call.method == "POST":
            return _post(asked, visit, situation)
        return _show(asked, visit, situation, asked.step)


def _post(asked: _Asked, visit: Visit, situation: Situation) -> Answer:
    call = asked.call
    manners: Manners = situation.manners
    accepted = call.field("nextButton") is not None
    if asked.step in {0, 1} and accepted and manners.first_post_ignored == str(asked.step):
        accepted = str(asked.step) in visit.ignored
        visit.ignored.add(str(asked.step))
    if asked.step == 0 and accepted and call.field("condition") is not None:
        if situation.ends_early:
            if manners.closed_at == "redirect":
                return _go(asked, visit, situation, 1)
            return _closed(asked, situation, 0)
        if situation.has_choice:
            return _go(asked, visit, situation, 1)
        return _verdict(asked, visit, situation, situation.counters[0])
    if asked.step == 1 and accepted:
        wanted = call.field("planning")
        for counter in situation.counters if situation.has_choice else ():
            if counter.key == wanted:
                return _verdict(asked, visit, situation, counter)
    if asked.step == 2 and call.field("finishButton") is not None:
        return _go(asked, visit, situation, 0)
    if asked.step == 3 and accepted and visit.step >= 3:
        visit.step = 4
        visit.described = True
        return _go(asked, visit, situation, 4)
    if asked.step == 4:
        return Answer(redirect(f"{asked.base}/6"), asked.desk, situation)
    return _show(asked, visit, situation, asked.step)


def _verdict(asked: _Asked, visit: Visit, situation: Situation, counter: CounterNow) -> Answer:
    """What choosing this counter leads to."""
    visit.counter = counter.key
    visit.described = False
    if counter.outcome is Outcome.CLOSED:
        return _closed(asked, situation, 1 if situation.has_choice else 0, counter)
    if counter.outcome is Outcome.NONE:
        visit.step = 2
    else:
        visit.step = 4 if situation.manners.skips_step3 else 3
    return _go(asked, visit, situation, visit.step)


def _go(asked: _Asked, visit: Visit, situation: Situation, step: int) -> Answer:
    """Lead the visitor to a step: by a redirect, or by showing it in place."""
    manners: Manners = situation.manners
    if manners.answers == "redirect":
        path = f"{asked.base}/{step}"
        location = asked.call.origin + path if manners.absolute_location else path
        counter = visit.counter if step >= 2 else None
        return Answer(redirect(location), asked.desk, situation, counter=counter)
    return _show(asked, visit, situation, step)


def _show(asked: _Asked, visit: Visit, situation: Situation, step: int) -> Answer:
    """The page of a step, or the first one where the session's state does not allow it."""
    if step >= 5:
        return Answer(page(pages.forbidden_page(_form(asked, situation), step)), asked.desk, situation)
    counter = next((known for known in situation.counters if known.key == visit.counter), None)
    reached = {2: visit.step == 2, 3: visit.step >= 3, 4: visit.step == 4}
    if step >= 2 and (counter is None or not reached[step]):
        step = 0
    if step == 1:
        if situation.ends_early and situation.manners.closed_at == "redirect":
            return _closed(asked, situation, 1)
        step = 1 if situation.has_choice else 0
    if step < 2 or counter is None:
        return Answer(_built(asked, situation, step, None), asked.desk, situation)
    stage = Stage.CALENDAR if step == 4 and visit.described else Stage.ANSWER
    return Answer(_built(asked, situation, step, counter), asked.desk, situation, stage, counter.key)


def _closed(asked: _Asked, situation: Situation, step: int, counter: CounterNow | None = None) -> Answer:
    manners: Manners = situation.manners
    sentence = pages.CLOSED + (" Veuillez réessayer ultérieurement." if manners.says_retry else "")
    form = _form(asked, situation)
    text = pages.conditions_page(form, sentence) if step == 0 else pages.counters_page(form, {}, sentence)
    return Answer(page(text), asked.desk, situation, Stage.ANSWER, counter.key if counter else None)


def _form(asked: _Asked, situation: Situation) -> pages.Form:
    return pages.Form(asked.call.title, asked.desk.label, asked.base, situation.manners.layout == "dsfr")


def _built(asked: _Asked, situation: Situation, step: int, counter: CounterNow | None) -> Reply:
    """The page of a step, built once per situation: visits of the same minute see the same bytes."""
    key = f"{asked.prefix} {step} {counter.key if counter else ''}"
    known: Reply | None = situation.built.get(key)
    if known is None:
        known = situation.built[key] = page(_text(_form(asked, situation), situation, step, counter))
    return known


def _text(form: pages.Form, situation: Situation, step: int, counter: CounterNow | None) -> str:
    if step == 1:
        return pages.counters_page(form, {known.key: known.label for known in situation.counters})
    if counter is None:
        return pages.conditions_page(form)
    if step == 2:
        return pages.no_slot_page(form, situation.manners.no_slot)
    if step == 3:
        return pages.description_page(form)
    monday = monday_of(_displayed_week(situation, counter))
    return pages.calendar_page(form, _fragment(situation, counter, form.base, monday, counter.slots))


def _displayed_week(situation: Situation, counter: CounterNow) -> int:
    """The week the calendar opens on: the current one, or the first with something free."""
    first_free = situation.manners.calendar == "first-free" and counter.slots
    return week_number(counter.slots[0] if first_free else situation.at, situation.desk.zone)


def _fragment(
    situation: Situation, counter: CounterNow, base: str, monday: date, slots: tuple[datetime, ...]
) -> str:
    return pages.week_fragment(
        base=base,
        planning=counter.key,
        monday=monday,
        hours=slot_hours(counter.life.step_minutes),
        zone=situation.desk.zone,
        free=frozenset(slots),
        now=situation.at,
        english=situation.manners.no_slot == "english",
    )


def first_week(planning: str) -> date:
    """The Monday from which a planning's week calls count."""
    monday, weeks = FIRST_WEEKS
    return monday + timedelta(weeks=Random(f"first week of {planning}").randrange(weeks))


def _week(call: Call, play: Play, number: str, planning: str, offset: str) -> Answer | None:
    """The week-calendar call: no session, no step; it ignores what the form itself would say."""
    desk = play.by_number.get((call.host, int(number)))
    if desk is None:
        return None
    situation = play.situation(desk)
    counter = next((known for known in situation.counters if known.key == planning), None)
    if counter is None:  # a wrong pair of numbers is answered 200 with no date in it
        return Answer(page("<p>Légende : <span>libre</span> <span>complet</span></p>"), desk, situation)
    slots = counter.slots
    if situation.manners.calendar_disagrees:
        slots = counter.life.chosen_slots(situation.at)
    day = first_week(planning) + timedelta(days=int(offset))
    monday = day - timedelta(days=day.weekday())
    base = f"/booking/create/{number}"
    return Answer(page(_fragment(situation, counter, base, monday, slots)), desk, situation, None, planning)


FAMILY = EZBooking()
