"""ESII Orion, the appointment pages of the préfecture d'Ille-et-Vilaine, played by a small application.

Address   /orion-reservation/slots?account=EVMSPI&config=<code>&usemode=app&code=<place>: a document that is
          empty without its script.
Calls     the script asks GET /orion/api/1/public/accounts/…/configs/… (the sandbox's own invention: nobody
          published what the real page asks), then POST /orion/api/1/rdv/bookings/availableSlotByDay.
Session   none.
Shows     days, or div.user-msg; class error when something failed.
Forbidden every other POST, and what acts on a booking: answered, and logged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from random import Random
from types import MappingProxyType
from typing import Any

from guichets.outcomes import Outcome
from guichets.sandbox.families import Answer, Call, Draft, Shown
from guichets.sandbox.families import _orion_page as app
from guichets.sandbox.families._orion_scenes import SCENES, json_reply
from guichets.sandbox.plans import DeskPlan
from guichets.sandbox.play import CounterNow, Play, Situation
from guichets.sandbox.replies import Reply, missing_page, page, proxy_page
from guichets.sandbox.scenes import Stage

ACCOUNT = "EVMSPI"
ELSEWHERE = "http://statistiques.bac-a-sable.invalid"  # third parties: reserved never to exist
KEPT = ("Cache-Control", "public, max-age=31536000, immutable")  # names of such files change with them
FILES = {app.SCRIPT: ("main.js", "text/javascript"), app.STYLE: ("styles.css", "text/css")}
SHAPES = ("days", "strings", "instants", "undated", "two-dates")
ACTING = ("createBooking", "confirm", "cancel", "hold", "captcha", "/live")

_CONFIG = re.compile(r"SEJOUR(\d{1,6})")
_CONFIGURATION = re.compile(rf"{app.API}/public/accounts/{ACCOUNT}/configs/SEJOUR(?P<number>\d{{1,6}})")


@dataclass(frozen=True, slots=True)
class Manners:
    """One page's behaviour."""

    most_days: int = 30
    shape: str = "days"  # of the elements of daySlots
    late_ms: int = 0  # between the answer and its rendering
    says: str = ""  # message, error or nothing, whatever the answer
    configuration: int = 200  # its status; 0: 200, and empty
    odd: str = ""  # what the script does besides
    never: bool = False  # it asks for nothing
    twice: bool = False  # it asks for its slots twice

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape={self.shape!r} is not one of {SHAPES}")


class Orion:
    """The family's part of the sandbox; holds no state of its own."""

    name = "orion"
    cookie = ""
    scenes = SCENES
    departement = None
    office = "Préfecture"
    overload_scene = "slots-500"
    realistic: Mapping[str, float] = MappingProxyType(
        {"days-beside-message": 2, "slots-500": 3, "configuration-500": 2, "odd-third-parties": 4}
    )

    def draft(self, fate: Random, taken: set[int], title: str) -> Draft:
        number = fate.randint(1, 99_999)
        while number in taken:
            number = fate.randint(1, 99_999)
        taken.add(number)
        manners = Manners(
            most_days=fate.choice((3, 10, 30)),
            shape=fate.choice(("days", "days", "strings", "instants")),
            late_ms=fate.choice((0, 0, 50, 300)),
        )
        return Draft(number, {"REN1": "Rennes"}, manners)

    def new_session(self) -> str:
        return ""

    def entry(self, desk: DeskPlan) -> str:
        return f"{app.BASE}/slots?account={ACCOUNT}&config=SEJOUR{desk.draft.number}&usemode=app&code=REN1"

    def params(self, desk: DeskPlan, origin: str) -> Mapping[str, str | int]:
        return {}

    def forbidden_paths(self, desk: DeskPlan) -> tuple[str, ...]:
        return (f"{app.BASE}/slots*config=SEJOUR{desk.draft.number}&",)

    def counters(self, desk: DeskPlan, manners: Manners, visit: int) -> Mapping[str, str]:
        return {}

    def ends_before_choice(self, manners: Manners, counters: tuple[CounterNow, ...]) -> bool:
        return False

    def told(self, situation: Situation, counter: CounterNow) -> Outcome:
        # a page that is switched off shows nothing of its own: the same empty list
        return Outcome.NONE if counter.outcome is Outcome.CLOSED else counter.outcome

    def shown(self, situation: Situation, counter: CounterNow) -> Shown:
        return Shown(tuple(_days(situation, counter)))

    def tripwire(self, call: Call) -> str | None:
        if any(word in call.path for word in ACTING):
            return "acting"
        if call.method == "POST" and call.path == f"{app.API}/rdv/bookings/availableSlotByDay":
            return None if _asked(call).get("usagerUid", "") is None else "person"
        return None if call.method in {"GET", "HEAD"} else f"method-{call.method}"

    def answer(self, call: Call, play: Play) -> Answer | None:
        if call.path in FILES:
            name, kind = FILES[call.path]
            return Answer(Reply(app.part(name), 200, (("Content-Type", f"{kind}; charset=utf-8"), KEPT)))
        if call.path == f"{app.BASE}/slots":
            return _document(call, play)
        if _CONFIGURATION.fullmatch(call.path):
            return _configuration(call, play)
        if call.path == f"{app.API}/rdv/bookings/availableSlotByDay":
            return _slots(call, play)
        return None


def _document(call: Call, play: Play) -> Answer | None:
    found = _CONFIG.fullmatch(call.parameter("config") or "")
    desk = play.by_number.get((call.host, int(found[1]))) if found else None
    if desk is None:
        return None
    situation = play.situation(desk, play.begin("", desk))
    manners: Manners = situation.manners
    return Answer(page(app.document(asdict(manners), elsewhere=ELSEWHERE)), desk, situation)


def _configuration(call: Call, play: Play) -> Answer:
    found = _CONFIGURATION.fullmatch(call.path)
    desk = play.by_number.get((call.host, int(found["number"]))) if found else None
    if desk is None:
        return Answer(missing_page())
    situation = play.situation(desk, play.visit("", desk))
    status: int = situation.manners.configuration
    if status >= 400:
        return Answer(proxy_page(status) if status != 404 else missing_page(), desk, situation)
    purpose = {
        "id": f"{desk.draft.number:024x}",
        "businessId": "SEJ04",
        "groupPurposeId": None,
        "name": f"{desk.label} (démarche n° {desk.draft.number})",
        "duration": "00:20:00",
        "visibility": "PUBLIC",
        "notice": "<p>Présentez-vous avec votre titre de séjour.</p>",
    }
    value = {
        "accountId": ACCOUNT,
        "configId": _config_id(desk),
        "purposes": [purpose],
    }
    return Answer(json_reply(value if status else {}), desk, situation)


def _slots(call: Call, play: Play) -> Answer:
    asked = _asked(call)
    number = str(asked.get("configId", ""))
    desk = play.by_number.get((call.host, int(number, 16))) if re.fullmatch(r"[0-9a-f]{24}", number) else None
    if desk is None or not asked.get("purposes"):
        return Answer(json_reply({"error": "BAD_REQUEST"}, 400))
    situation = play.situation(desk, play.visit("", desk))
    (counter,) = situation.counters
    value = {
        "configId": _config_id(desk),
        "numberOfDay": asked.get("numberOfDay"),
        "daySlots": [_element(day, situation) for day in _days(situation, counter)],
    }
    return Answer(json_reply(value), desk, situation, Stage.ANSWER)


def _element(day: date, situation: Situation) -> Any:
    """One element of daySlots. Nobody published one: the sandbox plays what such lists look like."""
    shape: str = situation.manners.shape
    if shape == "strings":
        return day.isoformat()
    if shape == "instants":
        return {"date": f"{day.isoformat()}T00:00:00", "slots": [{"start": "09:00", "end": "09:20"}]}
    if shape == "undated":
        return {"label": f"{day:%d/%m/%Y}", "count": 2}
    if shape == "two-dates":
        return {"from": day.isoformat(), "to": date.fromordinal(day.toordinal() + 1).isoformat()}
    return {"day": day.isoformat(), "slots": [{"hour": "09:00", "free": 1}]}


def _days(situation: Situation, counter: CounterNow) -> list[date]:
    """The days that have something free, in the desk's zone; as many as the page shows."""
    slots: tuple[datetime, ...] = counter.slots
    days = sorted({slot.astimezone(situation.desk.zone).date() for slot in slots})
    return days[: situation.manners.most_days]


def _config_id(desk: DeskPlan) -> str:
    return f"{desk.draft.number:024x}"


def _asked(call: Call) -> dict[str, Any]:
    try:
        found = json.loads(call.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


FAMILY = Orion()
