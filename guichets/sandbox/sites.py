"""The préfectures' sites: each request is received, answered, broken if the scene says so, and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from guichets.sandbox import replies
from guichets.sandbox.delivery import deliver, hear, speak
from guichets.sandbox.families import Answer, Call, Family, families
from guichets.sandbox.host_state import HostState
from guichets.sandbox.ledger import Ledger
from guichets.sandbox.plans import HostPlan
from guichets.sandbox.play import Play
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import Occasion, Stage
from guichets.sandbox.truth import truth_of

_connection_numbers = itertools.count(1)
_silent = logging.Logger("guichets.sandbox.http", logging.CRITICAL)  # broken requests are part of the play


class SiteServer(web.Server):
    """An aiohttp server that numbers its connections, so that the ledger can tell them apart."""

    def __init__(self, sites: Sites, host: int) -> None:
        super().__init__(self._answer, handler_cancellation=True, access_log=None, logger=_silent)
        self._sites = sites
        self._host = host
        self._numbers: dict[RequestHandler, int] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._numbers[handler] = next(_connection_numbers)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._numbers.pop(handler, None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = self._numbers.get(request.protocol, 0)
        return await self._sites.receive(request, host=self._host, connection=connection)


class Sites:
    """All hosts of one sandbox."""

    def __init__(
        self,
        *,
        plans: Sequence[HostPlan],
        names: Sequence[str],
        play: Play,
        ledger: Ledger,
        elsewhere: str,
        latency_ms: float,
    ) -> None:
        self.plans = plans
        self.states = [HostState(name) for name in names]
        self._play = play
        self._families: list[Family] = [families()[plan.family] for plan in plans]
        self._ledger = ledger
        self._elsewhere = elsewhere
        self._latency_ms = latency_ms
        self._desks_of = {plan.number: [desk for desk in play.desks.values() if desk.host == plan.number]
                          for plan in plans}  # fmt: skip
        self._epoch = datetime.now(UTC) - timedelta(seconds=time.monotonic())  # one clock for all instants

    async def receive(self, request: web.BaseRequest, *, host: int, connection: int) -> web.StreamResponse:
        """Answer one request and write its line in the ledger, however it ends."""
        started = time.monotonic()
        state, family = self.states[host], self._families[host]
        body = await request.read() if request.can_read_body else b""
        cookie = request.cookies.get(family.cookie)
        call = Call(
            method=request.method,
            path=request.path,
            fields=tuple(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if body else (),
            session=cookie or family.new_session(),
            origin=f"http://{state.name}",
            host=host,
            title=self.plans[host].title,
            query=tuple(parse_qsl(request.query_string, keep_blank_values=True)),
            body=body,
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        user_agent = request.headers.get("User-Agent", "")
        answer = self._answer(call, state, state.interference(started))
        if answer.desk is not None and family.cookie and cookie is None and answer.reply.status < 400:
            session = f"{family.cookie}={call.session}; path=/; HttpOnly"
            answer = replace(answer, reply=answer.reply.with_header("Set-Cookie", session))
        try:
            latency_ms = self._latency_ms if state.latency_ms is None else state.latency_ms
            if latency_ms:
                await asyncio.sleep(latency_ms / 1000)
            if not answer.reply.is_spoken:
                return await deliver(request, answer.reply)
            socket, message = await hear(request)
            call = replace(call, body=message, fields=_said(message))
            answer = self._answer(call, state, None)
            return await speak(request, socket, answer.reply)
        finally:
            line = self._line(call, answer, state, user_agent)
            line |= {
                "started_at": self._utc(started),
                "started_monotonic": started,
                "connection": connection,
                "query": request.query_string,
                "cookie": cookie is not None,
            }
            ended = time.monotonic()
            self._ledger.append(line | {"ended_at": self._utc(ended), "ended_monotonic": ended})

    def record_elsewhere(self, request: web.BaseRequest) -> None:
        """Someone followed a redirect off its host."""
        now = time.monotonic()
        call = Call(request.method, request.path, (), "", "", 0, "")
        answer = Answer(Reply(), violation="off-host")
        state = HostState(request.host)
        line = self._line(call, answer, state, request.headers.get("User-Agent", ""))
        instants = {"started_monotonic": now, "ended_monotonic": now, "connection": 0, "cookie": False}
        utc = self._utc(now)
        self._ledger.append(line | instants | {"started_at": utc, "ended_at": utc, "query": ""})

    def _answer(self, call: Call, state: HostState, interference: Reply | None) -> Answer:
        """What the site would answer, then what befalls that answer."""
        family = self._families[call.host]
        answer = None if call.path == "/robots.txt" else family.answer(call, self._play)
        violation = family.tripwire(call)
        if answer is None:
            if call.path == "/robots.txt":
                reply = state.robots_txt(self._forbidden_paths(call.host))
            else:
                reply = replies.missing_page()
            return Answer(interference or reply, violation=violation)
        scene = answer.situation.scene if answer.situation else None
        reply = answer.reply
        if interference is not None:
            reply = interference
        elif scene is not None and scene.fault is not None and scene.stage in {Stage.ENTRY, answer.stage}:
            address = call.path + (f"?{urlencode(call.query)}" if call.query else "")
            reply = scene.fault(Occasion(reply, state.name, address, self._elsewhere))
        if violation is None and scene is not None and scene.robots:
            violation = "robots-ignored"
        return replace(answer, reply=reply, violation=violation)

    def _forbidden_paths(self, host: int) -> list[str]:
        return [
            path
            for desk in self._desks_of[host]
            if (scene := self._play.scene(desk.id)) is not None and scene.robots
            for path in self._families[host].forbidden_paths(desk)
        ]

    def _line(self, call: Call, answer: Answer, state: HostState, user_agent: str) -> dict[str, Any]:
        violation = answer.violation
        if violation is None and call.path != "/robots.txt" and state.is_forbidden(call.path, user_agent):
            violation = "robots-ignored"
        return {
            "host": state.name,
            "method": call.method,
            "path": call.path,
            "fields": call.fields,
            "user_agent": user_agent,
            "session": hashlib.blake2b(call.session.encode(), digest_size=4).hexdigest(),
            "desk": answer.desk.id if answer.desk else None,
            "counter": answer.counter,
            "truth": self._truth(answer),
            "status": answer.reply.status,
            "delivery": str(answer.reply.delivery),
            "bytes": len(answer.reply.body),
            "tripwire": violation,
        }

    def _truth(self, answer: Answer) -> dict[str, Any] | None:
        if answer.situation is None:
            return None
        truth = truth_of(answer.situation)
        counter = truth["counters"].get(answer.counter)
        return {
            "at": truth["at"],
            "scene": truth["scene"],
            "outcome": truth["outcome"],
            "counter": counter["outcome"] if counter else None,
        }

    def _utc(self, monotonic: float) -> str:
        return (self._epoch + timedelta(seconds=monotonic)).isoformat(timespec="milliseconds")


def _said(message: bytes) -> tuple[tuple[str, str], ...]:
    """The keys and values of a message in JSON, as the ledger writes a form's fields."""
    try:
        said = json.loads(message)
    except ValueError:
        return ()
    return tuple((str(name), str(value)) for name, value in said.items()) if isinstance(said, dict) else ()
