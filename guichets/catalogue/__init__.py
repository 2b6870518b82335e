"""The catalogue: which desks exist, where, for what, and since when that is known."""

from guichets.catalogue._departements import departements
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
    "PROCEDURES",
    "Catalogue",
    "Channel",
    "Departement",
    "Desk",
    "HostRule",
    "departements",
]
