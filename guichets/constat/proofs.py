"""Finds in the archive what proves each attempt: its note, its pages, and the place of both under a seal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from guichets.constat.attempts import Standing
from guichets.evidence.errors import ArchiveError, EvidenceError, RecordPruned, SealError
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.layout import (
    archived_days,
    files_of_day,
    known_archive_id,
    name_parts,
    relative_name,
    resolve,
    safe_worker,
)
from guichets.evidence.members import read_members, unpack_member
from guichets.evidence.reader import ArchivedPage, ArchiveReader
from guichets.evidence.record_list import read_list
from guichets.evidence.seal import DayTree, InclusionProof, Seal, day_of, read_seals, sealed_files
from guichets.evidence.tombstone import present_place
from guichets.evidence.warc import parse_record
from guichets.note import parse_note
from guichets.proof import REPLAY_WORKER
from guichets.proof.holds import refs_of
from guichets.rows import row_text

LARGEST_NOTE_BYTES = 8192  # packed; one is about 400, and a counter's key may be long
RECORDS_AFTER_A_PAGE = 64  # looked at for the note: it is written next, among those of other visits
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NoteFound:
    """The archived note of an observation, byte for byte."""

    file: str
    offset: int  # as sealed
    member: bytes  # the gzip member
    row: str  # the hash it holds

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.member).hexdigest()


@dataclass(slots=True)
class Proof:
    """What could be found of one attempt's proof."""

    standing: Standing
    why: str | None = None  # in French, where something is missing or broken
    note: NoteFound | None = None
    inclusion: InclusionProof | None = None
    row_text: str = ""  # the text whose hash the note holds
    pages: list[tuple[EvidenceRef, ArchivedPage]] = field(default_factory=list)  # those that could be read


class ProofFinder:
    """Looks for proofs in the archive of one home; keeps open what several attempts share.

    Raises SealError when the chain of seals itself does not hold: then nothing can be proved.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._reader = ArchiveReader(home)
        self._ours = known_archive_id(home)
        self.seals: list[Seal] = read_seals(home)
        self._by_day = {seal.day: seal for seal in self.seals}
        self._tree: tuple[date, DayTree | SealError] | None = None
        self._entries: dict[Path, list[tuple[int, int]]] = {}
        self._replays: list[Path] | None = None

    @property
    def reader(self) -> ArchiveReader:
        return self._reader

    def find(self, row: Row) -> Proof:
        """The proof of one row, as ``guichets evidence verify`` would judge it."""
        slots = [(starts, has_time == "true") for starts, has_time in row["slots"]]
        text = row_text({**row, "slots": slots})
        proof = Proof(Standing.SEALED, row_text=text)
        try:
            refs = refs_of(row["evidence"])
            proof.note = self._find_note(row, refs)
            for ref in refs:
                proof.pages.append((ref, self._reader.read_page(ref)))
        except RecordPruned as problem:
            return _fallen(
                proof, Standing.PRUNED, f"retirée de l'archive après sa durée de garde ({problem})"
            )
        except (EvidenceError, OSError) as problem:
            return _fallen(proof, Standing.BROKEN, f"l'archive ne tient pas : {problem}")
        if proof.note is None:
            return self._without_note(row, proof)
        if hashlib.sha256(text.encode()).hexdigest() != proof.note.row:
            return _fallen(proof, Standing.BROKEN, "la ligne n'est pas celle qui fut archivée")
        return self._under_seal(proof, proof.note)

    def _without_note(self, row: Row, proof: Proof) -> Proof:
        if row["crawl_known"] and row["archive"] is not None and row["archive"] != self._ours:
            return _fallen(proof, Standing.ELSEWHERE, "archivée sur une autre machine")
        if (row["crawl_known"] and row["archive"] is None) or not row["evidence"]:
            return _fallen(proof, Standing.UNARCHIVED, "rien n'en fut archivé")
        return _fallen(proof, Standing.BROKEN, "l'archive n'en a pas de note")

    def _under_seal(self, proof: Proof, note: NoteFound) -> Proof:
        day = day_of(self._home, note.file)
        seal = self._by_day.get(day)
        if seal is None:
            return _fallen(proof, Standing.UNSEALED, f"le {day} (UTC) n'est pas encore scellé")
        if self._tree is None or self._tree[0] != day:  # attempts come in the order of time
            try:
                self._tree = (day, DayTree(self._home, seal))
            except SealError as problem:
                self._tree = (day, problem)
        tree = self._tree[1]
        try:
            if isinstance(tree, SealError):
                raise tree
            ref = EvidenceRef(note.file, note.offset, len(note.member), "", "", note.digest)
            proof.inclusion = tree.prove(ref)
        except SealError as problem:
            return _fallen(proof, Standing.BROKEN, f"le sceau du jour ne tient pas : {problem}")
        return proof

    # --- notes -----------------------------------------------------------------------------------------

    def _find_note(self, row: Row, refs: Sequence[EvidenceRef]) -> NoteFound | None:
        wanted = UUID(str(row["id"])).urn
        if row["supersedes"] is not None:
            places: Iterator[tuple[Path, int]] = ((path, 0) for path in self._replay_files())
        else:
            places = self._likely_places(row, refs)
        pruned: RecordPruned | None = None
        for path, start in places:
            try:
                found = self._note_in(path, start, wanted)
            except RecordPruned as problem:
                pruned = problem
                continue
            if found is not None:
                return found
        if pruned is not None:
            raise pruned
        return None

    def _likely_places(self, row: Row, refs: Sequence[EvidenceRef]) -> Iterator[tuple[Path, int]]:
        """Files with where to begin in them: after the last page, else the worker's files of that hour."""
        if refs:
            yield resolve(self._home, refs[-1].file), refs[-1].offset
        worker = safe_worker(row["worker"])
        instant: datetime = row["observed_at"].astimezone(UTC)
        for hour in (instant, instant + timedelta(hours=1), instant - timedelta(hours=1)):
            for path in self._files(hour.date()):
                if name_parts(path.name)[0] == worker and f"-{hour:%Y-%m-%dT%H}-" in path.name:
                    yield path, 0

    def _files(self, day: date) -> list[Path]:
        return sorted({*files_of_day(self._home, day), *sealed_files(self._home, day)})

    def _replay_files(self) -> list[Path]:
        if self._replays is None:
            self._replays = [
                path
                for day in archived_days(self._home)
                for path in self._files(day)
                if name_parts(path.name)[0] == REPLAY_WORKER
            ]
        return self._replays

    def _note_in(self, path: Path, start: int, wanted: str) -> NoteFound | None:
        looked_at = 0
        is_whole = start == 0
        pruned: RecordPruned | None = None
        for offset, length in self._members(path):
            if offset < start or length > LARGEST_NOTE_BYTES:
                continue
            looked_at += 1
            if not is_whole and looked_at > RECORDS_AFTER_A_PAGE:
                return None
            try:
                packed = self._packed(path, offset, length)
            except RecordPruned as problem:
                pruned = problem
                continue
            place = f"{path.name}@{offset}"
            record = parse_record(unpack_member(packed, place), place)
            if record.type == "metadata" and record.record_id == wanted:
                note = parse_note(record.block)
                if note is None:
                    raise ArchiveError(f"{place}: the record of {wanted} is no note")
                return NoteFound(relative_name(self._home, path), offset, packed, note.row)
        if pruned is not None:
            raise pruned
        return None

    def _members(self, path: Path) -> list[tuple[int, int]]:
        """Offset and length of each record: from the sealed list, else by reading the file through."""
        known = self._entries.get(path)
        if known is None:
            try:
                known = [(entry.offset, entry.length) for entry in read_list(path)]
            except SealError:
                known = [(offset, length) for offset, length, _ in read_members(path)]
            self._entries = {path: known}  # the next attempt is most often another hour's
        return known

    def _packed(self, path: Path, offset: int, length: int) -> bytes:
        present, place = present_place(path, offset)
        with present.open("rb") as file:
            file.seek(place)
            return file.read(length)


def _fallen(proof: Proof, standing: Standing, why: str) -> Proof:
    proof.standing = standing
    proof.why = why
    return proof
