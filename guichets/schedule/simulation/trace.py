"""Traces: when imaginary desks were open, read from a file that may be wrong.

JSON Lines. First line ``{"start", "end", "desks": [{"id", "host"}, …]}``, then one ``{"desk", "open",
"close"}`` per opening, in any order; instants are ISO 8601 with a zone. A desk may also have ``timezone``
(else Europe/Paris), ``family`` and ``departement``; an opening may have a ``kind``: what its maker calls it,
and ``"moved": true``: its hour is not the one its desk had at first. Windows of a desk may overlap: it is
open in any of them, and each counts as an opening.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from guichets.errors import GuichetsError
from guichets.schedule.watch import WatchedDesk

ZONE = "Europe/Paris"  # of desks that do not say


class TraceError(GuichetsError):
    """Raised when a trace cannot be used; the text begins with file and line."""


@dataclass(frozen=True, slots=True)
class Opening:
    """From ``opens`` until before ``closes``, in unix seconds."""

    opens: float
    closes: float
    kind: str = ""
    is_moved: bool = False  # of a habit whose hour changed within the trace


@dataclass(frozen=True, slots=True)
class Trace:
    """When each desk was open between two instants, in unix seconds."""

    start: float
    end: float
    desks: tuple[WatchedDesk, ...]
    openings: Mapping[str, tuple[Opening, ...]]  # by desk, in order of opening

    def windows(self, desk_id: str) -> list[tuple[float, float]]:
        """When a desk was open: disjoint, in order."""
        found: list[tuple[float, float]] = []
        for opening in self.openings.get(desk_id, ()):
            if found and opening.opens <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], opening.closes))
            else:
                found.append((opening.opens, opening.closes))
        return found


def read_trace(path: Path) -> Trace:
    """Raises TraceError, in one line with file and line, for what is no trace."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise TraceError(f"{path}: cannot be read: {reason}") from error
    lines = _lines(path, text)
    first = next(lines, None)
    if first is None:
        raise TraceError(
            f'{path}:1: empty; expected {{"start": …, "end": …, "desks": [{{"id": …, "host": …}}]}}'
        )
    place, head = first
    start, end = _instant(place, head, "start"), _instant(place, head, "end")
    if end <= start:
        raise TraceError(f"{place}: the trace ends ({head['end']}) before it starts ({head['start']})")
    desks = tuple(_desks(place, head.get("desks")))
    known = {desk.id for desk in desks}
    openings: dict[str, list[Opening]] = {}
    for place, row in lines:
        desk = row.get("desk")
        if not isinstance(desk, str) or desk not in known:
            raise TraceError(f"{place}: desk {json.dumps(desk)} is not among those of the first line")
        opening = Opening(
            _instant(place, row, "open"),
            _instant(place, row, "close"),
            str(row.get("kind", "")),
            row.get("moved") is True,
        )
        if opening.closes <= opening.opens:
            raise TraceError(
                f"{place}: desk {desk!r} closes ({row['close']}) before it opens ({row['open']})"
            )
        openings.setdefault(desk, []).append(opening)
    ordered = {name: tuple(sorted(rows, key=lambda row: row.opens)) for name, rows in openings.items()}
    return Trace(start, end, desks, ordered)


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace as ``read_trace`` reads it."""
    with path.open("w", encoding="utf-8") as stream:
        desks = [
            {
                name: value
                for name, value in (
                    ("id", desk.id),
                    ("host", desk.host),
                    ("timezone", desk.timezone),
                    ("family", desk.family),
                    ("departement", desk.departement),
                )
                if value and (name, value) != ("timezone", ZONE)
            }
            for desk in trace.desks
        ]
        head = {"start": _text(trace.start), "end": _text(trace.end), "desks": desks}
        stream.write(json.dumps(head, ensure_ascii=False) + "\n")
        for desk, openings in trace.openings.items():
            for one in openings:
                row: dict[str, object] = {
                    "desk": desk,
                    "open": _text(one.opens),
                    "close": _text(one.closes),
                    "kind": one.kind,
                }
                if one.is_moved:
                    row["moved"] = True
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def _lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TraceError(f"{place}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise TraceError(f"{place}: expected an object, got {line.strip()[:40]!r}")
        yield place, row


def _instant(place: str, row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    try:
        at = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise TraceError(f'{place}: "{name}" is {json.dumps(value)}: expected an ISO 8601 instant') from error
    if at.tzinfo is None:
        raise TraceError(f'{place}: "{name}" is "{value}", without a zone: add Z or an offset')
    return at.timestamp()


def _desks(place: str, rows: object) -> Iterable[WatchedDesk]:
    if not isinstance(rows, list) or not rows:
        raise TraceError(f'{place}: "desks" must list one desk or more')
    known = set()
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "host")):
            raise TraceError(f'{place}: a desk is {json.dumps(row)}: expected {{"id": "…", "host": "…"}}')
        if row["id"] in known:
            raise TraceError(f"{place}: desk {row['id']!r} is listed twice")
        known.add(row["id"])
        zone = row.get("timezone") or ZONE
        try:
            ZoneInfo(zone)
        except (TypeError, ValueError, OSError, KeyError) as error:
            raise TraceError(f"{place}: desk {row['id']!r}: unknown timezone {zone!r}") from error
        yield WatchedDesk(
            id=row["id"],
            host=row["host"],
            timezone=zone,
            family=str(row.get("family") or ""),
            departement=str(row.get("departement") or ""),
        )


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
