"""A funnel client written directly on aiohttp and parsel: what the spider's speed is compared with.

It walks the same funnel as the spider, one connection per host, and reads the same landmarks; it keeps no
pace, no gate, no proof, and would believe anything.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import tomllib
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import parsel

from tests.bench.meter import report

ACCEPT = {"condition": "on", "nextButton": "Effectuer une demande de rendez-vous"}


class Client:
    """Walks every desk of a catalogue folder, all hosts at once, at most ``hosts`` of them."""

    def __init__(self, hosts: int) -> None:
        self._slots = asyncio.Semaphore(hosts)
        self._marks: list[tuple[float, float, int]] = []
        self._count = 0
        self.found: dict[str, int] = defaultdict(int)

    async def run(self, folder: Path) -> dict[str, float]:
        by_host = forms_by_host(folder)
        await asyncio.gather(*(self._host(forms) for forms in by_host.values()))
        self._mark()
        return report(self._marks)

    async def _host(self, forms: list[str]) -> None:
        async with self._slots, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            for form in forms:
                session.cookie_jar.clear()
                try:
                    await self._desk(session, form)
                except (aiohttp.ClientError, TimeoutError):
                    self.found["error"] += 1

    async def _desk(self, session: aiohttp.ClientSession, form: str) -> None:
        await self._ask(session, "GET", f"{form}/0")
        page = await self._ask(session, "POST", f"{form}/0", ACCEPT)
        counters = page.css("input[name=planning]::attr(value)").getall()
        for counter in counters:
            choice = {"planning": counter, "nextButton": "Etape suivante"}
            await self._read(session, form, await self._ask(session, "POST", f"{form}/1", choice))
        if not counters:
            await self._read(session, form, page)

    async def _read(self, session: aiohttp.ClientSession, form: str, page: parsel.Selector) -> None:
        title = "".join(page.css("h2::text").getall())
        if "Description" in title:
            page = await self._ask(session, "POST", f"{form}/3", {"nextButton": "Etape suivante"})
        self.found["slots"] += len(page.css("#planning_Booking a::attr(href)").getall())
        text = page.css("#FormBookingCreate").xpath("string()").get(default="")
        self.found["none"] += "plus de plage horaire libre" in text
        self.found["closed"] += any("calendrier" in item for item in page.css("ul.error li::text").getall())

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, url: str, data: dict[str, str] | None = None
    ) -> parsel.Selector:
        async with session.request(method, url, data=data) as response:
            body = await response.read()
            for _ in range(1 + len(response.history)):
                self._count += 1
                if self._count % 100 == 0:
                    self._mark()
        return parsel.Selector(text=body.decode("utf-8", "replace") or "<p></p>")

    def _mark(self) -> None:
        self._marks.append((time.process_time(), time.monotonic(), self._count))


def forms_by_host(folder: Path) -> dict[str, list[str]]:
    """The forms of a catalogue folder."""
    by_host: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*.toml")):
        for desk in tomllib.loads(path.read_text(encoding="utf-8")).get("desk", []):
            by_host[urlsplit(desk["url"]).netloc].append(desk["url"].removesuffix("/0"))
    return by_host


async def main() -> None:
    print(json.dumps(await Client(int(sys.argv[2])).run(Path(sys.argv[1]))))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
