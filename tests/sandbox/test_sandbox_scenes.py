"""Every scene answers what the dossier says: an honest visit reads the outcome the table declares."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sandbox_walker import Walker, as_truth, told

from guichets.outcomes import Outcome
from guichets.sandbox import Options, Sandbox, delivery
from guichets.sandbox.families import families
from guichets.sandbox.families.ezbooking import FAMILY

START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)
DESKS = 5


async def _visit(sandbox, desk, *, patient=True):
    zone = sandbox.play.desks[desk["id"]].zone
    return desk, await Walker(zone, patient=patient).visit(desk["url"])


@pytest.mark.parametrize("scene", FAMILY.scenes, ids=lambda scene: scene.name)
async def test_an_honest_visit_reads_what_the_scene_declares(scene, monkeypatch):
    monkeypatch.setattr(delivery, "LATE_SECONDS", 0.01)
    desks = 2 if scene.slow else DESKS
    options = Options(port=0, desks=desks, speed=0, start=START, mixture=scene.name)
    async with Sandbox(options) as sandbox:
        if scene.slow:
            sandbox.set_scene("*", scene.name, {"plannings": 2})
        visits = await asyncio.gather(
            *(_visit(sandbox, desk, patient=not scene.slow) for desk in sandbox.desk_list())
        )
        for desk, found in visits:
            truth = sandbox.truth(desk=desk["id"])[desk["id"]]
            assert as_truth(found) == told(truth), desk
            if scene.outcome is not None:
                assert found.outcome is scene.outcome
        assert [line["tripwire"] for line in sandbox.ledger.tripwires] == []


def test_scene_names_are_unique_in_each_family():
    for family in families().values():
        names = [scene.name for scene in family.scenes]
        assert len(names) == len(set(names))


def test_every_outcome_that_ezbooking_can_have_is_on_demand():
    declared = {scene.outcome for scene in FAMILY.scenes}
    assert declared == set(Outcome) - {Outcome.OPEN, Outcome.MOVED, Outcome.CAPTCHA} | {None}


async def test_lives_are_read_as_they_are():
    async with Sandbox(Options(port=0, desks=40, speed=0, start=START, mixture="lives")) as sandbox:
        outcomes = set()
        for desk in sandbox.desk_list():
            _, found = await _visit(sandbox, desk)
            truth = sandbox.truth(desk=desk["id"])[desk["id"]]
            assert as_truth(found) == told(truth), desk
            outcomes.add(found.outcome)
        assert outcomes >= {Outcome.OFFERED, Outcome.NONE}
