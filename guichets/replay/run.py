"""Many visits read again: what would change, and what could not be read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from guichets.evidence import ArchiveReader
from guichets.evidence.errors import ArchiveError, RecordPruned
from guichets.outcomes import Outcome
from guichets.replay.family import Family, Normalise
from guichets.replay.probe import Answer, Memory, answer_of
from guichets.replay.reread import Change, NotReplayed, reread
from guichets.replay.visits import RecordedVisit, Selection, read_visits, signature, visit_of

logger = logging.getLogger(__name__)


@dataclass
class Replay:
    """What a replay found."""

    visits: int = 0
    changes: list[Change] = field(default_factory=list)
    not_replayed: Counter[NotReplayed] = field(default_factory=Counter)  # visits
    troubles: list[str] = field(default_factory=list)  # one line per unreadable page or failed reader

    @property
    def moves(self) -> dict[tuple[Outcome, Outcome], list[Change]]:
        """The changes by outcome before and after; the two are equal where only dates or rules changed."""
        found: dict[tuple[Outcome, Outcome], list[Change]] = {}
        for change in self.changes:
            found.setdefault((change.old.outcome, change.new.outcome), []).append(change)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def run(
    connection: psycopg.Connection[Any],
    reader: ArchiveReader,
    families: Mapping[str, Family],
    selection: Selection,
    *,
    normalise: Normalise,
    progress: Callable[[], None] = lambda: None,  # called after each visit
) -> Replay:
    """Read the visits again. Needs an open transaction; writes nothing, asks no site."""
    found = Replay()
    memory = Memory()
    unchanged: set[object] = set()  # only ever tells that nothing changes: what changes is read for itself
    for rows in read_visits(connection, selection):
        found.visits += 1
        same = signature(rows)
        if same in unchanged:
            progress()
            continue
        memory.is_timeless = True
        result = _reread(visit_of(rows), reader, families, normalise, memory, found.troubles)
        if result == [] and memory.is_timeless:
            unchanged.add(same)
        if isinstance(result, NotReplayed):
            found.not_replayed[result] += 1
        else:
            found.changes += result
        progress()
    return found


def _reread(
    visit: RecordedVisit,
    reader: ArchiveReader,
    families: Mapping[str, Family],
    normalise: Normalise,
    memory: Memory,
    troubles: list[str],
) -> list[Change] | NotReplayed:
    family = families.get(visit.desk.family)
    if family is None:
        return NotReplayed.NO_FAMILY
    if not visit.is_archived:
        return NotReplayed.NO_PAGE
    try:
        answers = list(read_answers(visit, reader))
    except RecordPruned:
        return NotReplayed.PRUNED
    except (ArchiveError, OSError) as error:
        troubles.append(f"{visit.desk.id}: {error}")
        return NotReplayed.UNREADABLE
    try:
        return reread(visit, family, answers, normalise=normalise, memory=memory)
    except Exception as error:  # noqa: BLE001 - one page a reader fails on must not hide the others
        troubles.append(f"{visit.desk.id}, {visit.desk_line.id}: {type(error).__name__}: {error}")
        return NotReplayed.READER_FAILED


def read_answers(visit: RecordedVisit, reader: ArchiveReader) -> Iterator[Answer]:
    """The visit's archived exchanges, checked against their evidence. Raises ArchiveError."""
    for ref in visit.refs:
        page = reader.read_page(ref)
        yield answer_of(page, page.body(), ref.sha256)
