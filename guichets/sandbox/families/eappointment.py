"""eAppointment (ESII), a JSP application that asks its server through DWR, played.

Address   /eAppointment<number>/appointment.do, then /element/jsp/appointment.jsp;jsessionid=…: an application
          for each desk.
Calls     POST /eAppointment<number>/dwr/call/plaincall/<Script>.<method>.dwr, in dialect 2 or 3.
Session   cookie JSESSIONID; a call without its page first is answered by an exception.
Closed    never said: a desk that is shut answers 404.
Forbidden what takes, confirms or deletes; forms posted; the captcha: answered, and logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random, SystemRandom
from types import MappingProxyType
from typing import Any

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _eappointment_pages as pages
from guichets.sandbox.families._eappointment_manners import MESSAGES, Manners, draw_counters, draw_manners
from guichets.sandbox.families._eappointment_scenes import SCENES
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation, Visit
from guichets.sandbox.replies import missing_page, redirect
from guichets.sandbox.scenes import Stage

FEEDER = "AjaxSelectionFormFeeder"
READING = {  # what may be asked: (placeholders of dialect 2 before the arguments, after them)
    f"{FEEDER}.getSiteBeanList": (0, 0),
    f"{FEEDER}.getServiceBeanList": (1, 0),
    f"{FEEDER}.getMotiveBeanList": (1, 0),
    f"{FEEDER}.numberOfMonthToDisplayInCalendar": (1, 0),
    f"{FEEDER}.getClosedDaysList": (1, 0),
    f"{FEEDER}.getHoursProposalForADayJS": (2, 0),
    "AjaxMotive.motiveMultiSiteSubmit": (1, 0),
}
NEVER = (
    "confirmAppointment",
    "confirmdeleteAppointmentDuplicated",
    "savePreselectedRdv",
    "processSoonestTimeAreaSelected",
    "checkSelectionValidity",
)
DAYS_ASKED = 3  # how many days an honest visit asks the hours of, until it knows two
PLACEHOLDER = "boolean:false"
_PATH = re.compile(r"/eAppointment(?P<number>\d{1,12})/(?P<rest>[^;]*)(?:;jsessionid=[^/]*)?")
_CALL = re.compile(r"dwr/call/plaincall/(\w+\.\w+)\.dwr")
_MAP = re.compile(r"Object_Object:\{(\d+):reference:c0-e1\}")
_SESSIONS = SystemRandom()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One DWR call, as the server understands it."""

    name: str  # Script.method
    dialect: int
    batch: str
    values: tuple[str, ...]  # real arguments without their types


class EAppointment:
    """The family's part of the sandbox; holds no state of its own."""

    name = "eappointment"
    cookie = "JSESSIONID"
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "error-page"
    dated = frozenset({Outcome.OFFERED, Outcome.NONE})
    realistic: Mapping[str, float] = MappingProxyType(
        {"error-page": 2, "exception": 2, "days-without-sunday": 1, "hours-unknown": 1}
    )

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(1, 99_999)
        while number in taken:
            number = fate.randint(1, 99_999)
        taken.add(number)
        return Draft(number, draw_counters(fate), draw_manners(fate))

    def new_session(self) -> str:
        return f"{_SESSIONS.getrandbits(128):032X}.worker_gfa1"

    def entry(self, desk: DeskPlan) -> str:
        number = desk.draft.number
        query = "" if desk.draft.manners.finds_place else f"?sitekey=P{number}&mobile=false"
        return f"/eAppointment{number}/appointment.do{query}"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        manners: Manners = desk.draft.manners
        found: dict[str, str | int] = {"dwr": manners.dialect} if manners.tells_dialect else {}
        if not manners.finds_place:
            found |= {"site": _site(desk), "service": _service(desk)}
        return found

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (f"/eAppointment{desk.draft.number}/",)

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return desk.draft.counters if manners.flow in {"motives", "beans"} else {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return all(counter.outcome is Outcome.CLOSED for counter in counters)

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        return Outcome.GONE if counter.outcome is Outcome.CLOSED else counter.outcome

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        manners: Manners = situation.manners
        zone = situation.desk.zone
        days = _free_days(situation, counter)
        if manners.flow == "soonest" and days:
            return Shown(tuple(days))
        end = _last_day(situation)
        if not days:  # only the list of days tells how far it goes
            return Shown((), end if manners.flow in {"plain", "soonest"} else None)
        known: list[datetime] = []
        for day in days[:DAYS_ASKED]:
            starts = (slot.astimezone(zone) for slot in counter.slots)
            known += [start for start in starts if start.date() == day]
            if len(known) > 1:
                break
        return Shown(tuple(known), end)

    def tripwire(self, call: Call) -> str | None:
        if call.method not in {"GET", "HEAD", "POST"}:
            return f"method-{call.method}"
        found = _PATH.fullmatch(call.path)
        rest = found["rest"] if found else ""
        if rest.startswith("captcha"):
            return "captcha"
        if call.method != "POST":
            return "dwr-by-get" if "dwr/call/" in rest else None
        return _tripwire_of_call(call, rest)

    def answer(self, call: Call, play: Play) -> Answer | None:
        found = _PATH.fullmatch(call.path)
        desk = play.by_number.get((call.host, int(found["number"]))) if found else None
        if found is None or desk is None:
            return None
        rest = found["rest"]
        visit = play.visit(call.session, desk)
        if rest == "appointment.do" or (rest == "element/jsp/appointment.jsp" and visit is None):
            visit = play.begin(call.session, desk)
        situation = play.situation(desk, visit)
        if rest == "appointment.do":
            if situation.ends_early:
                return Answer(missing_page(), desk, situation, Stage.ANSWER)
            if situation.manners.redirects:
                path = f"/eAppointment{desk.draft.number}/element/jsp/appointment.jsp"
                return Answer(redirect(f"{path};jsessionid={call.session}"), desk, situation)
            return _page(desk, situation)
        if rest == "element/jsp/appointment.jsp":
            return _page(desk, situation)
        if rest == "element/jsp/specific/pref94.jsp":
            return Answer(pages.postcode_page(), desk, situation)
        asked = _CALL.fullmatch(rest)
        if asked is None or call.method != "POST":
            return None
        return _called(call, asked[1], desk, visit, situation)


def _tripwire_of_call(call: Call, rest: str) -> str | None:
    asked = _CALL.fullmatch(rest)
    if asked is None:
        return "form-submit"
    lines = _lines(call.body)
    named = f"{lines.get('c0-scriptName')}.{lines.get('c0-methodName')}"
    for name in (asked[1], named):
        method = name.partition(".")[2]
        if method in NEVER:
            return f"dwr-{method}"
        if name not in READING:
            return "dwr-unknown-method"
    if named != asked[1]:
        return "dwr-two-methods"
    if lines.get("callCount") != "1" or any(key.startswith("c1-") for key in lines):
        return "dwr-batch"
    return None


def _lines(body: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in body.decode("utf-8", "replace").split("\n") if line)
    return {key: value for key, _, value in pairs}


def _understood(call: Call, name: str) -> _Asked | None:
    """The call, in the dialect its body is written in; None where a server could make nothing of it."""
    lines = _lines(call.body)
    dialect = 3 if "instanceId" in lines else 2
    page = call.path.partition("/dwr/")[0] + "/element/jsp/appointment.jsp"
    wanted = {"page": page, "httpSessionId": "", "scriptSessionId": ""}
    if dialect == 3:
        wanted = {"page": page.replace("/", "%2F"), "instanceId": "0", "nextReverseAjaxIndex": "0"}
    is_sound = all(lines.get(key) == value for key, value in wanted.items()) and "batchId" in lines
    texts = [lines[f"c0-param{place}"] for place in range(10) if f"c0-param{place}" in lines]
    before, after = READING.get(name, (0, 0)) if dialect == 2 else (0, 0)
    added = texts[:before] + texts[len(texts) - after :]
    is_text = call.headers.get("content-type") == "text/plain"
    if not is_sound or not is_text or added != [PLACEHOLDER] * (before + after):
        return None
    values = []
    for text in texts[before : len(texts) - after]:
        motive = _MAP.fullmatch(text)
        kind, _, value = text.partition(":")
        if motive is None and kind != "string":
            return None
        values.append(motive[1] if motive else value)
    return _Asked(name, dialect, lines["batchId"], tuple(values))


def _called(call: Call, name: str, desk: DeskPlan, visit: Visit | None, situation: Situation) -> Answer:
    manners: Manners = situation.manners
    asked = _understood(call, name)
    if asked is None or asked.dialect != manners.dialect:
        return Answer(pages.failure(dialect=manners.dialect, batch="0", whole_batch=True), desk, situation)
    answer = _answered(asked, desk, visit, situation) if visit is not None else None
    if answer is None:
        return Answer(pages.failure(dialect=asked.dialect, batch=asked.batch), desk, situation)
    return answer


def _answered(asked: _Asked, desk: DeskPlan, visit: Visit, situation: Situation) -> Answer | None:
    """The result of a call; None for an exception."""
    method = asked.name.partition(".")[2]
    site, service = _site(desk), _service(desk)
    manners: Manners = situation.manners
    if method == "motiveMultiSiteSubmit":
        return _motive(asked, desk, visit, situation)
    if method in {"getClosedDaysList", "getHoursProposalForADayJS"}:
        return _calendar(asked, desk, visit, situation)
    if method == "getSiteBeanList" and asked.values == ():
        return _result(asked, situation, [{"key": site, "label": "Préfecture"}])
    if method == "getServiceBeanList" and asked.values == (site,):
        return _result(asked, situation, [{"key": service, "label": "Étrangers"}])
    if method == "getMotiveBeanList" and asked.values == (site, service):
        return _motives(asked, situation)
    if method == "numberOfMonthToDisplayInCalendar" and asked.values == (site,):
        return _result(asked, situation, manners.months)
    return None


def _result(
    asked: _Asked,
    situation: Situation,
    value: Any,
    stage: Stage | None = None,
    counter: str | None = None,
) -> Answer:
    built = situation.manners.built
    reply = pages.callback(value, dialect=asked.dialect, batch=asked.batch, built=built)
    return Answer(reply, situation.desk, situation, stage, counter)


def _motives(asked: _Asked, situation: Situation) -> Answer | None:
    manners: Manners = situation.manners
    if manners.flow == "beans":
        beans = [{"key": counter.key, "label": counter.label} for counter in situation.counters]
        return _result(asked, situation, beans)
    if manners.motive_list == "exception":
        return None
    value = {"empty": [], "null": None, "unknown": [{"code": 1}]}[manners.motive_list]
    return _result(asked, situation, value)


def _motive(asked: _Asked, desk: DeskPlan, visit: Visit, situation: Situation) -> Answer | None:
    """A motive is submitted: the answer says whether anything is free."""
    counter = next((known for known in situation.counters if (known.key,) == asked.values), None)
    if counter is None or not situation.has_choice:
        return None
    visit.counter = counter.key
    is_free = counter.outcome is Outcome.OFFERED
    value = {
        "foundAvailabilities": is_free,
        "initPreviousSelectedService": False,
        "initPreviousSelectedSite": False,
        "msg": None if is_free else MESSAGES[situation.manners.message],
        "overrideValue": {"serviceKey": _service(desk)} if is_free else None,
    }
    return _result(asked, situation, value, Stage.ANSWER, counter.key)


def _calendar(asked: _Asked, desk: DeskPlan, visit: Visit, situation: Situation) -> Answer | None:
    """The closed days, or the hours of one day: they tell where no motive did, else only add dates."""
    counter = situation.counters[0]
    stage = Stage.ANSWER
    if situation.has_choice:
        chosen = next((known for known in situation.counters if known.key == visit.counter), None)
        if chosen is None:
            return None
        counter, stage = chosen, Stage.CALENDAR
    if asked.values[:2] != (_site(desk), _service(desk)):
        return None
    key = counter.key if situation.has_choice else None
    free = _free_days(situation, counter)
    if len(asked.values) == 2:
        today, end = _today(situation), _last_day(situation)
        days = [today + timedelta(days=ahead) for ahead in range((end - today).days + 1)]
        closed = [day.isoformat() for day in days if day not in free]
        return _result(asked, situation, closed, stage, key)
    zone = desk.zone
    starts = [slot.astimezone(zone) for slot in counter.slots]
    hours = [f"{start:%H:%M}" for start in starts if start.date().isoformat() == asked.values[2]]
    value = hours if situation.manners.hours == "texts" else [{"startHour": hour} for hour in hours]
    return _result(asked, situation, value, stage, key)


def _page(desk: DeskPlan, situation: Situation) -> Answer:
    """The first step the server shows."""
    manners: Manners = situation.manners
    free = _free_days(situation, situation.counters[0]) if manners.flow == "soonest" else []
    motives = {counter.key: counter.label for counter in situation.counters}
    draft: Manners = desk.draft.manners
    reply = pages.step_page(
        title=desk.label,
        site="" if draft.finds_place else _site(desk),
        service="",
        motives=motives if manners.flow == "motives" else None,
        soonest=[pages.french_day(day) for day in free],
    )
    stage = Stage.ANSWER if free else None
    return Answer(reply, desk, situation, stage)


def _site(desk: DeskPlan) -> str:
    return f"P{desk.draft.number}"


def _service(desk: DeskPlan) -> str:
    return f"{desk.draft.number + 200}"


def _today(situation: Situation) -> date:
    return situation.at.astimezone(situation.desk.zone).date()


def _last_day(situation: Situation) -> date:
    """Of the last month shown; the one in progress is the first."""
    day = _today(situation).replace(day=1)
    for _ in range(situation.manners.months):
        day = (day + timedelta(days=31)).replace(day=1)
    return day - timedelta(days=1)


def _free_days(situation: Situation, counter: CounterNow) -> list[date]:
    """Local days with a slot, as far as the calendar goes."""
    zone, end = situation.desk.zone, _last_day(situation)
    days = {slot.astimezone(zone).date() for slot in counter.slots}
    return sorted(day for day in days if day <= end)


FAMILY = EAppointment()
