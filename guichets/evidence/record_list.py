"""The list of a file's records, written when its day is sealed: what the seal commits to.

One line per record, ``offset length sha256``, compressed. It lets a break be named record by record, and
outlives the records themselves, so that a pruned day still verifies.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guichets.evidence.errors import SealError
from guichets.evidence.layout import RECORDS_MARK, beside, relative_name
from guichets.evidence.members import scan_members
from guichets.evidence.merkle import leaf_hash

_LINE = re.compile(r"(0|[1-9]\d{0,14}) ([1-9]\d{0,14}) ([0-9a-f]{64})")
LARGEST_LIST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a file: its place and the SHA-256 of its gzip member."""

    offset: int
    length: int
    digest: str

    @property
    def end(self) -> int:
        return self.offset + self.length


def leaf_of(relative: str, entry: Entry) -> bytes:
    """The leaf commits to the bytes and to their place: a moved record is a broken one."""
    return leaf_hash(f"{relative}\n{entry.offset}\n{entry.length}\n{entry.digest}".encode())


def leaves_of(home: Path, path: Path, entries: Iterable[Entry]) -> list[bytes]:
    relative = relative_name(home, path)
    return [leaf_of(relative, entry) for entry in entries]


def scan_entries(path: Path) -> list[Entry]:
    """The records as they stand in the file; BrokenRecord where it is not sound."""
    return [Entry(member.offset, member.length, member.digest) for member in scan_members(path)]


def write_list(path: Path, entries: Sequence[Entry]) -> None:
    """Write the list of an archive file, whole or not at all."""
    text = "".join(f"{entry.offset} {entry.length} {entry.digest}\n" for entry in entries)
    write_whole(beside(path, RECORDS_MARK), gzip.compress(text.encode(), mtime=0))


def read_list(path: Path) -> list[Entry]:
    """The sealed list of an archive file; SealError when it is missing or cannot be read."""
    place = beside(path, RECORDS_MARK)
    try:
        engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
        text = engine.decompress(place.read_bytes(), LARGEST_LIST_BYTES).decode("ascii")
        if not engine.eof or engine.unused_data:
            raise SealError(f"{place}: the list of records is cut short or continued")
    except FileNotFoundError:
        raise SealError(f"{place}: the list of records is missing") from None
    except (OSError, zlib.error, UnicodeDecodeError) as problem:
        raise SealError(f"{place}: the list of records cannot be read ({problem})") from None
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise SealError(f"{place}:{number}: {line[:80]!r} is not a line of a list of records")
        entries.append(Entry(int(match[1]), int(match[2]), match[3]))
    return entries


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or a crash, meets the old content or the new, never a mixture."""
    draft = path.with_name(f".{path.name}.draft-{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
