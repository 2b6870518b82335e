"""Desks that are gone or have moved, as a patch of the catalogue's files for a person to review.

Nothing is changed by itself: a site may be down for three days, and a desk that is closed too early is not
watched any more.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from guichets.catalogue._files import SourceFile, bundled_files, folder_files, parse
from guichets.catalogue._lines import read_lines
from guichets.errors import CatalogueError

DAYS_IN_A_ROW = 3
BUNDLED = "guichets/catalogue/data"  # where the bundled files stand in the project


@dataclass(frozen=True, slots=True)
class DeskDay:
    """What the visits of one desk that could tell established on one day of its zone."""

    desk: str
    day: date
    is_over: bool  # every one of them found it gone or moved


@dataclass(frozen=True, slots=True)
class Proposal:
    """A desk to close: since when, and what says so."""

    desk: str
    since: date
    days: int  # in a row; days without an answer that tells do not count
    reason: str  # for the note: outcome, observation, words of the page


def over_since(days: Iterable[DeskDay]) -> dict[str, tuple[date, int]]:
    """First day and length of the unbroken run each desk ends with, where it is long enough."""
    runs: dict[str, list[date]] = {}
    for entry in sorted(days, key=lambda entry: entry.day):
        run = runs.setdefault(entry.desk, [])
        if entry.is_over:
            run.append(entry.day)
        else:
            run.clear()
    return {desk: (run[0], len(run)) for desk, run in runs.items() if len(run) >= DAYS_IN_A_ROW}


def write_patch(proposals: Sequence[Proposal], folder: Path | None) -> str:
    """The unified diff that closes these desks in ``folder``, or in the bundled files.

    Raises CatalogueError for files that cannot be read. A desk the files do not hold, or already close, is
    passed over.
    """
    reasons: list[str] = []
    sources = bundled_files() if folder is None else folder_files(folder, reasons)
    patches = [_patch_of(source, proposals, folder, reasons) for source in sources]
    if reasons:
        raise CatalogueError(reasons)
    return "".join(patches)


def _patch_of(
    source: SourceFile, proposals: Sequence[Proposal], folder: Path | None, reasons: list[str]
) -> str:
    parsed = parse(source, reasons)
    if parsed is None:
        return ""
    tables, text = parsed
    lines = text.splitlines(keepends=True)
    places = read_lines(text)
    wanted = {proposal.desk: proposal for proposal in proposals}
    added: dict[int, list[str]] = {}  # after which line, from 1
    for position, row in enumerate(tables.get("desk", ())):
        proposal = wanted.get(str(row.get("id")))
        if proposal is None or "valid_to" in row:
            continue
        new = [f"valid_to = {proposal.since.isoformat()}\n"]
        if "note" not in row:
            new.append(f"note = {json.dumps(proposal.reason, ensure_ascii=False)}\n")
        table = places.table("desk", position)
        added[table.of("url")] = new
    changed = [part for number, line in enumerate(lines, 1) for part in (line, *added.get(number, ()))]
    name = f"{BUNDLED}/{source.name}" if folder is None else source.name
    return "".join(difflib.unified_diff(lines, changed, f"a/{name}", f"b/{name}"))
