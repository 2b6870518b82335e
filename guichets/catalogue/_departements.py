"""The bundled list of départements: INSEE's 101, plus ``99`` for the consulates abroad."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from guichets.catalogue.model import Departement


@cache
def departements() -> Mapping[str, Departement]:
    """Every département by its INSEE code, in the order of the codes as people list them."""
    text = files("guichets.catalogue").joinpath("data/departements.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType({row["code"]: Departement(**row) for row in rows})
