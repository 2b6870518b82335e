"""What the site says: French is the original; ``data/english.txt`` translates it line by line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType


def translated(french: str, language: str) -> str:
    """A text of ours in a language of the site."""
    return french if language == "fr" else english().get(french, french)


@cache
def english() -> Mapping[str, str]:
    """English by French: lines of the form « français = English »."""
    text = files("guichets.site").joinpath("data/english.txt").read_text(encoding="utf-8")
    lines = (line.partition(" = ") for line in text.splitlines() if not line.startswith("#"))
    return MappingProxyType({french: other for french, _, other in lines})
