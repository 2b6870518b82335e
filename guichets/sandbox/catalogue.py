"""The catalogue folder that points at a sandbox: one TOML file per département."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guichets.errors import ArgumentError
from guichets.sandbox.families import families
from guichets.sandbox.plans import DeskPlan

HEADER = "# Written by `guichets sandbox`: imaginary desks, valid while it runs.\n"


def write_catalogue(folder: Path, desks: Sequence[DeskPlan], *, hosts: Sequence[str]) -> None:
    """Write ``<NN>.toml`` files; ``hosts`` gives ``address:port`` by host number.

    Refuses a folder that holds TOML files of someone else; replaces those of an earlier sandbox.
    """
    by_departement: dict[str, list[DeskPlan]] = {}
    for desk in desks:
        by_departement.setdefault(desk.departement, []).append(desk)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        for code, known in by_departement.items():
            tables = [_table(desk, f"http://{hosts[desk.host]}") for desk in known]
            (folder / f"{code}.toml").write_text("\n".join([HEADER, *tables]), encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"--catalogue {str(folder)!r} cannot be written: {error.strerror}") from None


def _clear(folder: Path) -> None:
    for file in folder.glob("*.toml"):
        if not file.read_bytes().startswith(HEADER.encode()):
            raise ArgumentError(
                f"--catalogue {str(folder)!r} holds {file.name}, not a sandbox's; choose an empty folder"
            )
    for file in folder.glob("*.toml"):
        file.unlink()


def _table(desk: DeskPlan, origin: str) -> str:
    family = families()[desk.family]
    values: Mapping[str, Any] = {
        "id": desk.id,
        "family": desk.family,
        "departement": desk.departement,
        "office": desk.office,
        "procedure": desk.procedure,
        "label": desk.label,
        "url": origin + family.entry(desk),
        "source": "guichets sandbox",
    }
    params = family.params(desk, origin)
    # a JSON string is a TOML basic string as long as it holds no DEL, which nothing here does
    return "".join(
        ["[[desk]]\n", *map(_line, values.items())]
        + (["[desk.params]\n", *map(_line, params.items())] if params else [])
    )


def _line(entry: tuple[str, Any]) -> str:
    name, value = entry
    return f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
