"""The note of an observation: the one line that its ``metadata`` record holds.

``<SHA-256 of the row> <desk> <outcome> <rule>[ <counter>]``, as ``sha256sum`` writes a line: enough to read
without the database, and the hash by which the row is recognised. JSON would cost a fifth more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; charset=utf-8"

COMMITTED = b"committed"
"""What the last record of a replay or an import holds: the rows of the notes before it were written."""

# The counter comes last, because it is the platform's own key and may hold anything.
_LINE = re.compile(r"([0-9a-f]{64}) ([^ \n]+) ([^ \n]+) ([^ \n]+)(?: (.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Note:
    """What an observation established, in short."""

    row: str  # SHA-256 of the row, hexadecimal
    desk: str
    outcome: str
    rule: str
    counter: str | None = None  # None for the desk as a whole

    def line(self) -> bytes:
        text = f"{self.row} {self.desk} {self.outcome} {self.rule}"
        return (text if self.counter is None else f"{text} {self.counter}").encode()


def parse_note(content: bytes) -> Note | None:
    """The note a record holds; None for what is no note of ours."""
    try:
        match = _LINE.fullmatch(content.decode())
    except UnicodeDecodeError:
        return None
    return None if match is None else Note(*match.groups())
