"""RDV Service Public, played.

Address   /prendre_rdv?..., or a short link /org/<id> that redirects there.
Funnel    service -> motive -> places that have a slot -> week; what is missing in the address is asked.
Session   cookie _rdv_session; it only tells which visit this is.
Forbidden /users/..., /creneaux and whatever else begins a booking, invitations, agents' pages, APIs that need
          a key, every method but GET and HEAD: answered, and logged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random, SystemRandom
from types import MappingProxyType
from urllib.parse import urlencode

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _rdv_service_public_pages as pages
from guichets.sandbox.families._rdv_service_public_manners import Manners, Motive, draw_manners
from guichets.sandbox.families._rdv_service_public_scenes import SCENES
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import Reply, page, redirect
from guichets.sandbox.scenes import Stage

_ORGANISATION = re.compile(r"/org/(?:ext/[0-9AB]{2,3}/ext-)?(\d{1,12})(?:/[A-Za-z0-9_-]+)?")
_FORBIDDEN_PATHS = {
    "/users": "users",
    "/creneaux": "creneaux-wizard",
    "/agents": "agents",
    "/admin": "agents",
    "/prescripteur": "prescripteur",
    "/invitation": "invitation",
}
_FORBIDDEN_NAMES = {"invitation_token": "invitation", "prescripteur": "prescripteur", "starts_at": "slot"}
_SESSIONS = SystemRandom()
_NUMBERS = 8  # an organisation's own, its services' and its places'


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request for the search of one organisation."""

    call: Call
    desk: DeskPlan
    situation: Situation

    @property
    def manners(self) -> Manners:
        manners: Manners = self.situation.manners
        return manners

    @property
    def frame(self) -> pages.Frame:
        return pages.Frame(
            self.call.title, self.call.query, self.manners.layout == "dsfr", self.manners.dates
        )

    def answer(self, reply: Reply, stage: Stage | None = None, counter: str | None = None) -> Answer:
        return Answer(reply, self.desk, self.situation, stage, counter)


class RdvServicePublic:
    """The family's part of the sandbox; holds no state of its own."""

    name = "rdv_service_public"
    cookie = "_rdv_session"
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "status-503"
    realistic: Mapping[str, float] = MappingProxyType(
        {"gone-organisation": 1, "address-step": 1, "status-503": 3}
    )

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(100, 9_000)
        while any(near in taken for near in range(number, number + _NUMBERS * 2)):
            number = fate.randint(100, 9_000)
        manners = draw_manners(fate, number)
        taken.update(range(number, number + _NUMBERS * 2))
        return Draft(number, manners.counters(), manners)

    def new_session(self) -> str:
        return f"{_SESSIONS.getrandbits(128):032x}"

    def entry(self, desk: DeskPlan) -> str:
        manners: Manners = desk.draft.manners
        number = desk.draft.number
        organisation = {"public_link_organisation_id": str(number)}
        motive = {"motif_name_with_location_type": manners.motives[0].slug}
        return {
            "org": f"/org/{number}",
            "slug": f"/org/{number}/prefecture",
            "external": f"/org/ext/{desk.departement}/{manners.external}",
            "query": f"/prendre_rdv?{urlencode({'departement': desk.departement, **organisation})}",
            "empty": f"/prendre_rdv?{urlencode({'departement': '', **organisation})}",
            "motive": f"/prendre_rdv?{urlencode({'departement': '', **motive, **organisation})}",
            "params": f"/org/{number}",
        }[manners.entry]

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        manners: Manners = desk.draft.manners
        if manners.entry != "params":
            return {}
        motive = manners.motives[0]
        return {"service_id": motive.service, "motif_name_with_location_type": motive.slug}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        number = desk.draft.number
        search = f"/prendre_rdv*public_link_organisation_id={number}"
        external = f"/org/ext/{desk.departement}/{desk.draft.manners.external}"
        return (f"/org/{number}$", f"/org/{number}/", f"{external}$", f"{search}$", f"{search}&")

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return manners.counters()

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def seen(self, situation: Situation) -> tuple[CounterNow, ...]:
        manners: Manners = situation.manners
        scene = situation.scene
        is_broken = scene is not None and scene.stage is Stage.ANSWER and scene.outcome is not None
        found: list[CounterNow] = []
        for motive in manners.reachable:
            free = [
                counter
                for counter in situation.counters
                if counter.key in manners.places(motive) and counter.outcome is Outcome.OFFERED
            ]
            if free and not is_broken and not manners.bad_date:
                found += free
            elif manners.chooses:
                outcome = Outcome.OFFERED if free else Outcome.NONE
                life = situation.counters[0].life
                found.append(CounterNow(motive.slug, motive.label, outcome, (), life))
        return tuple(found)

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        if counter.outcome is not Outcome.OFFERED:
            return Outcome.NONE  # the platform has no word for what is switched off
        manners: Manners = situation.manners
        if manners.bad_date:
            return Outcome.UNRECOGNISED
        return Outcome.NONE if manners.week == "taken" else Outcome.OFFERED

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        manners: Manners = situation.manners
        slots = _local(situation, counter)
        if manners.week != "whole":
            return Shown(slots[:1])
        week = _week_of(slots, slots[0].date(), manners.closes)
        if len(week.slots) > 1 or not week.goes_on:
            return Shown(week.slots, week.last_day)
        following = _week_of(slots, slots[0].date() + timedelta(days=pages.WEEK), manners.closes)
        more = following.slots or ((following.after,) if following.after else ())
        return Shown((*week.slots, *more), following.last_day if more else week.last_day)

    def tripwire(self, call: Call) -> str | None:
        if call.method not in {"GET", "HEAD"}:
            return f"method-{call.method}"
        for start, name in _FORBIDDEN_PATHS.items():
            if call.path.startswith(start):
                return name
        if call.path.startswith("/api/") and call.path != "/api/v1/public_links":
            return "api"
        for name, _ in call.query:
            if name in _FORBIDDEN_NAMES:
                return _FORBIDDEN_NAMES[name]
        return None

    def answer(self, call: Call, play: Play) -> Answer | None:
        if call.path in {"/", "/api/v1/public_links"}:
            desk = next(
                (
                    known
                    for known in play.desks.values()
                    if known.host == call.host and play.visit(call.session, known) is not None
                ),
                None,
            )
        else:
            desk = _desk_of(call, play)
        if desk is None:
            return None
        visit = play.visit(call.session, desk) or play.begin(call.session, desk)
        asked = _Asked(call, desk, play.situation(desk, visit))
        if call.path == "/":
            flash = pages.UNKNOWN if asked.manners.organisation == "unknown" else ""
            return asked.answer(page(pages.address_page(asked.frame, flash)))
        if call.path == "/api/v1/public_links":
            return asked.answer(_public_links(asked))
        if asked.manners.organisation != "known":
            return asked.answer(redirect("/"))
        if call.path == "/prdv":
            return asked.answer(redirect(f"/prendre_rdv?{urlencode(call.query)}"))
        if call.path != "/prendre_rdv":
            number = str(desk.draft.number)
            query = {"public_link_organisation_id": number, "departement": desk.departement}
            return asked.answer(redirect(f"/prendre_rdv?{urlencode(query)}"))
        return _search(asked)


def _desk_of(call: Call, play: Play) -> DeskPlan | None:
    found = _ORGANISATION.fullmatch(call.path)
    number = found[1] if found else None
    if call.path in {"/prendre_rdv", "/prdv"}:
        number = call.parameter("public_link_organisation_id")
    return play.by_number.get((call.host, int(number))) if number and number.isdecimal() else None


def _search(asked: _Asked) -> Answer:
    """The page of the first thing that is missing."""
    manners, frame = asked.manners, asked.frame
    wants_address = manners.empty_departement == "asked" and not asked.call.parameter("departement")
    if manners.asks_address or wants_address:
        return asked.answer(page(pages.address_page(frame)))
    service = asked.call.parameter("service_id")
    motive = manners.motive(asked.call.parameter("motif_name_with_location_type"))
    if motive is None:
        services = {known.service: f"Service {known.service}" for known in manners.motives}
        if manners.services == "several" and len(services) > 1 and not service:
            return asked.answer(page(pages.services_page(frame, services)))
        listed = [
            known
            for known in manners.motives
            if manners.services == "one" or not service or str(known.service) == service
        ]
        if len(listed) != 1 or manners.chooses:
            return asked.answer(page(pages.motives_page(frame, listed)))
        motive = listed[0]
    name = "lieu_id" if motive.step == "lieu" else "user_selected_organisation_id"
    known = {place: key for key, place in manners.places(motive).items()}
    counters = {counter.key: counter for counter in asked.situation.counters}
    place = asked.call.parameter(name)
    if place in known:
        counter = counters[known[place]]
        return asked.answer(_week(asked, motive, place, counter), Stage.CALENDAR, counter.key)
    first = {
        place: _local(asked.situation, counters[key])[0]
        for place, key in known.items()
        if counters[key].outcome is Outcome.OFFERED
    }
    if not first:
        return asked.answer(page(pages.none_page(frame, motive)), Stage.ANSWER)
    text = pages.places_page(frame, motive, first, bad_date=manners.bad_date)
    return asked.answer(page(text), Stage.ANSWER)


@dataclass(frozen=True, slots=True)
class _Week:
    slots: tuple[datetime, ...]
    after: datetime | None  # the next free slot, when the week has none
    last_day: date  # that can be booked
    goes_on: bool  # whether a link leads to the following week
    closed_from: date | None


def _week_of(slots: tuple[datetime, ...], begin: date, closes: bool) -> _Week:
    end = begin + timedelta(days=pages.WEEK)
    inside = tuple(slot for slot in slots if begin <= slot.date() < end)
    later = [slot for slot in slots if slot.date() >= end]
    closed_from = slots[-1].date() + timedelta(days=1) if closes else None
    last_day = end - timedelta(days=1)
    if closed_from is not None:
        last_day = min(last_day, closed_from - timedelta(days=1))
    return _Week(
        inside,
        later[0] if later and not inside else None,
        last_day,
        closed_from is None or closed_from >= end,
        closed_from,
    )


def _week(asked: _Asked, motive: Motive, place: str, counter: CounterNow) -> Reply:
    """The week of a place from the date that is asked for, or what goes wrong there."""
    manners, frame = asked.manners, asked.frame
    if manners.week == "503":
        return replies.proxy_page(503)
    if manners.week == "taken":
        return page(pages.taken_page(frame, motive, place))
    if manners.week == "workshop":
        return page(pages.workshops_page(frame, motive))
    slots = _local(asked.situation, counter)
    begin = date.fromisoformat((asked.call.parameter("date") or slots[0].isoformat())[:10])
    week = _week_of(slots, begin, manners.closes)
    if manners.week == "empty":
        return page(pages.week_page(frame, motive, place, begin, ()))
    text = pages.week_page(
        frame, motive, place, begin, week.slots, after=week.after, closed_from=week.closed_from
    )
    return page(text)


def _local(situation: Situation, counter: CounterNow) -> tuple[datetime, ...]:
    return tuple(slot.astimezone(situation.desk.zone) for slot in counter.slots)


def _public_links(asked: _Asked) -> Reply:
    """The organisations of a territory that have an external id and something bookable."""
    known = asked.manners.public_links
    if known == "html":
        return replies.unknown_page()
    kind = (("Content-Type", "application/json; charset=utf-8"),)
    if known == "missing" or asked.call.parameter("territory") != asked.desk.departement:
        return Reply(b'{"errors":["not found"]}', 404, kind)
    number = asked.desk.draft.number if known == "listed" else asked.desk.draft.number + 10_000
    link = {"external_id": f"ext-{number}", "public_link": f"{asked.call.origin}/org/{number}"}
    return Reply(json.dumps({"public_links": [link]}).encode(), 200, kind)


FAMILY = RdvServicePublic()
