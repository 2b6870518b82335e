"""What may be asked of the hub of town halls, and nothing else."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from guichets.catalogue.model import Desk
from guichets.gate import Ask
from spiders.ants import GATE, search_of

HOST = "api.rendezvouspasseport.ants.gouv.fr"
API = f"https://{HOST}/api"
WHERE = "longitude=3.0348&latitude=50.5491&radius_km=20"
SLOTS = "meeting_point_ids=201&start_date=2026-11-30&end_date=2027-04-29&reason=CNI&documents_number=1"
DESK = Desk(
    id="59-x", family="ants", departement="59", office="Mairie", procedure="cni_passeport", label="x",
    url=f"{API}/SlotsFromPosition?{WHERE}&reason=PASSPORT&documents_number=2&address=Saint-Ouen-l%27Aum%C3%B4ne%2095310",
)  # fmt: skip


def ask(method: str, path: str, body: bytes = b"", kind: str = "") -> str | None:
    return GATE.refusal(Ask(method, API + path, body, kind, host=HOST))


def spoken() -> dict[str, Any]:
    search = search_of(DESK)
    assert search is not None
    said: dict[str, Any] = json.loads(search.message(date(2026, 11, 30), date(2027, 4, 29)))
    return said


def say(message: dict[str, Any], path: str = "/SlotsFromPositionStreaming", host: str = HOST) -> str | None:
    return GATE.refusal(Ask("GET", f"wss://{host}/api{path}", json.dumps(message).encode(), host=HOST))


@pytest.mark.parametrize(
    "path", [f"/MeetingPointsFromPosition?{WHERE}", f"/availableTimeSlots?{SLOTS}", "/status"]
)
def test_the_questions_of_a_visit_may_be_asked(path: str) -> None:
    assert ask("GET", path) is None
    assert ask("GET", path, b"{}", "application/json") == "body"


def test_what_a_visit_asks_is_what_the_gate_lets_through() -> None:
    search = search_of(DESK)
    assert search is not None
    first, last = date(2026, 11, 30), date(2027, 4, 29)
    assert GATE.refusal(Ask("GET", search.around, host=HOST)) is None
    assert GATE.refusal(Ask("GET", search.time_slots("201", first, last), host=HOST)) is None
    assert say(spoken()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"antibot_token": "x"},
        {"reCAPTCHA_token": "x"},
        {"smart_search": True},
        {"application_ids": "6123155111"},
        {"radius_km": 60},
        {"reason": "TITRE"},
        {"documents_number": 20},
        {"address": "Seclin"},
        {"start_date": "demain"},
        {"department_code": "59"},
        {"longitude": "est"},
    ],
)
def test_message_with_anything_else_is_refused(changes: dict[str, Any]) -> None:
    assert say({**spoken(), **changes}) == "body"


@pytest.mark.parametrize("left_out", ["longitude", "department_code", "address"])
def test_message_without_one_of_its_keys_is_refused(left_out: str) -> None:
    assert say({key: value for key, value in spoken().items() if key != left_out}) == "body"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        # named applicants
        ("GET", "/searchApplicationIds?application_ids=6123155111&meeting_point_ids=201"),
        ("GET", "/searchApplicationIds"),
        ("POST", "/searchApplicationIds"),
        # the human check and its tokens
        ("GET", "/initCaptchaJWT"),
        ("POST", "/validateCaptchaJWT"),
        ("POST", "/send_antibot_info"),
        # what is not needed, or for others
        ("GET", "/internalAvailableTimeSlots?meeting_point_ids=201"),
        ("GET", "/getManagedMeetingPoints"),
        ("GET", f"/SlotsFromPosition?{WHERE}&reason=CNI"),
        ("GET", "/searchCity?name=seclin"),
        ("GET", "/status?x=1"),
        ("GET", "/availableTimeSlots"),
        ("GET", f"/availableTimeSlots?{SLOTS}&meeting_point_ids=202"),
        ("GET", f"/availableTimeSlots?{SLOTS}&token=x"),
        ("GET", f"/availableTimeSlots?{SLOTS.replace('CNI', 'TITRE')}"),
        ("GET", f"/MeetingPointsFromPosition?{WHERE.replace('20', '60')}"),
        ("GET", "/SlotsFromPositionStreaming"),
        ("POST", f"/availableTimeSlots?{SLOTS}"),
        ("DELETE", "/status"),
    ],
)
def test_all_else_is_refused(method: str, path: str) -> None:
    assert ask(method, path) == "not-allowed"


def test_other_conversations_are_refused() -> None:
    assert say(spoken(), "/status") == "not-allowed"
    assert say(spoken(), "/SlotsFromPositionStreaming?token=x") == "not-allowed"
    assert say(spoken(), host="ws.example.org") == "off-host"


def test_form_of_a_town_is_never_opened() -> None:
    assert GATE.refusal(Ask("GET", "https://rendezvousonline.fr/alias/seclin", host=HOST)) == "off-host"
