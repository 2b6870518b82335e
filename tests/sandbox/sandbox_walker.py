"""An honest visitor that knows only the dossier: what it reads must be what the sandbox holds for true."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo

import aiohttp
from parsel import Selector
from protego import Protego

from guichets.outcomes import Outcome, best_of

MAX_BODY = 2_000_000
TIME_OUT = aiohttp.ClientTimeout(total=4)
ONE_ANSWER_TIME_OUT = aiohttp.ClientTimeout(total=1)  # for scenes known to keep one waiting
BEGIN = {"condition": "on", "nextButton": "Effectuer une demande de rendez-vous"}
NEXT = {"nextButton": "Etape suivante"}
STEPS = {
    "Choix de la nature du rendez-vous": 1,
    "Vérification de disponibilité": 2,
    "Description de la nature du rendez-vous": 3,
    "Choix d'une plage horaire": 4,
}
NO_SLOT = ("plus de plage horaire libre pour votre demande", "Please try later", "disponibles pour le moment")


class Verdict(Exception):
    """The visit, or one counter's part of it, ends here."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


@dataclass
class Found:
    """What a visit established."""

    outcome: Outcome
    slots: list[datetime] = field(default_factory=list)
    counters: dict[str, Found] = field(default_factory=dict)


@dataclass
class Page:
    step: int
    selector: Selector
    base: str  # URL of the form without its step
    steps_seen: list[str]


class Walker:
    """One visitor with one cookie session; a connection per request, so that no client retries by itself."""

    def __init__(self, zone: ZoneInfo, *, patient: bool = True) -> None:
        self.zone = zone
        self.patient = patient

    async def visit(self, url: str) -> Found:
        connector = aiohttp.TCPConnector(force_close=True)
        jar = aiohttp.CookieJar(unsafe=True)
        timeout = TIME_OUT if self.patient else ONE_ANSWER_TIME_OUT
        headers = {"User-Agent": "walker/1"}
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=jar, timeout=timeout, headers=headers
        ) as self.session:
            try:
                await self._ask_robots(url)
                return await self._walk(url)
            except Verdict as verdict:
                return Found(verdict.outcome)

    async def _ask_robots(self, url: str) -> None:
        async with self.session.get(urljoin(url, "/robots.txt")) as answer:
            rules = Protego.parse(await answer.text() if answer.status == 200 else "")
        if not rules.can_fetch(url, "walker/1"):
            raise Verdict(Outcome.BLOCKED)

    async def _walk(self, url: str) -> Found:
        page = await self._page("GET", url)
        if page.step != 0:
            raise Verdict(Outcome.UNRECOGNISED)
        page = await self._post_until_it_moves(page, BEGIN)
        if page.step != 1:
            return await self._result(page)
        choices = page.selector.css("input[name=planning]::attr(value)").getall()
        if not choices:
            raise Verdict(Outcome.UNRECOGNISED)
        counters = {}
        for choice in choices:
            try:
                counters[choice] = await self._result(
                    await self._post_until_it_moves(page, {"planning": choice, **NEXT})
                )
            except Verdict as verdict:
                counters[choice] = Found(verdict.outcome)
        slots = sorted({slot for found in counters.values() for slot in found.slots})
        return Found(best_of(found.outcome for found in counters.values()), slots, counters)

    async def _post_until_it_moves(self, page: Page, fields: dict[str, str]) -> Page:
        """A site may ignore a first POST; twice the same step is no result."""
        for _ in range(2):
            answer = await self._page("POST", f"{page.base}/{page.step}", fields)
            if answer.step not in {0, page.step}:
                return answer
        raise Verdict(Outcome.UNRECOGNISED)

    async def _result(self, page: Page) -> Found:
        if page.step == 2:
            return Found(Outcome.NONE)
        if page.step == 3:
            button = page.selector.css("input[name=nextButton]::attr(value)").get()
            assert button == NEXT["nextButton"]
            try:
                page = await self._page("POST", f"{page.base}/3", NEXT)
            except Verdict:
                return Found(Outcome.OFFERED)
        links = page.selector.css("#planning_Booking td.free a::attr(href)").getall()
        instants = [int(link.rsplit("/", 1)[1]) for link in links]
        return Found(Outcome.OFFERED, sorted(datetime.fromtimestamp(unix, self.zone) for unix in instants))

    async def _page(self, method: str, url: str, fields: dict[str, str] | None = None) -> Page:
        seen = [url]
        status, text, final = await self._exchange(method, url, fields, seen)
        if "<h1>Service surchargé</h1>" in text or "<h1>Site en maintenance</h1>" in text:
            raise Verdict(Outcome.OVERLOADED)
        if "Ce lien a été désactivé définitivement" in text:
            raise Verdict(Outcome.CLOSED)
        if status != 200:
            raise Verdict(_of_status(status))
        body = Selector(text.split("<footer")[0] or "<html></html>")
        if "calendrier disponible" in body.css("ul.error li").xpath("string()").get(""):
            raise Verdict(Outcome.CLOSED)
        words = body.xpath("string()").get("")
        if "Cette page n'est pas disponible" in words or "pas d'autres dates disponibles" in words:
            raise Verdict(Outcome.CLOSED)
        step = _step(body)
        if step is None:
            raise Verdict(Outcome.UNRECOGNISED)
        return Page(step, body, re.sub(r"(/booking/create/\d+).*", r"\1", final), seen)

    async def _exchange(
        self, method: str, url: str, fields: dict[str, str] | None, seen: list[str]
    ) -> tuple[int, str, str]:
        for _ in range(10):
            try:
                async with self.session.request(method, url, data=fields, allow_redirects=False) as answer:
                    if answer.status in {301, 302, 303}:
                        target = urljoin(url, answer.headers["Location"])
                        _check_target(url, target)
                        method, url, fields = "GET", target, None
                        seen.append(url)
                        continue
                    body = b""
                    async for chunk in answer.content.iter_chunked(65_536):
                        body += chunk
                        if len(body) > MAX_BODY:
                            raise Verdict(Outcome.UNRECOGNISED)
                    if not body:
                        raise Verdict(Outcome.UNREACHABLE)
                    return answer.status, body.decode(answer.charset or "utf-8", "replace"), url
            except (aiohttp.ClientError, TimeoutError):
                raise Verdict(Outcome.UNREACHABLE) from None
        raise Verdict(Outcome.UNRECOGNISED)


def _check_target(url: str, target: str) -> None:
    """What a gate would refuse."""
    step = re.search(r"/booking/create/\d+/(\d+)", target)
    if urlsplit(target).netloc != urlsplit(url).netloc or (step and int(step[1]) >= 5):
        raise Verdict(Outcome.OBSERVER_FAULT)


def _of_status(status: int) -> Outcome:
    if status in {401, 403, 429}:
        return Outcome.BLOCKED
    if status in {404, 410}:
        return Outcome.GONE
    return Outcome.OVERLOADED if status >= 500 else Outcome.UNRECOGNISED


def _step(body: Selector) -> int | None:
    heading = body.css("h2").xpath("string()").get("").strip()
    form_text = " ".join(body.css("#FormBookingCreate").xpath("string()").get("").split())
    if heading in STEPS:
        step = STEPS[heading]
        action = body.css("#FormBookingCreate::attr(action)").get("")
        return step if action.endswith(f"/{step}") else None
    if body.css("input[name=finishButton]") and any(words in form_text for words in NO_SLOT):
        return 2
    return 0 if not heading and body.css("#FormBookingCreate input#condition") else None


def as_truth(found: Found) -> dict[str, Any]:
    """The parts of a truth that a visit can establish, from what it found."""
    return {"outcome": str(found.outcome), "slots": [slot.isoformat() for slot in found.slots[:2]],
            "counters": {key: str(counter.outcome) for key, counter in found.counters.items()}}  # fmt: skip


def told(truth: dict[str, Any]) -> dict[str, Any]:
    """The same parts of the sandbox's own truth."""
    slots = [slot for slot in (truth["first_slot"], truth["second_slot"]) if slot]
    return {"outcome": truth["outcome"], "slots": slots,
            "counters": {key: counter["outcome"] for key, counter in truth["counters"].items()}}  # fmt: skip
