"""Troov, the appointment pages of French consulates, and the API behind them.

Who         Embassies and consulates of France on consulat.gouv.fr, 2022-2026.
Address     /<slug>/rendez-vous[?name=<service>], in English /en/<slug>/appointment. The page is never asked:
            its script asks the API, and so do we; the API's host is paced and leased.
Funnel      HEAD handshake -> team of the slug, with its services -> booking window of the service. What comes
            next, a session and the slots, costs a human check (Cloudflare Turnstile since 2024).
Full        never learnt: the slots stand behind the check.
Closed      a service whose is_open is false.
Failing     5xx; a maintenance page where JSON is due.
Refusing    418 « ImATeapotError » to a request without the handshake's headers; 429.
Stops at    window, read only. No session is opened, so no slot and no closed day is asked for.
Counters    services, where the desk names none and not all of them are closed; else none.
Params      api: base URL of the API, the public one by default. slug and service: where the address does not
            tell them.
Caveats     `captcha` says that the service is open, up to horizon_end, and that a human check stands before
            its slots; it is no offer and no zero. The window's days are those of the team's own zone, which
            is kept as a fact.
Unknown     whether get-interval always answers without a session; the status of an unknown slug (404 is
            taken for `gone`); what is_open says of a service that is open and has no calendar.
Sources     platform dossier on other platforms, §6 (public programs and one published analysis, 2022-2026);
            nothing checked on a live site.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, TypeGuard
from urllib.parse import parse_qs, urlsplit

from guichets.catalogue.families import param_of
from guichets.catalogue.model import Desk
from guichets.gate import Allow, Gate
from guichets.outcomes import Outcome
from guichets.page import JSON, CounterChoice, Page, Reading, fold, is_maintenance, read_transport
from guichets.visit import Asking
from spiders.base import DeskSpider, Probe

ID = r"[0-9a-f]{24}"
SLUG = r"[a-z0-9][a-z0-9-]{0,119}"

GATE = Gate(
    rows=(
        Allow("HEAD", "/api/handshake"),
        Allow("GET", f"/api/team/slug/{SLUG}", query={"lang": "fr"}),
        Allow("GET", f"/api/team/{ID}/reservations/get-interval", query={"serviceId": ID}),
    ),
    stops_at="window",
)

HANDSHAKE = "x-gouv-handshake"  # replayed as x-csrf-token
APPLICATION = "x-gouv-app-id"
WEB = ("x-gouv-web", "fr.gouv.consulat")
SERVICES = "reservations_shop_availabilty"  # sic
ABROAD = "99"  # in the list of départements
MAX_SERVICES = 40  # a handful were seen
LONGEST_WINDOW = timedelta(days=750)

_PATH = re.compile(rf"/(?:({SLUG})/rendez-vous|en/({SLUG})/appointment)/?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,512}")  # what a header may hold


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a consulate."""

    id: str
    name: str
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Reading):
    """A reading, and what else the walk goes on with."""

    headers: tuple[tuple[str, str], ...] = ()  # of the handshake, to be sent from then on
    team: str = ""
    services: tuple[Service, ...] = ()


def _unrecognised(rule: str, step: str, note: str | None = None) -> Told:
    return Told(outcome=Outcome.UNRECOGNISED, rule=rule, step=step, note=note)


# The answers


def read_handshake(page: Page) -> Told:
    """The headers without which the API is a teapot. Never raises, whatever the answer."""
    status = page.status
    if status == 418:
        return Told(outcome=Outcome.BLOCKED, rule="troov.blocked.teapot", step="handshake")
    if not 200 <= status <= 299 and status not in {404, 410}:  # a desk is not gone because this is
        reading = read_transport(page, family="troov", kinds=JSON)
        assert reading is not None
        return Told(outcome=reading.outcome, rule=reading.rule, step="handshake")
    token, application = (page.headers.get(name, "").strip() for name in (HANDSHAKE, APPLICATION))
    is_whole = _TOKEN.fullmatch(token) and _TOKEN.fullmatch(application)
    if not is_whole or not 200 <= status <= 299:
        return _unrecognised("troov.unrecognised.handshake", "handshake")
    headers = (("x-csrf-token", token), (APPLICATION, application))
    return Told(rule="troov.handshake", step="handshake", headers=headers)


def read_team(page: Page) -> Told:
    """A consulate and its services. Never raises, whatever the bytes."""
    refusal = _refusal(page, "team")
    if refusal is not None:
        return refusal
    team = page.json
    listed = team.get(SERVICES) if isinstance(team, dict) else None
    if not isinstance(listed, list) or not _is_id(team.get("_id")):
        return _unrecognised("troov.unrecognised.team", "team")
    services = [_read_service(entry) for entry in listed[: MAX_SERVICES + 1]]
    known = {service.id: service for service in services if service is not None}
    if len(known) != len(services) or not 0 < len(services) <= MAX_SERVICES:
        return _unrecognised("troov.unrecognised.services", "team")
    zone = team.get("timezone")
    return Told(
        rule="troov.team",
        step="team",
        team=team["_id"],
        services=tuple(known.values()),
        counters=tuple(CounterChoice(service.id, service.name) for service in known.values()),
        facts=(("timezone", zone[:60]),) if isinstance(zone, str) and zone else (),
    )


def _read_service(entry: Any) -> Service | None:
    if not isinstance(entry, dict):
        return None
    key, name, is_open = entry.get("_id"), entry.get("name"), entry.get("is_open")
    if not _is_id(key) or not isinstance(name, str) or not isinstance(is_open, bool):
        return None
    return Service(key, fold(name)[:200], is_open)


def read_interval(page: Page) -> Told:
    """The booking window of an open service: what can be learnt before the human check."""
    refusal = _refusal(page, "window")
    if refusal is not None:
        return refusal
    window = page.json if isinstance(page.json, dict) else {}
    start, end = _read_day(window.get("start")), _read_day(window.get("end"))
    if start is None or end is None or not start <= end <= start + LONGEST_WINDOW:
        return _unrecognised("troov.unrecognised.window", "window")
    return Told(
        outcome=Outcome.CAPTCHA,
        rule="troov.captcha.session",
        step="window",
        horizon_end=end,
        facts=(("window_start", start.isoformat()), ("window_days", str((end - start).days + 1))),
    )


def _refusal(page: Page, step: str) -> Told | None:
    """What stands in place of the JSON that was asked for; None when it is there."""
    if page.status == 418:
        return Told(outcome=Outcome.BLOCKED, rule="troov.blocked.teapot", step=step)
    if page.status == 404 and isinstance(page.json, dict) and page.json.get("message") == "SESSION_ERROR":
        return _unrecognised("troov.unrecognised.session-error", step)
    if 200 <= page.status <= 299 and page.media_type == "text/html" and is_maintenance(page):
        return Told(outcome=Outcome.OVERLOADED, rule="troov.overloaded.maintenance", step=step)
    transport = read_transport(page, family="troov", kinds=JSON)
    if transport is not None:
        return Told(outcome=transport.outcome, rule=transport.rule, step=step, note=transport.note)
    if page.json is None:
        return _unrecognised("troov.unrecognised.not-json", step)
    return None


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(ID, value, re.ASCII) is not None


def _read_day(text: Any) -> date | None:
    if not isinstance(text, str) or _DAY.fullmatch(text) is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2200 else None


# The walk


def target_of(desk: Desk) -> tuple[str, str]:
    """Slug and name of the service, from the params or the address; empty where neither tells."""
    parts = urlsplit(desk.url)
    found = _PATH.fullmatch(parts.path)
    slug = desk.params.get("slug") or (found and (found[1] or found[2])) or ""
    service = desk.params.get("service") or parse_qs(parts.query).get("name", [""])[0]
    return (slug if re.fullmatch(SLUG, slug, re.ASCII) else ""), fold(service)


@dataclass(frozen=True, slots=True)
class _Consulate:
    """A team whose services are looked at, one after the other."""

    probe: Probe
    address: str
    asking: Asking
    team: Told

    async def look_at(self, service: Service) -> Told:
        """Closed, or open up to a day and behind the human check."""
        facts = self.team.facts
        if not service.is_open:
            return Told(outcome=Outcome.CLOSED, rule="troov.closed.service", step="team", facts=facts)
        address = f"{self.address}/reservations/get-interval?serviceId={service.id}"
        window = await self.probe.ask(address, read_interval, self.asking)
        return replace(window, facts=(*facts, *window.facts))

    async def look_at_named(self, name: str) -> Told:
        """The one service the desk is about."""
        services = self.team.services
        service = next((one for one in services if one.name.casefold() == name.casefold()), None)
        if service is None:
            names = ", ".join(one.name for one in services)
            return _unrecognised("troov.unrecognised.service-not-listed", "team", f"listed: {names}"[:300])
        return await self.look_at(service)


class TroovSpider(DeskSpider):
    name = "troov"
    gate = GATE
    parser_version = 1
    entry = rf"/({SLUG}/rendez-vous|en/{SLUG}/appointment)(\?name=\S+)?"
    readers = MappingProxyType[str, Callable[[Page], Reading]](
        {"page": read_team, "handshake": read_handshake, "interval": read_interval}
    )

    @staticmethod
    def has_anchor(page: Page) -> bool:
        """The handshake's header, a team with its services, or a window."""
        if HANDSHAKE in page.headers:
            return True
        found = page.json if isinstance(page.json, dict) else {}
        return SERVICES in found or {"start", "end"} <= found.keys()

    @classmethod
    def departement_of(cls, url: str) -> str:
        """Consulates are abroad."""
        return ABROAD

    async def walk(self, probe: Probe) -> None:
        slug, name = target_of(probe.desk)
        if not slug:
            rule = "troov.fault.entry-url"
            probe.conclude(Reading(outcome=Outcome.OBSERVER_FAULT, rule=rule, note=probe.desk.url))
            return
        api = str(param_of("troov", probe.desk.params, "api")).rstrip("/")
        site = urlsplit(probe.desk.url)
        headers = (WEB, ("Origin", f"{site.scheme}://{site.netloc}"), ("Referer", probe.desk.url))
        handshake = await probe.ask(f"{api}/handshake", read_handshake, Asking("HEAD", headers=headers))
        if handshake.outcome is not None:
            probe.conclude(handshake)
            return
        asking = Asking(headers=(*headers, *handshake.headers))
        team = await probe.ask(f"{api}/team/slug/{slug}?lang=fr", read_team, asking)
        if team.outcome is not None:
            probe.conclude(team)
            return
        consulate = _Consulate(probe, f"{api}/team/{team.team}", asking, team)
        if name:
            probe.conclude(await consulate.look_at_named(name))
            return
        if not any(service.is_open for service in team.services):
            rule = "troov.closed.every-service"
            probe.conclude(Reading(outcome=Outcome.CLOSED, rule=rule, step="team", facts=team.facts))
            return
        probe.announce(team.counters)
        for service, counter in zip(team.services, team.counters, strict=True):
            probe.conclude(await consulate.look_at(service), counter)
