"""What préfectures answered, from a folder of TOML files: their words are shown whole, beside the figures.

[[reply]]
departement = "92"
office = "Préfecture des Hauts-de-Seine"   # optional: the département as a whole
received_on = 2026-10-12
author = "Le préfet"
text = '''
…
'''
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from guichets.catalogue import departements
from guichets.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, as it was received."""

    departement: str
    office: str | None
    received_on: date
    author: str
    paragraphs: tuple[str, ...]


def read_replies(folder: str | None) -> list[Reply]:
    """Every reply of the folder's files, newest first. Raises ArgumentError with file and reason."""
    if folder is None:
        return []
    place = Path(folder)
    if not place.is_dir():
        raise ArgumentError(f"--replies: {folder} is not a folder")
    found = []
    for path in sorted(place.glob("*.toml")):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ArgumentError(f"--replies: {path}: {error}") from None
        for number, row in enumerate(content.get("reply", []), start=1):
            found.append(_reply(row, f"--replies: {path}: reply {number}"))
    return sorted(found, key=lambda reply: (-reply.received_on.toordinal(), reply.departement))


def _reply(row: dict[str, Any], where: str) -> Reply:
    unknown = row.keys() - {"departement", "office", "received_on", "author", "text"}
    if unknown:
        raise ArgumentError(f"{where}: {', '.join(sorted(unknown))} is unknown")
    code, received_on = str(row.get("departement", "")), row.get("received_on")
    if code not in departements():
        raise ArgumentError(f'{where}: departement "{code}" is unknown')
    if not isinstance(received_on, date) or isinstance(received_on, datetime):
        raise ArgumentError(f"{where}: received_on must be a date such as 2026-10-12")
    texts = {name: row.get(name, "") for name in ("author", "text")}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise ArgumentError(f"{where}: {name} is missing")
    office = row.get("office")
    if office is not None and not isinstance(office, str):
        raise ArgumentError(f"{where}: office must be a text")
    paragraphs = tuple(part.strip() for part in texts["text"].split("\n\n") if part.strip())
    return Reply(code, office, received_on, texts["author"].strip(), paragraphs)
