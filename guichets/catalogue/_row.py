"""One TOML table read key by key, with a reason kept for each thing that is wrong in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from guichets.catalogue._lines import TableLines
from guichets.catalogue._wording import did_you_mean, kinds_wanted, printable, quoted

MAX_TEXT_CHARACTERS = 2000


@dataclass(slots=True)
class Row:
    """A table, where it stands, and where its reasons go."""

    path: str  # of the file, as reasons show it
    kind: str  # desk, channel or host
    name: str  # what reasons call this row after its kind
    table: Mapping[str, Any]
    lines: TableLines
    reasons: list[str]

    def refuse(self, sentence: str, key: str | None = None) -> None:
        """Keep one reason, pointing at the key's line or else at the header's."""
        self.reasons.append(f"{self.path}:{self.lines.of(key)}: {self.kind} {self.name}: {sentence}")

    def check_keys(self, known: Iterable[str]) -> None:
        names = list(known)
        for key in self.table:
            if key not in names:
                self.refuse(f"key {quoted(key)} is unknown.{did_you_mean(key, names)}", key)

    def text(self, key: str, *, required: bool = False, several_lines: bool = False) -> str | None:
        """A text without control characters, stripped; None when absent or refused."""
        value = self.value(key, (str,), required=required)
        if not isinstance(value, str):
            return None
        problem = text_problem(value, several_lines=several_lines)
        if problem:
            self.refuse(f"{key} {quoted(value)} {problem}", key)
            return None
        return value.strip()

    def one_of(self, key: str, known: Mapping[str, Any], *, hint: Callable[[str], str] | None = None) -> str:
        """A required text out of a closed list; "" when refused."""
        value = self.text(key, required=True)
        if value is None:
            return ""
        if value not in known:
            suggestion = hint(value) if hint else did_you_mean(value, known)
            self.refuse(f"{key} {quoted(value)} is unknown.{suggestion}", key)
            return ""
        return value

    def day(self, key: str) -> date | None:
        value = self.table.get(key)
        if value is None:
            return None
        if isinstance(value, datetime):
            self.refuse(f"{key} {value} has a time: write the date alone, {value.date()}", key)
        elif isinstance(value, date):
            return value
        elif isinstance(value, str) and _is_iso_day(value):
            self.refuse(f"{key} {quoted(value)} is a text: write the date without quotes, {value}", key)
        else:
            self.refuse(f"{key} {quoted(value)} must be {kinds_wanted([date])}", key)
        return None

    def period(self) -> tuple[date | None, date | None]:
        """``valid_from`` and ``valid_to``, in that order of time."""
        first, last = self.day("valid_from"), self.day("valid_to")
        if first and last and last < first:
            self.refuse(f"valid_to {last} comes before valid_from {first}", "valid_to")
        return first, last

    def flag(self, key: str) -> bool:
        return bool(self.value(key, (bool,)))

    def seconds(self, key: str, *, most: float) -> float | None:
        value = self.value(key, (int, float))
        if value is None:
            return None
        if not 0 <= value <= most:  # false for nan too
            self.refuse(
                f"{key} {quoted(value)} must be a number of seconds from 0 to {most:g}: "
                "it can only slow the visits of this host down",
                key,
            )
            return None
        return float(value)

    def value(self, key: str, kinds: tuple[type, ...], *, required: bool = False) -> Any:
        """The raw value when it is of one of the kinds; None, with a reason, when it is not."""
        if key not in self.table:
            if required:
                self.refuse(f"key {quoted(key)} is missing: add {key} = …")
            return None
        value = self.table[key]
        if not is_of_kind(value, kinds):
            self.refuse(f"{key} {quoted(value)} must be {kinds_wanted(kinds)}", key)
            return None
        return value


def is_of_kind(value: Any, kinds: tuple[type, ...]) -> bool:
    """isinstance, except that true and false are not whole numbers."""
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def text_problem(value: str, *, several_lines: bool = False) -> str | None:
    """Why the text cannot be kept, as the end of a sentence."""
    if not value.strip():
        return "is empty"
    if len(value) > MAX_TEXT_CHARACTERS:
        return f"is longer than {MAX_TEXT_CHARACTERS} characters"
    allowed = "\n\t" if several_lines else ""
    for character in value.strip():
        if unicodedata.category(character) in {"Cc", "Zl", "Zp"} and character not in allowed:
            return f"holds the control character {printable(character)}: remove it"
    return None


def _is_iso_day(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
