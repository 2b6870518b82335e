"""A round over a whole sandbox in which every scene plays, and what the sandbox knows of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tests.crawl_fixtures import Crawler, CrawlResult
from tests.database_fixtures import Database
from tests.sandbox_fixtures import RunningSandbox

DESKS = 500
HOSTS = 100
TIMES = 2  # how often each scene is played
# The interval: a round that goes on past the hour visits no desk again for its next slot.
SETTINGS = {"GUICHETS_MAX_HOSTS": HOSTS, "DOWNLOAD_TIMEOUT": 10, "GUICHETS_FORM_INTERVAL": 900}


@dataclass
class Round:
    """One crawl of the whole sandbox, and what the sandbox knows of it."""

    box: RunningSandbox
    crawler: Crawler
    database: Database
    result: CrawlResult
    truth: dict[str, dict[str, Any]]
    ledger: list[dict[str, Any]]
    tripwires: list[dict[str, Any]]


def cast(
    box: RunningSandbox, manners_when_slow: Mapping[str, object] | None = None, *, times: int = TIMES
) -> None:
    """Pin every scene to desks. A scene that makes the crawl leave a host alone plays on its last desk."""
    names = [scene["name"] for scene in box.scenes() if scene["name"] != "life"]
    refusing = [name for name in names if is_refusing(name)]
    by_host = defaultdict(list)
    for desk in box.desks():
        by_host[desk["host"]].append(desk["id"])
    lasts = [max(desks) for desks in by_host.values()]
    # host after host, so that no host has all the slow scenes, one after the other
    ranks = zip_longest(*(sorted(desks)[:-1] for desks in by_host.values()))
    firsts = [desk for rank in ranks for desk in rank if desk is not None]
    pins = dict(zip(lasts, refusing * times, strict=False))
    pins |= dict(zip(firsts, [name for name in names if name not in refusing] * times, strict=False))
    desks_of = defaultdict(list)
    for desk, name in pins.items():
        desks_of[name].append(desk)
    assert set(desks_of) == set(names)
    for name, desks in desks_of.items():
        # one counter: else the slow scenes would set the pace of the whole test
        box.set_scene(desks, name, manners_when_slow if "slow" in name else None)


def is_refusing(scene: str) -> bool:
    """Whether the host as a whole is left alone after this scene: refused by status, or by a wall's page."""
    by_page = (
        "cloudflare-block-200",
        "cloudflare-challenge-503",
        "cloudflare-challenge-french",
        "imperva-block",
        "search-limit",
    )
    return scene.endswith(("status-403", "disabled-403", "status-429", "retry-after", *by_page))


def differences(pairs: Iterable[tuple[str, Any, Any]]) -> list[str]:
    return [f"{what}: true {true}, observed {seen}" for what, true, seen in pairs if true != seen]
