"""Names and places of archive files, and the markers that stand beside them.

``archive/2025/05/13/guichets-<worker>-2025-05-13T07-<n>.warc.gz`` holds what one process archived in one UTC
hour. Beside it: ``.open`` while a process writes it, ``.torn`` the bytes a crash left half-written,
``.records.gz`` its sealed list of records, ``.pruned`` what retention took out of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid4

from guichets.evidence.errors import ArchiveError

ARCHIVE = "archive"
ID_NAME = "id"
SUFFIX = ".warc.gz"
OPEN_MARK = ".open"
TORN_MARK = ".torn"
RECORDS_MARK = ".records.gz"
PRUNED_MARK = ".pruned"

_NAME = re.compile(r"guichets-([A-Za-z0-9_.-]+)-(\d{4})-(\d{2})-(\d{2})T(\d{2})-(\d+)\.warc\.gz")


def archive_folder(home: Path) -> Path:
    return home / ARCHIVE


def archive_id(home: Path) -> UUID:
    """The id that tells this archive's seals from another machine's, made if it has none yet.

    Raises OSError where it cannot be written.
    """
    known = _read_id(home)
    if known is not None:
        return known
    place = archive_folder(home) / ID_NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{ID_NAME}.draft-{os.getpid()}")
    draft.write_text(f"{uuid4()}\n", encoding="ascii")
    try:
        os.link(draft, place)  # whole or not at all, and only the first of several processes
    except FileExistsError:
        pass  # another process was quicker
    finally:
        draft.unlink()
    return archive_id(home)


def known_archive_id(home: Path) -> UUID | None:
    """The archive's id, None where there is no archive yet; writes nothing."""
    try:
        return _read_id(home)
    except OSError as problem:
        place = archive_folder(home) / ID_NAME
        raise ArchiveError(f"{place}: cannot be read ({problem.strerror})") from None


def _read_id(home: Path) -> UUID | None:
    place = archive_folder(home) / ID_NAME
    try:
        return UUID(place.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ArchiveError(f"{place}: not the id of an archive; restore it from a copy") from None


def day_folder(home: Path, day: date) -> Path:
    return archive_folder(home) / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}"


def safe_worker(worker: str) -> str:
    """The worker's name as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", worker).strip(".") or "worker"


def file_name(worker: str, instant: datetime, number: int) -> str:
    """The name holds the date too, so that it is unique in the whole archive."""
    return f"guichets-{safe_worker(worker)}-{instant.astimezone(UTC):%Y-%m-%dT%H}-{number}{SUFFIX}"


def name_parts(name: str) -> tuple[str, int]:
    """Worker (as ``safe_worker`` writes it) and number of an archive file; ArchiveError for another name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ArchiveError(f"{name[:80]!r} is not the name of an archive file")
    return match[1], int(match[6])


def path_of_name(home: Path, name: str) -> Path:
    """The place of an archive file from its bare name; ArchiveError for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ArchiveError(f"{name[:80]!r} is not the name of an archive file")
    return archive_folder(home).joinpath(*match.group(2, 3, 4), name)


def resolve(home: Path, relative: str) -> Path:
    """The archive file a reference names; refuses any path that is not exactly such a file's."""
    path = path_of_name(home, relative.rpartition("/")[2])
    if relative_name(home, path) != relative:
        raise ArchiveError(f"{relative[:120]!r} is not the path of an archive file")
    return path


def relative_name(home: Path, path: Path) -> str:
    return path.relative_to(home).as_posix()


def files_of_day(home: Path, day: date) -> list[Path]:
    """The archive files of a UTC day, sorted by name."""
    return sorted(path for path in day_folder(home, day).glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name))


def archived_days(home: Path) -> Iterator[date]:
    """The UTC days that have a folder, in order."""
    for folder in sorted(archive_folder(home).glob("[0-9]*/[0-9]*/[0-9]*")):
        if not folder.is_dir():
            continue
        try:
            yield date.fromisoformat("-".join(folder.parts[-3:]))
        except ValueError:
            continue


def beside(path: Path, mark: str) -> Path:
    """The marker file that stands beside an archive file."""
    return path.with_name(path.name + mark)
