"""The catalogue: which desks exist, where, for what, and since when that is known."""

from guichets.catalogue._departements import departements
from guichets.catalogue._load import load
from guichets.catalogue._wording import departement_hint, did_you_mean
from guichets.catalogue.families import FAMILIES, Param
from guichets.catalogue.model import (
    CHANNELS,
    PROCEDURES,
    Catalogue,
    Channel,
    Departement,
    Desk,
    HostRule,
)

__all__ = [
    "CHANNELS",
    "FAMILIES",
    "PROCEDURES",
    "Catalogue",
    "Channel",
    "Departement",
    "Desk",
    "HostRule",
    "Param",
    "departement_hint",
    "departements",
    "did_you_mean",
    "load",
]
