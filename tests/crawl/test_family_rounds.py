"""Every family but EZBooking, which has a module of its own: a whole round equals the sandbox's truth."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from guichets.sandbox.families import families
from tests.crawl_fixtures import Workshop, read_rows
from tests.round_fixtures import DESKS, HOSTS, SETTINGS, TIMES, Round, cast, differences

FAMILIES = sorted(set(families()) - {"ezbooking"})
# A page in a browser costs as much as a hundred others: each scene once, on as many hosts as have one open.
BROWSER = {"orion": {"desks": 130, "hosts": 20, "times": 1}}
BROWSER_SETTINGS = {"GUICHETS_BROWSER_HOSTS": 8}
ROUND_SECONDS = 400  # a round of browser pages on a busy machine; the others take some 20

pytestmark = pytest.mark.timeout(ROUND_SECONDS + 60)


@pytest.fixture(scope="module", params=FAMILIES)
def round_(request: pytest.FixtureRequest, module_workshop: Workshop) -> Round:
    size = BROWSER.get(request.param, {"desks": DESKS, "hosts": HOSTS, "times": TIMES})
    box = module_workshop.sandbox(
        desks=size["desks"], departements=size["hosts"], mixture="lives", seed=7, family=request.param
    )
    cast(box, times=size["times"])
    database = module_workshop.database()
    crawler = module_workshop.crawler(box.catalogue, database)
    process, out = crawler.start(request.param, settings={**SETTINGS, **BROWSER_SETTINGS})
    result = crawler.finish(process, out, seconds=ROUND_SECONDS)
    return Round(box, crawler, database, result, box.truth(), box.ledger(), box.tripwires())


def test_round_breaks_no_rule_of_the_sandbox(round_: Round) -> None:
    assert round_.tripwires == []
    assert round_.result.status == 0, round_.result.log[-3000:]
    assert "Traceback" not in round_.result.log


def test_each_desk_has_one_line_with_the_true_outcome(round_: Round) -> None:
    lines = Counter((line["desk"], line["counter"]) for line in round_.result.lines)
    assert {key for key, times in lines.items() if times != 1} == set()
    assert set(round_.result.desks) == set(round_.truth)
    found = (
        (f"{desk} ({truth['scene']})", truth["outcome"], round_.result.desks[desk]["outcome"])
        for desk, truth in round_.truth.items()
    )
    assert differences(found) == []


def test_each_counter_has_the_true_outcome(round_: Round) -> None:
    true = {
        (desk, key): (truth["scene"], counter["outcome"])
        for desk, truth in round_.truth.items()
        for key, counter in truth["counters"].items()
    }
    assert set(round_.result.counters) == set(true)
    found = (
        (f"{key} ({scene})", outcome, round_.result.counters[key]["outcome"])
        for key, (scene, outcome) in true.items()
    )
    assert differences(found) == []


def test_slots_and_horizons_are_the_truth(round_: Round) -> None:
    names = ("first_slot", "second_slot", "slot_count", "horizon_end")
    pairs: list[tuple[str, Any, Any]] = []
    for desk, truth in round_.truth.items():
        lines = [(desk, truth, round_.result.desks[desk])]
        lines += [
            (f"{desk} {key}", counter, round_.result.counters[desk, key])
            for key, counter in truth["counters"].items()
        ]
        pairs += [
            (f"{what} {name} ({truth['scene']})", true[name] or None, line[name])
            for what, true, line in lines
            for name in names
        ]
    assert differences(pairs) == []


def test_every_line_has_its_proof_and_its_row(round_: Round) -> None:
    asked = Counter(entry["desk"] for entry in round_.ledger)
    parts = {
        (entry["host"], entry["path"]) for entry in round_.ledger if entry["path"].endswith((".js", ".css"))
    }
    rows = {str(row["id"]): row for row in read_rows(round_.database, "SELECT * FROM observations")}
    assert set(rows) == {line["id"] for line in round_.result.lines}
    for desk, line in round_.result.desks.items():
        beyond = line["requests"] - asked[desk]
        # robots.txt may count to the first; so do a page's parts, which belong to all desks of a host
        assert 0 <= beyond <= 1 + len({path for host, path in parts if host == round_.truth[desk]["host"]}), (
            desk
        )
        unproved = {"unreachable", "observer_fault", "blocked", "unrecognised"}
        assert line["evidence"] or line["outcome"] in unproved, desk
        for part in line["evidence"]:
            assert part["file"], desk
            assert len(part["sha256"]) == 64
