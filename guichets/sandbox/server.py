"""A sandbox from start to stop: hosts, control, catalogue folder, ledger."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from guichets.errors import ArgumentError
from guichets.sandbox.catalogue import write_catalogue
from guichets.sandbox.control import ELSEWHERE, build_control
from guichets.sandbox.families import families
from guichets.sandbox.hosts import Sockets, listen, name_of
from guichets.sandbox.ledger import Ledger
from guichets.sandbox.options import Options
from guichets.sandbox.plans import draw_desks, draw_hosts
from guichets.sandbox.play import Play
from guichets.sandbox.sites import Sites, SiteServer
from guichets.sandbox.timing import SimulatedClock
from guichets.sandbox.truth import truth_of

GRACE_SECONDS = 0.2  # given to answers in progress when the sandbox stops


class Sandbox:
    """The préfectures' sites, played on loopback. Use ``async with Sandbox(options) as sandbox``."""

    play: Play
    sites: Sites
    ledger: Ledger
    catalogue: Path
    control_url: str
    scheme: str  # address, or port

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._runners: list[web.BaseRunner] = []
        self._sockets: Sockets | None = None
        self._temporary: Path | None = None

    async def start(self) -> None:
        """Draw the desks, write the catalogue and answer; raises ArgumentError for what cannot be."""
        options = self.options
        chosen = [families()[name] for name in options.families]
        plans = draw_hosts(options.seed, min(options.departements, options.desks), chosen)
        desks = draw_desks(seed=options.seed, hosts=plans, count=options.desks, mixture=options.mixture)
        clock = SimulatedClock(options.start, options.speed)
        self.play = Play(seed=options.seed, desks=desks, clock=clock)
        try:
            self._sockets = sockets = listen(count=len(plans), port=options.port, scheme=options.host_scheme)
            names = [name_of(listener) for listener in sockets.hosts]
            self.scheme = sockets.scheme
            self.control_url = f"http://{name_of(sockets.control)}"
            self._temporary = Path(tempfile.mkdtemp(prefix="guichets-sandbox-"))
            self.catalogue = (options.catalogue or self._temporary / "catalogue").absolute()
            self.ledger = Ledger((options.ledger or self._temporary / "ledger.jsonl").absolute())
            write_catalogue(self.catalogue, desks, hosts=names)
            self.sites = Sites(
                plans=plans,
                names=names,
                play=self.play,
                ledger=self.ledger,
                elsewhere=self.control_url + ELSEWHERE,
                latency_ms=options.latency_ms,
            )
            await self._serve(sockets)
        except BaseException:
            await self.stop()
            raise

    async def _serve(self, sockets: Sockets) -> None:
        control = web.AppRunner(build_control(self), access_log=None, shutdown_timeout=GRACE_SECONDS)
        self._runners.append(control)
        await control.setup()
        await web.SockSite(control, sockets.control).start()
        for number, listener in enumerate(sockets.hosts):
            runner = web.ServerRunner(SiteServer(self.sites, number), shutdown_timeout=GRACE_SECONDS)
            self._runners.append(runner)
            await runner.setup()
            await web.SockSite(runner, listener).start()

    async def stop(self) -> None:
        """Answer no more; the temporary catalogue and ledger are removed. May be called twice."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None
        if hasattr(self, "ledger"):
            self.ledger.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def truth(self, *, desk: str | None = None, at: datetime | None = None) -> dict[str, dict[str, Any]]:
        """What an honest probe must establish now, or at ``at``, by desk id."""
        if desk is not None and desk not in self.play.desks:
            raise ArgumentError(f"no desk {desk!r} in this sandbox")
        plans = [self.play.desks[desk]] if desk else self.play.desks.values()
        return {
            plan.id: {
                "host": self.sites.states[plan.host].name,
                **truth_of(self.play.situation(plan, at=at)),
            }
            for plan in plans
        }

    def set_scene(
        self, desks: str | list[str] | None, scene: str | None, manners: Mapping[str, object] | None = None
    ) -> None:
        """Pin desks (an id, several, or ``*``) to a scene; None or ``life`` lets them live again."""
        if desks == "*":
            desks = list(self.play.desks)
        for desk in [desks] if isinstance(desks, str) else desks or ():
            self.play.pin(desk, scene, manners)
        if not desks:
            raise ArgumentError("which desk? Give its id, a list of ids, or *")

    def set_host(self, host: str, switches: Mapping[str, object]) -> None:
        """Change switches of one host (``address:port``), or of all (``*``)."""
        states = [state for state in self.sites.states if host in {"*", state.name}]
        if not states:
            raise ArgumentError(f"no host {host!r} in this sandbox: GET /catalogue lists them")
        for state in states:
            state.switch(switches)

    def desk_list(self) -> list[dict[str, Any]]:
        """The desks, as the catalogue has them, with what they play."""
        return [
            {
                "id": desk.id,
                "family": desk.family,
                "departement": desk.departement,
                "host": self.sites.states[desk.host].name,
                "url": f"http://{self.sites.states[desk.host].name}{families()[desk.family].entry(desk)}",
                "counters": dict(desk.draft.counters),
                "scene": scene.name if (scene := self.play.scene(desk.id)) else None,
            }
            for desk in self.play.desks.values()
        ]

    def health(self) -> dict[str, Any]:
        """How much happened so far."""
        return {
            "status": "ok",
            "desks": len(self.play.desks),
            "hosts": len(self.sites.states),
            "requests": self.ledger.count,
            "tripwires": len(self.ledger.tripwires),
            "simulated_now": self.play.clock.now().isoformat(),
        }

    def tripwire_counts(self) -> dict[str, int]:
        """How often each rule was broken."""
        return dict(Counter(line["tripwire"] for line in self.ledger.tripwires))

    def ready(self) -> dict[str, Any]:
        """What a program that started the sandbox needs to know."""
        return {
            "pid": os.getpid(),
            "control": self.control_url,
            "hosts": [state.name for state in self.sites.states],
            "scheme": self.scheme,
            "catalogue": str(self.catalogue),
            "ledger": str(self.ledger.path),
            "seed": self.options.seed,
            "desks": len(self.play.desks),
            "families": list(self.options.families),
        }
