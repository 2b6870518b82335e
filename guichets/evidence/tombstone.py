"""What stands in for records that retention removed: when, why, and where the kept ones went.

The kept records move, byte for byte, to a file of their own, ``kept-<n>-<name>``; writing the tombstone is
the instant at which readers turn to it. The list of record digests stays whole, so that the seal verifies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from guichets.evidence.errors import BrokenRecord, RecordPruned
from guichets.evidence.layout import PRUNED_MARK, beside


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The retention note of one archive file."""

    pruned_at: datetime  # aware
    reason: str
    number: int  # of prunings of this file so far
    kept: Mapping[int, int]  # sealed offset of each kept record -> its offset in the file of kept ones

    def to_json(self) -> str:
        kept = {str(sealed): present for sealed, present in sorted(self.kept.items())}
        facts = {"pruned_at": self.pruned_at.isoformat(), "reason": self.reason, "number": self.number}
        return json.dumps({**facts, "kept": kept}, indent=1) + "\n"


def kept_file(path: Path, number: int) -> Path:
    """Where the records of a file stand that its n-th pruning kept."""
    return path.with_name(f"kept-{number}-{path.name}")


def read_tombstone(path: Path) -> Tombstone | None:
    """The tombstone of an archive file, or None; BrokenRecord when it cannot be read."""
    stone = beside(path, PRUNED_MARK)
    try:
        content = json.loads(stone.read_text(encoding="utf-8"))
        pruned_at = datetime.fromisoformat(content["pruned_at"])
        if pruned_at.tzinfo is None:
            raise ValueError("no time zone")
        kept = {int(sealed): int(present) for sealed, present in content["kept"].items()}
        return Tombstone(pruned_at, str(content["reason"]), int(content["number"]), kept)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BrokenRecord(f"{stone}: the tombstone cannot be read ({problem})") from None


def present_file(path: Path) -> Path | None:
    """The file that holds a file's records today; None when all of them went."""
    stone = read_tombstone(path)
    if stone is None:
        return path
    return kept_file(path, stone.number) if stone.kept else None


def present_place(path: Path, offset: int) -> tuple[Path, int]:
    """File and offset today of the record archived at an offset; RecordPruned when it is gone."""
    if not os.path.exists(f"{path}{PRUNED_MARK}"):  # noqa: PTH110 - asked for each page that is read
        return path, offset
    stone = read_tombstone(path)
    if stone is None:
        return path, offset
    if offset not in stone.kept:
        raise RecordPruned(
            f"{path.name}@{offset}: removed on {stone.pruned_at:%Y-%m-%d} ({stone.reason}); "
            "its digest is still in the sealed list"
        )
    return kept_file(path, stone.number), stone.kept[offset]
