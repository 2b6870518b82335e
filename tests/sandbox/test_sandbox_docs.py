"""The page says what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from guichets.sandbox.families._ezbooking_manners import Manners
from guichets.sandbox.families.ezbooking import FAMILY
from guichets.sandbox.host_state import SWITCHES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("scene", FAMILY.scenes, ids=lambda scene: scene.name)
def test_every_scene_is_listed_with_its_outcome(scene):
    assert f"| `{scene.name}` | {scene.outcome or 'as lived'} |" in PAGE


@pytest.mark.parametrize("name", [*(entry.name for entry in fields(Manners)), *SWITCHES])
def test_every_switch_is_explained(name):
    assert f"`{name}`" in PAGE
