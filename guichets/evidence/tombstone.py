"""What stands in for records that retention removed: when, why, and where the kept ones went.

The list of record digests (``.records``) stays whole, so that the day's seal still verifies.
"""

from __future__ import annotations

import json
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
    kept: Mapping[int, int]  # sealed offset of each kept record -> its offset in the rewritten file

    def to_json(self) -> str:
        kept = {str(sealed): present for sealed, present in sorted(self.kept.items())}
        return json.dumps(
            {"pruned_at": self.pruned_at.isoformat(), "reason": self.reason, "kept": kept}, indent=1
        )


def read_tombstone(path: Path) -> Tombstone | None:
    """The tombstone of an archive file, or None; BrokenRecord when it cannot be read."""
    stone = beside(path, PRUNED_MARK)
    try:
        content = json.loads(stone.read_text(encoding="utf-8"))
        pruned_at = datetime.fromisoformat(content["pruned_at"])
        if pruned_at.tzinfo is None:
            raise ValueError("no time zone")
        kept = {int(sealed): int(present) for sealed, present in content["kept"].items()}
        return Tombstone(pruned_at, str(content["reason"]), kept)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BrokenRecord(f"{stone}: the tombstone cannot be read ({problem})") from None


def present_offset(path: Path, offset: int) -> int:
    """Where the record sealed at ``offset`` stands today; RecordPruned when it is gone."""
    stone = read_tombstone(path)
    if stone is None:
        return offset
    if offset not in stone.kept:
        raise RecordPruned(
            f"{path.name}@{offset}: removed on {stone.pruned_at:%Y-%m-%d} ({stone.reason}); "
            "its digest is still in the sealed list"
        )
    return stone.kept[offset]
