"""Forbidden requests tried through a real crawl: a family's spider whose walk sends one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from textwrap import dedent
from typing import Any

from tests.crawl_fixtures import CrawlResult, Workshop, read_rows
from tests.sandbox_fixtures import RunningSandbox

FORM_TYPE = "application/x-www-form-urlencoded"

# A family whose walk sends one request of the test's choice, and concludes wrongly should it be answered.
TRESPASSER = """
import json
import os

from scrapy import Request

from guichets.crawl import meta
from guichets.crawl.faults import read_failure
from guichets.outcomes import Outcome
from guichets.page import Reading
from spiders.base import ProbeStopped
from spiders.{family} import {spider}


class Trespasser({spider}):
    async def walk(self, probe):
        ask = json.loads(os.environ["TRESPASSES"])[probe.desk.id]
        marks = {meta.LEASE: probe.lease, "dont_redirect": True, "verbatim_url": True, **ask["meta"]}
        if ask["unleased"]:
            del marks[meta.LEASE]
        try:
            request = Request(
                ask["url"], method=ask["method"], body=ask["body"], headers=ask["headers"], meta=marks,
                dont_filter=True,
            )
            await self.crawler.engine.download_async(request)
        except Exception as error:
            raise ProbeStopped(read_failure(error), error) from error
        probe.conclude(Reading(outcome=Outcome.OFFERED, rule="trespass.answered"))
"""


@dataclass(frozen=True)
class Trespass:
    """One request: {form} is the path of the desk's entry, {host} its host, {other} another host."""

    name: str
    method: str = "GET"
    url: str = "http://{host}{form}"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    unleased: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


def get(name: str, path: str, **more: Any) -> Trespass:
    return Trespass(name, url="http://{host}" + path, **more)


def post(name: str, path: str, body: str, content_type: str = FORM_TYPE, **more: Any) -> Trespass:
    headers = {"Content-Type": content_type}
    return Trespass(name, "POST", "http://{host}" + path, body, headers, **more)


@dataclass
class Tries:
    result: CrawlResult
    box: RunningSandbox
    stats: dict[str, Any]
    desks: dict[str, Trespass]

    @property
    def received(self) -> list[dict[str, Any]]:
        """What the sites received besides questions for their robots.txt."""
        return [line for line in self.box.ledger() if line["path"] != "/robots.txt" or line["query"]]

    @property
    def let_through(self) -> dict[str, tuple[str, str]]:
        """Outcome and rule of each try that did not end as the gate's refusal."""
        return {
            self.desks[desk].name: (line["outcome"], line["rule"])
            for desk, line in self.result.desks.items()
            if line["outcome"] != "observer_fault" or not line["rule"].startswith("gate.")
        }


def try_each(
    workshop: Workshop, family: str, forbidden: Sequence[Trespass], *, departements: int = 20, mixture: str
) -> Tries:
    """One crawl by the trespasser, one desk for each forbidden request."""
    box = workshop.sandbox(
        desks=len(forbidden), departements=min(departements, len(forbidden)), mixture=mixture, family=family
    )
    package = workshop.folder("package")
    (package / "trespassing").mkdir()
    (package / "trespassing" / "__init__.py").write_text("")
    spider = "".join(part.capitalize() for part in family.split("_")) + "Spider"
    source = dedent(TRESPASSER).replace("{family}", family).replace("{spider}", spider)
    (package / "trespassing" / "family.py").write_text(source)
    desks = dict(zip([desk["id"] for desk in box.desks()], forbidden, strict=True))
    asked = {}
    for desk, trespass in zip(box.desks(), forbidden, strict=True):
        form = desk["url"].partition(desk["host"])[2].partition("?")[0]
        if family == "ezbooking":
            form = form.removesuffix("/0")
            for prefix in ("/index.php", "/layout/set/print"):
                form = form.removeprefix(prefix)
        other = next((host for host in box.hosts if host != desk["host"]), "127.0.0.1:9")
        url = trespass.url.replace("{host}", desk["host"]).replace("{form}", form).replace("{other}", other)
        asked[desk["id"]] = {**asdict(trespass), "url": url}
    database = workshop.database()
    crawler = workshop.crawler(box.catalogue, database)
    crawler.environment |= {"PYTHONPATH": str(package), "TRESPASSES": json.dumps(asked)}
    result = crawler.run(family, settings={"SPIDER_MODULES": "trespassing"})
    (crawl,) = read_rows(database, "SELECT stats FROM crawls")
    return Tries(result, box, crawl["stats"], desks)
