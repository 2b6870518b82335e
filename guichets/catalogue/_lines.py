"""Where things stand in a TOML text: tomllib gives values without their lines.

Only ever asked about a text that tomllib has accepted, so it may rely on the grammar being right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STRING = (
    r'"""(?:[^\\"]|\\[\s\S]|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_VALUE_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|#[^\n]*|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<end>\n)|[^\"'#\[\]{{}}\n]+|."
)
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_KEY = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?")
_EACH_PART = re.compile(_PART)


@dataclass(slots=True)
class TableLines:
    """The lines of one table: its header, and each of its keys."""

    line: int
    keys: dict[str, int] = field(default_factory=dict)  # dotted names too: "params.dwr"

    def of(self, key: str | None) -> int:
        """The line of ``key``, else of the table it is in, else of the header."""
        while key:
            if key in self.keys:
                return self.keys[key]
            key = key.rpartition(".")[0]
        return self.line


@dataclass(slots=True)
class FileLines:
    """The lines of one file."""

    top: TableLines = field(default_factory=lambda: TableLines(1))
    tables: dict[str, list[TableLines]] = field(default_factory=dict)

    def table(self, name: str, position: int) -> TableLines:
        """The lines of the ``position``-th table (from 0) called ``name``, however it was written."""
        found = self.tables.get(name, [])
        if position < len(found):
            return found[position]
        return TableLines(self.top.of(name))


def read_lines(text: str) -> FileLines:
    """The line, from 1, of every table header and key at the statement level of ``text``."""
    lines = FileLines()
    current, prefix = lines.top, ""
    position, line = 0, 1
    while position < len(text):
        header = _HEADER.match(text, position)
        key = None if header else _KEY.match(text, position)
        start = position
        if header:
            current, prefix = _enter(lines, _parts(header[2]), line=line)
            position = header.end()
        elif key:
            _note(current, prefix, _parts(key[1]), line=line)
            position = key.end()
        position = _end_of_statement(text, position)
        line += text.count("\n", start, position)
    return lines


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _EACH_PART.findall(dotted)]


def _enter(lines: FileLines, parts: list[str], *, line: int) -> tuple[TableLines, str]:
    """The table that the header's keys belong to, and what stands before their names."""
    name, *rest = parts
    tables = lines.tables.setdefault(name, [])
    if not rest or not tables:
        tables.append(TableLines(line))
    if rest:
        _note(tables[-1], "", rest, line=line)
        return tables[-1], ".".join(rest) + "."
    return tables[-1], ""


def _note(table: TableLines, prefix: str, parts: list[str], *, line: int) -> None:
    for depth in range(1, min(len(parts), 2) + 1):  # nothing in a catalogue is deeper
        table.keys.setdefault(prefix + ".".join(parts[:depth]), line)


def _end_of_statement(text: str, position: int) -> int:
    """Just after the line break that ends the statement at ``position``; strings and brackets may span."""
    depth = 0
    for token in _VALUE_TOKEN.finditer(text, position):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["end"] and depth <= 0:
            return token.end()
    return len(text)
