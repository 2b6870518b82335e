"""The ledger: one line per request the sandbox was asked, never changed, never removed.

Lines go to a file as JSON, so that long benches cost no memory. Each holds: ``n``; ``started_at`` and
``ended_at`` (UTC) with ``started_monotonic`` and ``ended_monotonic`` (seconds of this machine's clock);
``connection`` (number of the TCP connection); ``host``, ``method``, ``path``, ``query``, ``fields`` (pairs of
a form body), ``user_agent``, ``cookie`` (whether one came), ``session`` (a short digest); ``desk`` and
``counter``; ``truth`` (outcome of the desk and of the counter at the visit's instant, and that instant);
``status``, ``delivery`` and ``bytes`` of the answer; ``tripwire`` (the rule that was broken, or null).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from guichets.errors import ArgumentError

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Ledger:
    """Appends to ``path``, which is emptied first: a ledger belongs to one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.tripwires: list[Mapping[str, Any]] = []
        try:
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise ArgumentError(f"--ledger {str(path)!r} cannot be written: {error.strerror}") from None

    def append(self, line: dict[str, Any]) -> None:
        self.count += 1
        line["n"] = self.count
        if line["tripwire"]:
            self.tripwires.append(line)
        self._file.write(_encode(line) + "\n")

    def lines(self, *, since: int = 0, wanted: Mapping[str, str] | None = None) -> Iterator[str]:
        """The lines after number ``since`` whose values equal those wanted, as they were written."""
        self._file.flush()
        with self.path.open(encoding="utf-8") as reader:
            for number, text in enumerate(reader, start=1):
                if number > since and (not wanted or _matches(json.loads(text), wanted)):
                    yield text

    def close(self) -> None:
        self._file.close()


def _matches(line: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(str(line.get(name)) == value for name, value in wanted.items())
