"""The hub of town halls as the sandbox plays it: its conversation, its token, and what must not be asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import aiohttp
import pytest

from guichets.sandbox import Options, Sandbox
from guichets.sandbox.families.ants import TOKEN

START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)
DAYS = {"start_date": "2026-03-24", "end_date": "2026-08-21"}


@pytest.fixture
async def sandbox():
    async with Sandbox(
        Options(port=0, desks=6, departements=2, speed=0, start=START, families=("ants",))
    ) as box:
        yield box


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as opened:
        yield opened


def first_desk(sandbox, scene):
    desk = sandbox.desk_list()[0]
    sandbox.set_scene(desk["id"], scene)
    return desk, f"http://{desk['host']}/api"


async def around(session, desk, api):
    position = desk["url"].partition("?")[2].partition("&reason")[0]
    async with session.get(f"{api}/MeetingPointsFromPosition?{position}") as answer:
        return await answer.json()


async def search(session, desk, api, **more):
    said = {**DAYS, "department_code": desk["url"][-5:], **more}
    async with session.ws_connect(f"{api}/SlotsFromPositionStreaming") as socket:
        await socket.send_json(said)
        messages = []
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            messages.append(message.data)
            if not message.data.startswith("["):
                break
        return messages


async def test_search_says_a_list_for_each_software_then_its_end(sandbox, session):
    desk, api = first_desk(sandbox, "offered")
    mairies = await around(session, desk, api)
    assert [mairie["id"] for mairie in mairies[1:]] == list(desk["counters"])
    lists, end = await search(session, desk, api)
    assert {town["id"] for town in json.loads(lists)} <= set(desk["counters"])
    assert json.loads(end) == {
        "step": "end_of_search",
        "editors_number": 3,
        "editor_errors_number": 0,
        "settings": {},
    }


async def test_outage_looks_like_an_empty_list_but_for_the_count_and_the_status(sandbox, session):
    desk, api = first_desk(sandbox, "software-down")
    await around(session, desk, api)
    lists, end = await search(session, desk, api)
    assert (json.loads(lists), json.loads(end)["editor_errors_number"]) == ([], 1)
    async with session.get(f"{api}/status") as answer:
        editors = (await answer.json())["editors"]
    assert [editor["status"] for editor in editors] == [False, False]
    async with session.get(
        f"{api}/availableTimeSlots",
        params={"meeting_point_ids": next(iter(desk["counters"])), **DAYS},
        headers={"X-HUB-RDV-AUTH-TOKEN": TOKEN},
    ) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "number", "status", "said"),
    [
        ({}, "1", 401, "X-HUB-RDV-AUTH-TOKEN header invalid"),
        ({"X-HUB-RDV-AUTH-TOKEN": "faux"}, "1", 401, "X-HUB-RDV-AUTH-TOKEN header invalid"),
        ({"X-HUB-RDV-AUTH-TOKEN": TOKEN}, "11TEST2111", 404, "Unknown Meeting Point ID : 11TEST2111"),
    ],
)
async def test_slots_by_number_want_the_token_and_a_number_that_is_known(
    sandbox, session, headers, number, status, said
):
    _, api = first_desk(sandbox, "offered")
    parameters = {"meeting_point_ids": number, **DAYS}
    async with session.get(f"{api}/availableTimeSlots", params=parameters, headers=headers) as answer:
        assert (answer.status, (await answer.json())["detail"]) == (status, said)


@pytest.mark.parametrize(
    ("method", "path", "headers", "rule"),
    [
        ("GET", "/api/searchApplicationIds?application_ids=6123155111", {}, "searchApplicationIds"),
        ("GET", "/api/internalAvailableTimeSlots", {}, "internalAvailableTimeSlots"),
        ("GET", "/api/initCaptchaJWT", {}, "initCaptchaJWT"),
        ("POST", "/api/validateCaptchaJWT", {}, "validateCaptchaJWT"),
        ("POST", "/api/send_antibot_info", {}, "send_antibot_info"),
        ("GET", "/rendez-vous/201?creneau=202612211000", {}, "rendez-vous"),
        ("GET", "/api/status", {"X-HUB-RDV-FRONT-AUTH-TOKEN": "x"}, "borrowed-token"),
        ("PUT", "/api/status", {}, "method-PUT"),
    ],
)
async def test_what_no_observer_may_ask_trips_a_wire(sandbox, session, method, path, headers, rule):
    _, api = first_desk(sandbox, "offered")
    async with session.request(method, api.removesuffix("/api") + path, headers=headers):
        pass
    assert [line["tripwire"] for line in sandbox.ledger.tripwires] == [rule]


@pytest.mark.parametrize("name", ["antibot_token", "reCAPTCHA_token"])
async def test_token_of_the_human_check_trips_a_wire(sandbox, session, name):
    desk, api = first_desk(sandbox, "offered")
    await around(session, desk, api)
    await search(session, desk, api, **{name: "x"})
    assert [line["tripwire"] for line in sandbox.ledger.tripwires] == ["captcha-token"]


async def test_search_of_another_postcode_asks_nobody(sandbox, session):
    desk, api = first_desk(sandbox, "offered")
    await around(session, desk, api)
    (end,) = await search(session, desk, api, department_code="00000")
    assert json.loads(end)["editor_errors_number"] == 0
