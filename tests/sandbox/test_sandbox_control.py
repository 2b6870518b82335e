"""The ledger and the control API: what is recorded, what can be switched, what is refused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import pytest
from sandbox_walker import Walker, as_truth, told

from guichets.outcomes import Outcome
from guichets.sandbox import Options, Sandbox

START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)


@pytest.fixture
async def sandbox():
    async with Sandbox(
        Options(port=0, desks=6, departements=3, speed=0, start=START, mixture="none")
    ) as sandbox:
        yield sandbox


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield client


async def _control(client, sandbox, path, value=None):
    method = "GET" if value is None else "POST"
    async with client.request(method, sandbox.control_url + path, json=value) as answer:
        return answer.status, json.loads(await answer.text())


async def _ledger(client, sandbox, query=""):
    async with client.get(f"{sandbox.control_url}/ledger{query}") as answer:
        return [json.loads(line) for line in (await answer.text()).splitlines()]


async def test_a_ledger_line_tells_the_whole_request(sandbox, client):
    desk = sandbox.desk_list()[0]
    async with client.post(desk["url"].removesuffix("/0") + "/0", data={"condition": "on", "x": "é+ ="},
                           headers={"User-Agent": "probe/1"}) as answer:  # fmt: skip
        await answer.read()
    (line,) = await _ledger(client, sandbox)
    assert line["n"] == 1
    assert line["method"] == "POST"
    assert line["path"].endswith("/0")
    assert line["host"] == desk["host"]
    assert line["fields"] == [["condition", "on"], ["x", "é+ ="]]
    assert line["user_agent"] == "probe/1"
    assert line["cookie"] is False
    assert line["desk"] == desk["id"]
    assert line["truth"]["outcome"] == "none"
    assert line["truth"]["at"] == START.isoformat()
    assert line["status"] == 200
    assert line["tripwire"] is None
    assert line["ended_monotonic"] >= line["started_monotonic"]
    assert datetime.fromisoformat(line["started_at"]) <= datetime.fromisoformat(line["ended_at"])


async def test_the_ledger_tells_connections_and_sessions_apart(sandbox, client):
    url = sandbox.desk_list()[0]["url"]
    for _ in range(2):  # one connection, kept alive
        async with client.get(url) as answer:
            await answer.read()
    async with aiohttp.ClientSession() as other, other.get(url) as answer:
        await answer.read()
    lines = await _ledger(client, sandbox)
    assert lines[0]["connection"] == lines[1]["connection"] != lines[2]["connection"]
    assert lines[0]["session"] == lines[1]["session"] != lines[2]["session"]
    assert [line["cookie"] for line in lines] == [False, True, False]


async def test_a_request_that_is_never_answered_is_recorded_when_the_client_leaves(sandbox, client):
    sandbox.set_scene("*", "hang")
    url = sandbox.desk_list()[0]["url"]
    with pytest.raises(TimeoutError):
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=0.2)):
            pass
    async with asyncio.timeout(10):
        while not (lines := await _ledger(client, sandbox)):  # noqa: ASYNC110 - it happens across HTTP
            await asyncio.sleep(0.01)
    assert lines[0]["delivery"] == "hang"
    assert lines[0]["truth"]["outcome"] == "unreachable"


async def test_the_ledger_is_filtered_and_read_from_a_line_on(sandbox, client):
    desks = sandbox.desk_list()
    for desk in desks:
        async with client.get(desk["url"]) as answer:
            await answer.read()
    assert [line["desk"] for line in await _ledger(client, sandbox, f"?desk={desks[1]['id']}")] == [
        desks[1]["id"]
    ]
    assert [line["n"] for line in await _ledger(client, sandbox, "?since=4")] == [5, 6]


async def test_truth_scene_and_catalogue_agree(sandbox, client):
    first, second, *_ = (desk["id"] for desk in sandbox.desk_list())
    status, _ = await _control(client, sandbox, "/scene", {"desk": first, "scene": "offered"})
    assert status == 200
    _, truth = await _control(client, sandbox, "/truth")
    assert truth[first]["outcome"] == "offered"
    assert truth[second]["outcome"] == "none"
    _, catalogue = await _control(client, sandbox, "/catalogue")
    assert catalogue["folder"] == str(sandbox.catalogue)
    assert [desk["scene"] for desk in catalogue["desks"][:2]] == ["offered", "none"]
    await _control(client, sandbox, "/scene", {"desk": [first], "scene": None})
    _, truth = await _control(client, sandbox, f"/truth?desk={first}&at=2026-05-01T08:00:00%2B02:00")
    assert list(truth) == [first]
    assert truth[first]["scene"] in {None, "overload-503"}
    assert truth[first]["at"] == "2026-05-01T08:00:00+02:00"


async def test_scenes_lists_the_table(sandbox, client):
    _, scenes = await _control(client, sandbox, "/scenes")
    by_name = {scene["name"]: scene for scene in scenes}
    assert by_name["none"]["outcome"] == "none"
    assert by_name["life"]["outcome"] is None
    assert by_name["hang"]["slow"] is True


async def test_a_host_may_ban_after_some_requests(sandbox, client):
    desk = sandbox.desk_list()[0]
    await _control(client, sandbox, "/host", {"host": desk["host"], "ban_after": 3, "retry_after": 120})
    answers = []
    for _ in range(5):
        async with client.get(desk["url"]) as answer:
            answers.append((answer.status, answer.headers.get("Retry-After")))
    assert answers == [(200, None)] * 3 + [(403, "120")] * 2
    other = next(known for known in sandbox.desk_list() if known["host"] != desk["host"])
    async with client.get(other["url"]) as answer:
        assert answer.status == 200
    await _control(client, sandbox, "/host", {"host": desk["host"], "ban_after": None})
    async with client.get(desk["url"]) as answer:
        assert answer.status == 200


async def test_robots_txt_is_missing_unless_asked_for(sandbox, client):
    host = sandbox.desk_list()[0]["host"]
    async with client.get(f"http://{host}/robots.txt") as answer:
        assert answer.status == 404
    await _control(client, sandbox, "/host", {"host": "*", "crawl_delay": 7})
    async with client.get(f"http://{host}/robots.txt") as answer:
        assert answer.status == 200
        assert await answer.text() == "User-agent: *\nCrawl-delay: 7\n"


@pytest.mark.parametrize(("switches", "expected"), [({"status": 503}, Outcome.OVERLOADED),
                                                    ({"status": 429}, Outcome.BLOCKED)])  # fmt: skip
async def test_a_host_may_fail_as_a_whole(sandbox, client, switches, expected):
    desk = sandbox.desk_list()[0]
    await _control(client, sandbox, "/host", {"host": desk["host"], **switches})
    found = await Walker(sandbox.play.desks[desk["id"]].zone).visit(desk["url"])
    assert found.outcome is expected


async def test_a_host_may_be_down(sandbox, client):
    await _control(client, sandbox, "/host", {"host": "*", "down": True})
    with pytest.raises(aiohttp.ClientError):
        async with client.get(sandbox.desk_list()[0]["url"]):
            pass


async def test_the_clock_may_be_advanced(sandbox, client):
    _, answer = await _control(client, sandbox, "/clock", {"advance_seconds": 3600})
    assert answer["simulated_now"] == "2026-03-24T11:17:00+00:00"
    status, _ = await _control(client, sandbox, "/clock", {"advance_seconds": -1})
    assert status == 400


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("/scene", {"desk": "nowhere", "scene": "none"}, "no desk 'nowhere' in this sandbox"),
        ("/scene", {"scene": "none"}, "which desk? Give its id, a list of ids, or *"),
        ("/scene", {"desk": "*", "scene": "nothing"}, "no scene 'nothing' for 26-sandbox-001"),
        (
            "/scene",
            {"desk": "*", "scene": "none", "manners": {"answers": "maybe"}},
            "answers='maybe' is not one of",
        ),
        ("/scene", {"desk": "*", "manners": {"colour": 1}}, "no manner 'colour'"),
        ("/scene", {"desk": "*", "sceen": "none"}, "no field 'sceen'"),
        ("/host", {"host": "nowhere", "down": True}, "no host 'nowhere'"),
        ("/host", {"host": "*", "speed": 1}, "no switch 'speed' on hosts"),
        ("/host", {"host": "*", "ban_after": "ten"}, "switch 'ban_after' of a host cannot be 'ten'"),
        ("/host", {"host": "*", "status": 418}, "status 418: choose 400, 401"),
        ("/clock", {"speed": True}, "speed True is not a number"),
        ("/clock", [], "expected a JSON object"),
    ],
)
async def test_a_wrong_command_is_refused_with_its_reason(sandbox, client, path, value, reason):
    status, answer = await _control(client, sandbox, path, value)
    assert status == 400
    assert reason in answer["error"]


@pytest.mark.parametrize(
    "query", ["/truth?at=now", "/truth?desk=nowhere", "/ledger?colour=red", "/ledger?since=x"]
)
async def test_a_wrong_question_is_refused(sandbox, client, query):
    status, answer = await _control(client, sandbox, query)
    assert status == 400
    assert answer["error"]


async def test_health_counts(sandbox, client):
    async with client.get(sandbox.desk_list()[0]["url"].removesuffix("/0") + "/9") as answer:
        await answer.read()
    _, health = await _control(client, sandbox, "/healthz")
    assert (health["desks"], health["hosts"], health["requests"], health["tripwires"]) == (6, 3, 1, 1)
    _, tripwires = await _control(client, sandbox, "/tripwires")
    assert [line["tripwire"] for line in tripwires] == ["step-9"]


async def test_a_scene_pinned_in_the_middle_changes_the_truth(sandbox):
    desk = sandbox.desk_list()[0]
    walker = Walker(sandbox.play.desks[desk["id"]].zone)
    for scene in ("offered", "closed-unavailable", "none"):
        sandbox.set_scene(desk["id"], scene)
        found = await walker.visit(desk["url"])
        assert as_truth(found) == told(sandbox.truth(desk=desk["id"])[desk["id"]])
