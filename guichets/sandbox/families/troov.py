"""Troov, the API behind the consulates' appointment pages, played.

Address   /<slug>-<number>/rendez-vous[?name=<service>], a page nobody need ask; the API is on the same host.
Calls     HEAD /api/handshake -> GET /api/team/slug/<slug>?lang=fr
          -> GET /api/team/<id>/reservations/get-interval?serviceId=<id>.
Session   none; the handshake's headers, without which everything is answered 418.
Closed    is_open false.
Forbidden what opens a session, holds, books, or passes the human check: answered, and logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random, SystemRandom
from types import MappingProxyType
from urllib.parse import quote

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families._troov_scenes import JSON_TYPE, SCENES, json_reply, teapot
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import Reply, page
from guichets.sandbox.scenes import Stage

APPLICATION = "fr.gouv$+bac-a-sable-meae-ttc"
FORBIDDEN = (
    "reservations-session",
    "update-step-value",
    "update-dynamic-steps",
    "reservations/family",
    "test-turnstile",
    "exclude-days",
    "availability",
    "avaibility",
    "captcha",
)
_NAMES = (
    "Demande de passeport/CNI",
    "Visas",
    "État civil",
    "ADF - Dépôt des légalisations",
    "Réception des demandes de visa",
)
_PAGE = re.compile(r"(?:/en)?/(?P<slug>[a-z-]+-(?P<number>\d+))/(?:rendez-vous|appointment)")
_SLUG = re.compile(r"/api/team/slug/[a-z-]+-(?P<number>\d+)")
_WINDOW = re.compile(r"/api/team/(?P<team>[0-9a-f]{24})/reservations/get-interval")
_REFERER = re.compile(r"https?://[^/]+(?:/en)?/[a-z-]+-(?P<number>\d+)/")
_TOKENS = SystemRandom()


@dataclass(frozen=True, slots=True)
class Manners:
    """One consulate's behaviour. ``english`` and ``names_service`` are part of the address."""

    english: bool = False
    names_service: bool = True  # else the desk is the consulate, its services are counters
    starts_in: int = 1  # days
    window_days: int = 30  # from the first bookable day to the last
    handshake: str = "usual"  # or missing, or half

    def __post_init__(self) -> None:
        if self.handshake not in {"usual", "missing", "half"}:
            raise ValueError(f"handshake={self.handshake!r} is not one of 'usual', 'missing', 'half'")


class Troov:
    """The family's part of the sandbox; holds no state of its own."""

    name = "troov"
    cookie = ""
    scenes = SCENES
    departement = "99"
    office = "Consulat"
    overload_scene = "status-503"
    dated = frozenset({Outcome.CAPTCHA})
    realistic: Mapping[str, float] = MappingProxyType({"closed": 6, "teapot": 2, "status-502": 2})

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(1, 99_999)
        while number in taken:
            number = fate.randint(1, 99_999)
        taken.add(number)
        names = fate.sample(_NAMES, fate.choice((1, 2, 3)))
        counters = {f"{number:016x}{place:08x}": name for place, name in enumerate(names, start=1)}
        manners = Manners(
            english=fate.random() < 0.2,
            names_service=fate.random() < 0.7,
            starts_in=fate.choice((0, 1, 1, 7)),
            window_days=fate.choice((28, 29, 59, 89)),
        )
        return Draft(number, counters, manners)

    def new_session(self) -> str:
        return f"{_TOKENS.getrandbits(160):040x}"

    def entry(self, desk: DeskPlan) -> str:
        manners: Manners = desk.draft.manners
        path = f"/en/{_slug(desk)}/appointment" if manners.english else f"/{_slug(desk)}/rendez-vous"
        name = next(iter(desk.draft.counters.values()))
        return f"{path}?name={quote(name, safe='')}" if manners.names_service else path

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {"api": f"{origin}/api"}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (f"/api/team/slug/{_slug(desk)}", f"/api/team/{_team(desk)}/")

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return {} if desk.draft.manners.names_service else desk.draft.counters

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return all(counter.outcome is Outcome.CLOSED for counter in counters)

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        return Outcome.CLOSED if counter.outcome is Outcome.CLOSED else Outcome.CAPTCHA

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        return Shown((), _window(situation)[1])

    def tripwire(self, call: Call) -> str | None:
        for fragment in FORBIDDEN:
            if fragment in call.path:
                return fragment.replace("/", "-")
        return None if call.method in {"GET", "HEAD"} else f"method-{call.method}"

    def answer(self, call: Call, play: Play) -> Answer | None:
        if call.path == "/api/handshake":
            return _handshake(call, play)
        shown = _PAGE.fullmatch(call.path)
        if shown:
            desk = play.by_number.get((call.host, int(shown["number"])))
            return Answer(page("<html><body><div id='__nuxt'></div></body></html>"), desk) if desk else None
        return _asked(call, play)


def _handshake(call: Call, play: Play) -> Answer:
    """The headers to replay; which desk it is for, the Referer tells. It fails only by the manners."""
    found = _REFERER.match(call.headers.get("referer", ""))
    desk = play.by_number.get((call.host, int(found["number"]))) if found else None
    manner = play.situation(desk).manners.handshake if desk else "usual"
    headers = {
        "x-gouv-handshake": call.session,
        "x-gouv-app-id": APPLICATION,
        "x-gouv-limit": "100",
    }
    kept = {"usual": 3, "half": 1, "missing": 0}[manner]
    return Answer(Reply(b"", 200, (JSON_TYPE, *list(headers.items())[:kept])), desk)


def _asked(call: Call, play: Play) -> Answer | None:
    by_slug, window = _SLUG.fullmatch(call.path), _WINDOW.fullmatch(call.path)
    if by_slug is None and window is None:
        return None
    number = int(by_slug["number"]) if by_slug else int(window["team"] if window else "0", 16)
    desk = play.by_number.get((call.host, number))
    if desk is None:
        return Answer(json_reply({"message": "NOT_FOUND"}, 404))
    token = call.headers.get("x-csrf-token", "")
    visit = play.begin(token, desk) if by_slug else play.visit(token, desk)
    situation = play.situation(desk, visit)
    wanted = {"x-gouv-app-id": APPLICATION, "x-gouv-web": "fr.gouv.consulat"}
    if not token or any(call.headers.get(name) != value for name, value in wanted.items()):
        return Answer(teapot(), desk, situation)
    if by_slug:
        stage = Stage.ANSWER if situation.ends_early else None
        return Answer(json_reply(_team_object(desk, situation)), desk, situation, stage)
    key = call.parameter("serviceId")
    if key not in desk.draft.counters:
        return Answer(json_reply({"message": "NOT_FOUND"}, 404), desk, situation)
    start, end = _window(situation)
    value = {"start": start.isoformat(), "end": end.isoformat()}
    counter = key if situation.has_choice else None
    return Answer(json_reply(value), desk, situation, Stage.ANSWER, counter)


def _team_object(desk: DeskPlan, situation: Situation) -> dict[str, object]:
    outcomes = {counter.key: counter.outcome for counter in situation.counters}
    services = [
        {
            "_id": key,
            "name": name,
            "is_open": outcomes.get(key) is not Outcome.CLOSED,
            "openings": [{"day": day, "start": "08:30", "end": "13:00"} for day in range(1, 5)],
            "closed_days": ["2026-12-25", "2027-01-01"],
            "dynamic_calendar": {
                "begin": {"value": situation.manners.starts_in},
                "end": {"value": situation.manners.window_days},
            },
            "session_duration": 15,
            "reservation_delay_hours": 0,
            "enable_prerequest": False,
        }
        for key, name in desk.draft.counters.items()
    ]
    return {
        "_id": _team(desk),
        "name": desk.office,
        "timezone": "Africa/Kinshasa",
        "reservations_shop_availabilty": services,
    }


def _slug(desk: DeskPlan) -> str:
    return f"consulat-de-bac-a-sable-{desk.draft.number}"


def _team(desk: DeskPlan) -> str:
    return f"{desk.draft.number:024x}"


def _window(situation: Situation) -> tuple[date, date]:
    """First and last bookable day, by the consulate's calendar."""
    manners: Manners = situation.manners
    start = situation.at.astimezone(situation.desk.zone).date() + timedelta(days=manners.starts_in)
    return start, start + timedelta(days=manners.window_days)


FAMILY = Troov()
