"""The control API: what tests and demonstrations ask of a sandbox. Answers only on loopback.

GET  /healthz                 counts, and the simulated instant
GET  /catalogue               folder and desks
GET  /scenes                  every scene with its expected outcome
GET  /truth?desk=&at=         what an honest probe must establish, by desk; ``at`` is an ISO instant
GET  /ledger?since=&desk=…    JSON lines; any key of a line filters
GET  /tripwires               the lines that broke a rule
POST /scene  {"desk": id | [ids] | "*", "scene": name | null, "manners": {…}}
POST /host   {"host": "address:port" | "*", switches…}
POST /clock  {"advance_seconds": n, "speed": n}
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from guichets.errors import ArgumentError
from guichets.sandbox.families import families

if TYPE_CHECKING:
    from guichets.sandbox.server import Sandbox

ELSEWHERE = "/elsewhere"
_FILTERS = ("host", "method", "path", "desk", "counter", "status", "tripwire", "session", "connection")


def build_control(sandbox: Sandbox) -> web.Application:
    """The application behind the control address."""
    routes = _Routes(sandbox)
    application = web.Application(middlewares=[_explain])
    application.router.add_get("/healthz", routes.health)
    application.router.add_get("/catalogue", routes.catalogue)
    application.router.add_get("/scenes", routes.scenes)
    application.router.add_get("/truth", routes.truth)
    application.router.add_get("/ledger", routes.ledger)
    application.router.add_get("/tripwires", routes.tripwires)
    application.router.add_post("/scene", routes.set_scene)
    application.router.add_post("/host", routes.set_host)
    application.router.add_post("/clock", routes.set_clock)
    application.router.add_route("*", ELSEWHERE + "{rest:.*}", routes.elsewhere)
    return application


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A mistake of the caller is a 400 with its reason."""
    try:
        return await handler(request)
    except (ArgumentError, json.JSONDecodeError) as error:
        return _json({"error": str(error)}, status=400)


class _Routes:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, request: web.Request) -> web.Response:
        return _json(self._sandbox.health())

    async def catalogue(self, request: web.Request) -> web.Response:
        return _json({"folder": str(self._sandbox.catalogue), "desks": self._sandbox.desk_list()})

    async def scenes(self, request: web.Request) -> web.Response:
        return _json(
            [
                {"family": name, "name": scene.name, "outcome": scene.outcome and str(scene.outcome),
                 "sentence": scene.sentence, "slow": scene.slow}
                for name in self._sandbox.options.families
                for scene in families()[name].scenes
            ]
        )  # fmt: skip

    async def truth(self, request: web.Request) -> web.Response:
        at = None
        if "at" in request.query:
            try:
                at = datetime.fromisoformat(request.query["at"])
            except ValueError:
                at = None
            if at is None or at.tzinfo is None:
                raise ArgumentError(f"at={request.query['at']!r} is not an ISO instant with its zone")
        return _json(self._sandbox.truth(desk=request.query.get("desk"), at=at))

    async def ledger(self, request: web.Request) -> web.StreamResponse:
        wanted = {name: value for name, value in request.query.items() if name in _FILTERS}
        strangers = set(request.query) - {*_FILTERS, "since"}
        if strangers:
            raise ArgumentError(f"no filter {sorted(strangers)[0]!r}: known are since, {', '.join(_FILTERS)}")
        try:
            since = int(request.query.get("since", "0"))
        except ValueError:
            raise ArgumentError(f"since={request.query['since']!r} is not a number") from None
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        batch: list[str] = []
        for line in self._sandbox.ledger.lines(since=since, wanted=wanted):
            batch.append(line)
            if len(batch) == 200:
                await response.write("".join(batch).encode())
                batch.clear()
        await response.write("".join(batch).encode())
        await response.write_eof()
        return response

    async def tripwires(self, request: web.Request) -> web.Response:
        return _json(list(self._sandbox.ledger.tripwires))

    async def set_scene(self, request: web.Request) -> web.Response:
        asked = await _asked(request, {"desk", "scene", "manners"})
        desks = asked.get("desk")
        self._sandbox.set_scene(desks, asked.get("scene"), asked.get("manners"))
        return _json({"ok": True})

    async def set_host(self, request: web.Request) -> web.Response:
        asked = await _asked(request, None)
        self._sandbox.set_host(str(asked.pop("host", "")), asked)
        return _json({"ok": True})

    async def set_clock(self, request: web.Request) -> web.Response:
        asked = await _asked(request, {"advance_seconds", "speed"})
        for name, value in asked.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e10:
                raise ArgumentError(f"{name} {value!r} is not a number, 0 or more")
        clock = self._sandbox.play.clock
        clock.advance(asked.get("advance_seconds", 0))
        if "speed" in asked:
            clock.change_speed(asked["speed"])
        return _json({"ok": True, "simulated_now": clock.now().isoformat()})

    async def elsewhere(self, request: web.Request) -> web.Response:
        self._sandbox.sites.record_elsewhere(request)
        return web.Response(text="another host", content_type="text/html")


async def _asked(request: web.Request, known: set[str] | None) -> dict[str, Any]:
    asked = await request.json()
    if not isinstance(asked, dict):
        raise ArgumentError("expected a JSON object")
    if known is not None and set(asked) - known:
        raise ArgumentError(
            f"no field {sorted(set(asked) - known)[0]!r}: known are {', '.join(sorted(known))}"
        )
    return asked


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(value, ensure_ascii=False, default=str),
        status=status,
        content_type="application/json",
    )
