"""How the catalogue's reasons quote what they found and suggest what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from guichets.catalogue.model import Departement

MAX_QUOTED_CHARACTERS = 120

_KINDS = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date such as 2021-04-01, without quotes",
    "dict": "a table such as {}",
    "list": "a list",
}


def printable(text: str) -> str:
    """``text`` on one line, whatever it holds: reasons are one line each."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode()
        for character in text
    )


def quoted(value: Any) -> str:
    """The value as a reason shows it: texts in double quotes, long ones cut."""
    text = printable((value if isinstance(value, str) else _as_text(value))[: MAX_QUOTED_CHARACTERS * 2])
    if len(text) > MAX_QUOTED_CHARACTERS:
        text = text[:MAX_QUOTED_CHARACTERS] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as TOML writes it
    try:
        return str(value)
    except (ValueError, RecursionError):  # a number of more than 4300 digits, a bottomless table
        return f"(a {type(value).__name__} too long to show)"


def kinds_wanted(kinds: Iterable[type]) -> str:
    """« a whole number or a text in quotes »."""
    return " or ".join(_KINDS[kind.__name__] for kind in kinds)


def did_you_mean(word: str, known: Iterable[str], *, listing: bool = True) -> str:
    """`` Did you mean "…"?``, else the whole list where it is short enough to read, else nothing."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold(): name for name in names}
        near = [folded[name] for name in difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)]
    if near:
        return f' Did you mean "{near[0]}"?'
    if listing and 0 < len(names) <= 20:
        return " Known: " + ", ".join(names) + "."
    return ""


def departement_hint(word: str, departements: Mapping[str, Departement]) -> str:
    """The code that was meant by ``1``, ``2a`` or a département's name."""
    for candidate in (word.strip().upper(), word.strip().zfill(2)):
        if candidate in departements:
            return f' Did you mean "{candidate}"?'
    by_name = {departement.name.casefold(): code for code, departement in departements.items()}
    near = difflib.get_close_matches(word.casefold(), by_name, n=1, cutoff=0.7)
    if near:
        return f' Did you mean "{by_name[near[0]]}"?'
    return ' Write an INSEE code such as "01", "2A" or "974" ("99" for the consulates).'
