"""Sums each UTC day of the archive into one root, and chains the roots into a text file to publish.

Whoever holds an old copy of one line of ``seals.txt`` can tell that nothing sealed up to that day was
changed, dropped, inserted or moved since.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from guichets.evidence.errors import BrokenRecord, SealError
from guichets.evidence.exchange import EvidenceRef
from guichets.evidence.layout import (
    RECORDS_MARK,
    SUFFIX,
    archived_days,
    beside,
    day_folder,
    files_of_day,
    relative_name,
    resolve,
)
from guichets.evidence.merkle import MerkleTree, merkle_root
from guichets.evidence.record_list import leaf_of, leaves_of, read_list, scan_entries, write_list, write_whole
from guichets.evidence.repair import is_open

SEALS_NAME = "seals.txt"
HEADER = (
    "# Seals of the Guichets archive. One line per UTC day: day, records, Merkle root, chained seal.\n"
    "# root = RFC 6962 tree over the day's records; seal = SHA-256(0x02, seal before, day, records, root).\n"
)
FIRST_PREVIOUS = "0" * 64
_CHAIN = b"\x02"
_RESTORE = "restore the file from its published copy"
_LINE = re.compile(r"(\d{4}-\d{2}-\d{2}) (0|[1-9]\d{0,11}) ([0-9a-f]{64}) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Seal:
    """One day's line."""

    day: date
    records: int
    root: str  # hexadecimal
    seal: str  # commits to this line and to every line before it, hexadecimal

    def line(self) -> str:
        return f"{self.day.isoformat()} {self.records} {self.root} {self.seal}"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That one record is under a day's root, without showing any other record."""

    day: date
    index: int
    records: int
    path: tuple[str, ...]  # hexadecimal, nearest first
    root: str


def chained(previous: str, day: date, records: int, root: str) -> str:
    """The seal of a day, from the seal of the day before."""
    data = (
        _CHAIN
        + bytes.fromhex(previous)
        + day.isoformat().encode()
        + records.to_bytes(8)
        + bytes.fromhex(root)
    )
    return hashlib.sha256(data).hexdigest()


def parse_line(line: str) -> Seal | None:
    """A line of seals.txt, or None when it is not one."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        return Seal(date.fromisoformat(match[1]), int(match[2]), match[3], match[4])
    except ValueError:
        return None


def read_seals(home: Path) -> list[Seal]:
    """The seals of the archive, oldest first; SealError at the first line that does not hold."""
    try:
        text = (home / SEALS_NAME).read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as problem:
        raise SealError(f"{home / SEALS_NAME}: cannot be read ({problem})") from None
    seals: list[Seal] = []
    previous = FIRST_PREVIOUS
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            continue
        seal = parse_line(line)
        if seal is None:
            raise SealError(f"{home / SEALS_NAME}:{number}: {line[:80]!r} is not a seal; {_RESTORE}")
        if seal.seal != chained(previous, seal.day, seal.records, seal.root):
            raise SealError(
                f"{home / SEALS_NAME}:{number}: the seal of {seal.day} does not follow from the line before; "
                f"{_RESTORE}"
            )
        previous = seal.seal
        seals.append(seal)
    return seals


def seal_until(home: Path, now: datetime) -> list[Seal]:
    """Seal every past UTC day not sealed yet, in order, and return the new seals.

    A day without any record gets no line. Raises SealError when a file of such a day is still being written
    or was left torn (run repair first); days before it are sealed.
    """
    new: list[Seal] = []
    with only_one_keeper(home):
        seals = read_seals(home)
        last = seals[-1].day if seals else date.min
        previous = seals[-1].seal if seals else FIRST_PREVIOUS
        for day in archived_days(home):
            if not last < day < now.astimezone(UTC).date() or not files_of_day(home, day):
                continue
            records, root = _sum_day(home, day)
            seal = Seal(day, records, root, chained(previous, day, records, root))
            lines = "".join(f"{one.line()}\n" for one in [*seals, seal])
            write_whole(home / SEALS_NAME, (HEADER + lines).encode())
            seals.append(seal)
            new.append(seal)
            previous = seal.seal
    return new


def prove(home: Path, ref: EvidenceRef) -> InclusionProof:
    """The proof that a record is under its day's seal; SealError when the day is not sealed."""
    day = day_of(home, ref.file)
    seal = next((seal for seal in read_seals(home) if seal.day == day), None)
    if seal is None:
        raise SealError(f"{day}: not sealed yet")
    return DayTree(home, seal).prove(ref)


def day_of(home: Path, file: str) -> date:
    """The UTC day an archive file belongs to, from its path as references have it."""
    return date.fromisoformat("-".join(resolve(home, file).parent.parts[-3:]))


class DayTree:
    """The records of one sealed day as a tree, for as many proofs as are wanted.

    Raises SealError when a list of the day cannot be read.
    """

    def __init__(self, home: Path, seal: Seal) -> None:
        self._seal = seal
        self._places: dict[tuple[str, int, str], int] = {}
        leaves: list[bytes] = []
        for file in sealed_files(home, seal.day):
            relative = relative_name(home, file)
            for entry in read_list(file):
                self._places[relative, entry.offset, entry.digest] = len(leaves)
                leaves.append(leaf_of(relative, entry))
        self._tree = MerkleTree(leaves)
        self._is_sealed = self._tree.root.hex() == seal.root

    def prove(self, ref: EvidenceRef) -> InclusionProof:
        """Raises SealError for a record that is not under the seal."""
        index = self._places.get((ref.file, ref.offset, ref.digest))
        if index is None or not self._is_sealed:
            raise SealError(
                f"{ref.file}@{ref.offset}: not under the seal of {self._seal.day}; "
                "run `guichets evidence verify`"
            )
        path = tuple(step.hex() for step in self._tree.proof(index))
        return InclusionProof(self._seal.day, index, len(self._places), path, self._seal.root)


def sealed_files(home: Path, day: date) -> list[Path]:
    """The archive files a day's seal commits to, sorted by name, whether they still exist or not."""
    lists = day_folder(home, day).glob(f"guichets-*{SUFFIX}{RECORDS_MARK}")
    return sorted(place.with_name(place.name.removesuffix(RECORDS_MARK)) for place in lists)


def root_of_lists(home: Path, files: Sequence[Path]) -> tuple[int, str]:
    """Number of records and root, from the lists of the files."""
    leaves = [leaf for path in files for leaf in leaves_of(home, path, read_list(path))]
    return len(leaves), merkle_root(leaves).hex()


def _sum_day(home: Path, day: date) -> tuple[int, str]:
    files = files_of_day(home, day)
    for path in files:
        if is_open(path):
            raise SealError(
                f"{path}: still being written; the day can be sealed when its writer has closed it"
            )
        try:
            write_list(path, scan_entries(path))
        except BrokenRecord as problem:
            raise SealError(f"{problem}; run repair before sealing {day}") from None
    for path in sealed_files(home, day):
        if path not in files:  # left by a sealing that was interrupted before a file went
            beside(path, RECORDS_MARK).unlink()
    return root_of_lists(home, files)


@contextmanager
def only_one_keeper(home: Path) -> Iterator[None]:
    """Seals and prunings wait for each other: two at once would write the same files."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{SEALS_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
