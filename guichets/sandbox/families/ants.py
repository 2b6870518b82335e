"""The hub of town halls (ANTS), played: mairies around a place, a search by WebSocket, the softwares' status.

Address   /api/SlotsFromPosition?longitude=…&latitude=47.1&radius_km=20&reason=…&documents_number=1&address=…
Calls     GET /api/MeetingPointsFromPosition -> WebSocket /api/SlotsFromPositionStreaming, or GET
          /api/availableTimeSlots with the token -> GET /api/status.
Session   none; the desk is told by its position, its postcode, or its mairie's number.
Closed    no such state: a mairie that gives no appointments looks like one that has none left.
Forbidden what names applicants, the human check and its tokens, and the forms that slots lead to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from random import Random
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families._ants_scenes import SCENES, end_of_search, json_reply
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import conversation
from guichets.sandbox.scenes import Stage

TOKEN = "jeton-du-bac-a-sable"  # what availableTimeSlots wants to see
EDITOR = "bac-a-sable"
FORBIDDEN = (
    "searchApplicationIds",
    "internalAvailableTimeSlots",
    "initCaptchaJWT",
    "validateCaptchaJWT",
    "send_antibot_info",
    "rendez-vous",  # a town's form, which takes the slot
)
FORBIDDEN_KEYS = ("antibot_token", "recaptcha_token", "captcha_token")
_NAMES = ("Mairie", "Mairie annexe du Port", "Mairie de quartier des Dunes")
_REASONS = ("CNI", "PASSPORT", "CNI-PASSPORT")
_LATITUDE = "47.1"


@dataclass(frozen=True, slots=True)
class Manners:
    """One town's behaviour. ``reason``, ``names_mairie`` and ``names_editor`` are part of the row."""

    reason: str = "CNI"
    names_mairie: bool = False  # else the desk is the town, its mairies are counters
    names_editor: bool = False
    suffix: str = ":00Z"  # after hours and minutes
    asked: int = 1  # softwares that take part in a search
    failed: int = 0  # of those
    software: str = "up"  # in status; or down, or unlisted

    def __post_init__(self) -> None:
        if self.software not in {"up", "down", "unlisted"}:
            raise ValueError(f"software={self.software!r} is not one of 'up', 'down', 'unlisted'")


class Ants:
    """The family's part of the sandbox; holds no state of its own."""

    name = "ants"
    cookie = ""
    scenes = SCENES
    departement: str | None = None
    office = "Mairie"
    overload_scene = "software-down"
    realistic: Mapping[str, float] = MappingProxyType({"captcha": 3, "software-down": 4})

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(10_000, 95_999)
        while number in taken:
            number = fate.randint(10_000, 95_999)
        taken.add(number)
        names = _NAMES[: fate.choice((1, 1, 2, 3))]
        counters = {f"{number}{place}": name for place, name in enumerate(names, start=1)}
        manners = Manners(
            reason=fate.choice(_REASONS),
            names_mairie=len(names) > 1 and fate.random() < 0.3,
            names_editor=fate.random() < 0.3,
            suffix=fate.choice((":00Z", ":00+00:00")),
        )
        return Draft(number, counters, manners)

    def new_session(self) -> str:
        return ""

    def entry(self, desk: DeskPlan) -> str:
        what = f"radius_km=20&reason={desk.draft.manners.reason}&documents_number=1"
        address = quote(f"Bac à Sable {desk.draft.number}", safe="")
        return f"/api/SlotsFromPosition?{_position(desk)}&{what}&address={address}"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        manners: Manners = desk.draft.manners
        params: dict[str, str | int] = {}
        if manners.names_mairie:
            params["meeting_point"] = next(iter(desk.draft.counters))
        if manners.names_editor:
            params["editor"] = EDITOR
        return params

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (f"/api/MeetingPointsFromPosition?{_position(desk)}&",)

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        is_one = len(desk.draft.counters) == 1 or desk.draft.manners.names_mairie
        return {} if is_one else desk.draft.counters

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        return Outcome.NONE if counter.outcome is Outcome.CLOSED else counter.outcome

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        return Shown(tuple(slot.astimezone(situation.desk.zone) for slot in counter.slots))

    def tripwire(self, call: Call) -> str | None:
        for fragment in FORBIDDEN:
            if fragment in call.path:
                return fragment
        if "x-hub-rdv-front-auth-token" in call.headers:
            return "borrowed-token"
        if any(name.lower() in FORBIDDEN_KEYS for name, _ in call.fields):
            return "captcha-token"
        return None if call.method == "GET" else f"method-{call.method}"

    def answer(self, call: Call, play: Play) -> Answer | None:
        asked = {
            "/api/MeetingPointsFromPosition": _around,
            "/api/SlotsFromPositionStreaming": _search,
            "/api/availableTimeSlots": _time_slots,
            "/api/status": _status,
        }.get(call.path)
        return asked(call, play) if asked is not None else None


def _position(desk: DeskPlan) -> str:
    """Where the town stands: its number as a longitude."""
    return f"longitude={desk.draft.number / 100_000:.5f}&latitude={_LATITUDE}"


def _around(call: Call, play: Play) -> Answer:
    """The town's mairies, and one of another postcode."""
    longitude = call.parameter("longitude") or ""
    number = round(float(longitude) * 100_000) if re.fullmatch(r"\d\.\d{5}", longitude) else 0
    desk = play.by_number.get((call.host, number))
    if desk is None:
        return Answer(json_reply([]))
    situation = play.situation(desk, play.begin("", desk))
    mairies = [_mairie(desk, key, name) for key, name in desk.draft.counters.items()]
    neighbour = {**_mairie(desk, "1", "Mairie de Marée Basse"), "zip_code": "09999"}
    return Answer(json_reply([neighbour, *mairies]), desk, situation)


def _mairie(desk: DeskPlan, key: str, name: str) -> dict[str, Any]:
    return {
        "id": key,
        "name": name,
        "longitude": desk.draft.number / 100_000,
        "latitude": float(_LATITUDE),
        "public_entry_address": "1 place du Seau",
        "zip_code": f"{desk.draft.number}",
        "city_name": "Bac à Sable",
        "decoded_city_name": "bac-a-sable",
        "website": None,
        "city_logo": None,
        "distance_km": 0.3,
    }


def _latest(call: Call, play: Play) -> tuple[DeskPlan, Situation] | None:
    """The desk that is being visited: neither a handshake nor a question for the status names one."""
    desk = play.latest.get(call.host)
    return (desk, play.situation(desk, play.visit("", desk))) if desk is not None else None


def _search(call: Call, play: Play) -> Answer:
    """The handshake's answer while there is no message; then a list of each software, and the end."""
    found = _latest(call, play)
    if found is None:
        return Answer(json_reply({"detail": "Not Found"}, 404))
    desk, situation = found
    if not call.body:
        return Answer(conversation(), desk, situation, Stage.ANSWER)
    said = dict(call.fields)
    if said.get("department_code") != f"{desk.draft.number}":
        return Answer(conversation(end_of_search(0)), desk, situation)
    manners: Manners = situation.manners
    towns = [
        {**_mairie(desk, key, desk.draft.counters[key]), "available_slots": slots}
        for key, slots in _slots(call, situation, said).items()
        if slots and manners.failed < manners.asked
    ]
    lists = [towns, *([] for _ in range(1, manners.asked))]
    messages = [json.dumps(one, ensure_ascii=False) for one in lists]
    return Answer(conversation(*messages, end_of_search(manners.failed)), desk, situation, Stage.ANSWER)


def _slots(call: Call, situation: Situation, asked: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """What each mairie has free in the days asked for, by the wall clock, under a false suffix."""
    manners: Manners = situation.manners
    first, last = date.fromisoformat(asked["start_date"]), date.fromisoformat(asked["end_date"])
    slots: dict[str, list[dict[str, str]]] = {}
    for counter in situation.counters:
        walls = [slot.astimezone(situation.desk.zone) for slot in counter.slots]
        slots[counter.key] = [
            {
                "datetime": f"{wall:%Y-%m-%dT%H:%M}{manners.suffix}",
                "callback_url": f"{call.origin}/rendez-vous/{counter.key}?creneau={wall:%Y%m%d%H%M}",
            }
            for wall in walls
            if first <= wall.date() <= last
        ]
    return slots


def _time_slots(call: Call, play: Play) -> Answer:
    if call.headers.get("x-hub-rdv-auth-token") != TOKEN:
        return Answer(json_reply({"detail": "X-HUB-RDV-AUTH-TOKEN header invalid"}, 401))
    key = call.parameter("meeting_point_ids") or ""
    desk = play.by_number.get((call.host, int(key[:-1]))) if re.fullmatch(r"\d{6}", key) else None
    if desk is None or key not in desk.draft.counters:
        return Answer(json_reply({"detail": f"Unknown Meeting Point ID : {key}"}, 404))
    situation = play.situation(desk, play.visit("", desk))
    slots = _slots(call, situation, dict(call.query)).get(key, [])
    counter = key if situation.has_choice else None
    return Answer(json_reply({key: slots} if slots else {}), desk, situation, Stage.ANSWER, counter)


def _status(call: Call, play: Play) -> Answer:
    found = _latest(call, play)
    state = found[1].manners.software if found is not None else "up"
    down = "2026-01-05T08:00:00+01:00" if state == "down" else None
    editors = [
        {
            "slug": slug,
            "name": slug.title(),
            "api_url": "https://mairie.example/api",
            "status": state != "down",
            "api_down_datetime": down,
            "api_up_datetime": "2026-01-05T09:00:00+01:00",
        }
        for slug in (EDITOR, "maree-basse")
        if state != "unlisted"
    ]
    desk, situation = found if found is not None else (None, None)
    return Answer(json_reply({"editors": editors}), desk, situation)


FAMILY = Ants()
