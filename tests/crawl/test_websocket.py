"""Whatever a server does with a conversation, its probe yields one observation; no frame too many leaves."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import struct
from asyncio import StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request
from scrapy.utils.test import get_crawler

from guichets.crawl import meta
from guichets.crawl.websocket import WebSocketDownloadHandler
from guichets.schedule.lease import HostLease, LeaseLost
from guichets.schedule.pace import Pace
from spiders.ants import VERDICT, AntsSpider
from tests.crawl_fixtures import CrawlResult, Workshop
from tests.hostile_server import HostileServer, page, redirect

TIMEOUT_SECONDS = 6
MOST_BYTES = 100_000
KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
STREAMING = b"GET /api/SlotsFromPositionStreaming "
END = json.dumps({"step": "end_of_search", "editors_number": 1, "editor_errors_number": 0, "settings": {}})
MAIRIES = json.dumps([{"id": "201", "name": "Mairie", "zip_code": "59113"}])

Talk = Callable[[StreamWriter], Awaitable[None]]


def frame(payload: bytes | str, opcode: int = 1, *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as a server sends it: unmasked."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(data) < 126:
        return bytes([first, len(data)]) + data
    return bytes([first, 126]) + struct.pack("!H", len(data)) + data


def switching(request: bytes, *, accept: bytes | None = None, upgrade: str = "websocket") -> bytes:
    """The head that accepts a handshake."""
    found = KEY.search(request)
    assert found is not None
    accept = accept or base64.b64encode(hashlib.sha1(found[1] + MAGIC).digest())
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n"
    return head.encode() + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def saying(*frames: bytes) -> Talk:
    """These frames; the connection is closed after them, without a word when no close frame is among them."""

    async def talk(writer: StreamWriter) -> None:
        writer.write(b"".join(frames))

    return talk


def forever(piece: bytes, pause: float = 0.001, *, first: bytes = b"") -> Talk:
    async def talk(writer: StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


async def silence(writer: StreamWriter) -> None:
    await asyncio.sleep(300)


@dataclass(frozen=True)
class Fault:
    """What a hub does with a search, and how its desk must be read."""

    name: str
    outcome: str
    rule: str
    talk: Talk | None = None  # after the handshake
    answer: bytes | None = None  # in place of it
    accept: bytes | None = None
    upgrade: str = "websocket"

    def answerer(self) -> Callable[[bytes, StreamWriter], Awaitable[None]]:
        async def answer(request: bytes, writer: StreamWriter) -> None:
            if request.startswith(STREAMING):
                if self.answer is not None:
                    writer.write(self.answer)
                    return
                writer.write(switching(request, accept=self.accept, upgrade=self.upgrade))
                assert self.talk is not None
                await self.talk(writer)
            else:
                assert request.startswith(b"GET /api/MeetingPointsFromPosition?")
                writer.write(page(MAIRIES).replace(b"text/html; charset=utf-8", b"application/json"))

        return answer


WS = "ws://127.0.0.9/"
TERABYTE = b"\x81\x7f" + struct.pack("!Q", 2**40)
CLOSE = frame(struct.pack("!H", 1000), 8)
OPEN, PART = frame("[", fin=False), frame(" " * 2_000, 0, fin=False)
WHOLE = frame("[]") + frame(END)

FAULTS = (
    # what is right
    Fault("whole", "none", "ants.none.search", saying(WHOLE, CLOSE)),
    Fault("never-closed", "none", "ants.none.search", forever(WHOLE, 300)),
    Fault("pings-between", "none", "ants.none.search", saying(frame(b"x", 9), WHOLE, CLOSE)),
    Fault(
        "in-fragments",
        "none",
        "ants.none.search",
        saying(OPEN, frame(b"x", 9), frame("]", 0), frame(END), CLOSE),
    ),
    # the handshake
    Fault("wrong-key", "unreachable", "network.failed", saying(WHOLE), accept=b"A" * 27 + b"="),
    Fault("another-upgrade", "unreachable", "network.failed", saying(WHOLE), upgrade="h2c"),
    Fault("no-upgrade", "unrecognised", "ants.unrecognised.not-its-kind", answer=page("<html></html>")),
    Fault("status-401", "blocked", "http.401", answer=page("", "401 Unauthorized")),
    Fault("status-403", "blocked", "http.403", answer=page("", "403 Forbidden")),
    Fault("status-404", "gone", "http.404", answer=page("", "404 Not Found")),
    Fault("status-426", "unrecognised", "http.status-426", answer=page("", "426 Upgrade Required")),
    Fault(
        "status-429",
        "blocked",
        "http.429",
        answer=page("", "429 Too Many Requests", "Retry-After: 7200\r\n"),
    ),
    Fault("status-503", "overloaded", "http.503", answer=page("", "503 Service Unavailable")),
    Fault("huge-answer", "unrecognised", "http.too-large", answer=page("x" * 2 * MOST_BYTES)),
    Fault("huge-refusal", "unrecognised", "http.too-large", answer=page("x" * 2 * MOST_BYTES, "403 No")),
    Fault(
        "captcha",
        "captcha",
        "ants.captcha.refused",
        answer=page('{"Erreur": "Captcha invalide"}', "403 Forbidden"),
    ),
    Fault("elsewhere", "observer_fault", "gate.off-host", answer=redirect("http://127.0.0.9/")),
    Fault(
        "elsewhere-by-websocket",
        "observer_fault",
        "gate.off-host",
        answer=redirect("ws://127.0.0.9/", "307 x"),
    ),
    Fault("same-host", "observer_fault", "gate.not-allowed", answer=redirect("/api/other", "308 x")),
    # what is said
    Fault("closed-at-once", "unreachable", "http.truncated", saying(CLOSE)),
    Fault("cut-at-once", "unreachable", "http.truncated", saying()),
    Fault("closed-before-the-end", "unreachable", "http.truncated", saying(frame("[]"), CLOSE)),
    Fault("cut-before-the-end", "unreachable", "http.truncated", saying(frame("[]"))),
    Fault("cut-in-a-frame", "unreachable", "http.truncated", saying(frame("[]"), frame(END)[:40])),
    Fault("closed-with-an-error", "unreachable", "http.truncated", saying(frame(struct.pack("!H", 1011), 8))),
    Fault("silent", "unreachable", "network.timeout", silence),
    Fault("only-lists", "unreachable", "network.timeout", forever(frame("[]"), 0.5)),
    Fault("only-pings", "unreachable", "network.timeout", forever(frame(b"x", 9), 0.2)),
    Fault("no-frame", "unreachable", "network.failed", saying(b"HTTP/1.1 200 OK\r\n\r\n")),
    Fault("reserved-bits", "unreachable", "network.failed", saying(frame("[]", rsv=4))),
    Fault("unknown-opcode", "unreachable", "network.failed", saying(frame("[]", 5))),
    Fault("bad-utf-8", "unreachable", "network.failed", saying(frame(b"\xff\xfe"))),
    Fault("long-ping", "unreachable", "network.failed", saying(frame(b"x" * 126, 9))),
    Fault("binary", "unrecognised", "ants.unrecognised.search", saying(frame(b"\x00\xff", 2), CLOSE)),
    Fault("null", "unrecognised", "ants.unrecognised.search", saying(frame("null"), CLOSE)),
    Fault("empty-message", "unreachable", "network.timeout", forever(frame(""), 0.5)),
    Fault("separators", "unrecognised", "ants.unrecognised.search", saying(frame("\x1e" + END), CLOSE)),
    Fault("announced-terabyte", "unrecognised", "http.too-large", saying(TERABYTE)),
    Fault("endless-lists", "unrecognised", "http.too-large", forever(frame("[]" + " " * 2_000))),
    Fault("endless-message", "unrecognised", "http.too-large", forever(PART, first=OPEN)),
)


def entry(host: str) -> str:
    where = "longitude=3.0348&latitude=50.5491&radius_km=20"
    return f"http://{host}/api/SlotsFromPosition?{where}&reason=CNI&documents_number=1&address=Seclin%2059113"


def write_desks(folder: Path, urls: dict[str, str]) -> Path:
    text = "".join(
        f'[[desk]]\nid = "{desk}"\nfamily = "ants"\ndepartement = "59"\noffice = "Mairie"\n'
        f'procedure = "cni_passeport"\nlabel = "{desk}"\nurl = "{url}"\n\n'
        for desk, url in urls.items()
    )
    (folder / "59.toml").write_text(text, encoding="utf-8")
    return folder


@dataclass
class Trial:
    result: CrawlResult
    server: HostileServer
    hosts: dict[str, str]


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


@pytest.fixture(scope="module")
def trial(module_workshop: Workshop, server: HostileServer) -> Trial:
    """One crawl of all faults, each on a host of its own."""
    hosts = {fault.name: server.add(fault.answerer()) for fault in FAULTS}
    urls = {name: entry(host) for name, host in hosts.items()}
    crawler = module_workshop.crawler(write_desks(module_workshop.folder("catalogue"), urls))
    settings: dict[str, Any] = {"DOWNLOAD_TIMEOUT": TIMEOUT_SECONDS, "GUICHETS_MAX_BODY": MOST_BYTES}
    settings |= {"GUICHETS_MAX_HOSTS": 100}
    return Trial(crawler.run("ants", settings=settings, due="all"), server, hosts)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_conversation_is_read_as_what_it_is(trial: Trial, fault: Fault) -> None:
    line = trial.result.desks[fault.name]
    assert (line["outcome"], line["rule"]) == (fault.outcome, fault.rule)


def test_no_fault_loses_doubles_or_ends_anything(trial: Trial) -> None:
    assert trial.result.status == 0, trial.result.log[-3000:]
    assert sorted(line["desk"] for line in trial.result.lines) == sorted(fault.name for fault in FAULTS)
    assert "Traceback" not in trial.result.log


def test_each_search_is_asked_once_and_names_us(trial: Trial) -> None:
    for name, host in trial.hosts.items():
        asked = [head for head in trial.server.requests[host] if head.startswith(STREAMING)]
        assert len(asked) == 1, name
        assert b"User-Agent: Guichets/" in asked[0], name


async def test_lease_that_is_given_back_ends_a_conversation_and_nothing_more_is_sent() -> None:
    heard = bytearray()
    over = asyncio.Event()
    begun = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: StreamWriter) -> None:
        writer.write(switching(await reader.readuntil(b"\r\n\r\n")))
        heard.extend(await reader.read(65_536))
        begun.set()
        while piece := await reader.read(65_536):
            heard.extend(piece)
        writer.close()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        host = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        lease = HostLease(host=host, pace=Pace(0.0))
        handler = WebSocketDownloadHandler(get_crawler(AntsSpider))
        marks = {meta.LEASE: lease, meta.UNTIL: VERDICT}
        request = Request(f"ws://{host}/api/SlotsFromPositionStreaming", body=b"{}", meta=marks)
        under_way = asyncio.create_task(handler.download_request(request))
        await asyncio.wait_for(begun.wait(), 30)
        sent = bytes(heard)
        lease.give_back()
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(under_way, 30)
        await asyncio.wait_for(over.wait(), 30)
        assert bytes(heard) == sent  # not even a close frame
        await handler.close()
