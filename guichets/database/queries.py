"""Named queries: the SQL lives in ``.sql`` files, Python only names it.

A file holds one query after another, each under a heading of its own, then what it is for::

    -- claim_host --
    -- The host due longest whose lease is free or expired; the token grows by one at each claim.
    UPDATE hosts …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADING = re.compile(r"-- ([a-z][a-z0-9_]*) --")


def load_queries(package: str, filename: str) -> Mapping[str, str]:
    """The queries of ``filename`` in ``package``, by name.

    Lines that are comments are left out: a per cent sign in one would be read as a placeholder.
    Raises ValueError when a name comes twice, a query is empty, or text stands before the first name.
    """
    return parse_queries(
        files(package).joinpath(filename).read_text(encoding="utf-8"), f"{package}/{filename}"
    )


def parse_queries(text: str, where: str) -> Mapping[str, str]:
    """The queries in ``text`` by name; ``where`` is quoted in errors."""
    collected: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := _HEADING.fullmatch(line.rstrip()):
            name = heading.group(1)
            if name in collected:
                raise ValueError(f"{where}:{number}: query {name!r} is already defined above")
            current = collected[name] = []
        elif line.strip() and not line.lstrip().startswith("--"):
            if current is None:
                raise ValueError(f"{where}:{number}: SQL before the first « -- name -- » heading")
            current.append(line.rstrip())
    for name, lines in collected.items():
        if not lines:
            raise ValueError(f"{where}: query {name!r} is empty")
    return MappingProxyType({name: "\n".join(lines) for name, lines in collected.items()})
