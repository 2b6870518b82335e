"""Desks, channels and départements, as frozen facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from guichets.catalogue.families import asked_url

PROCEDURES: Mapping[str, str] = MappingProxyType(
    {
        "premiere_demande": "Première demande de titre de séjour",
        "renouvellement": "Renouvellement de titre de séjour",
        "changement_statut": "Changement de statut",
        "titre_sejour": "Titre de séjour (sans précision)",
        "remise_titre": "Remise d'un titre de séjour",
        "recepisse": "Récépissé",
        "aes": "Admission exceptionnelle au séjour",
        "naturalisation": "Naturalisation et déclaration de nationalité",
        "asile": "Asile et protection internationale",
        "etranger_malade": "Étranger malade",
        "biometrie": "Prise d'empreintes",
        "document_voyage": "Document de voyage",
        "etudiant": "Titre de séjour étudiant",
        "commission_medicale": "Commission médicale du permis de conduire",
        "cni_passeport": "Carte d'identité et passeport",
        "consulaire": "Démarche consulaire",
        "autre": "Autre ou non précisé",
    }
)
"""What an appointment can be for: the closed list, with the words people read."""

CHANNELS = ("online", "phone", "mail", "post", "counter")
"""How one can ask for an appointment at all."""


@dataclass(frozen=True, slots=True)
class Departement:
    """One département, or ``99`` for the consulates abroad."""

    code: str  # INSEE, as text
    name: str
    region: str
    chef_lieu: str
    timezone: str  # IANA name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One public booking form. Its ``id`` is stable and never reused."""

    id: str
    family: str
    departement: str
    office: str
    procedure: str
    label: str
    url: str
    params: Mapping[str, Any] = field(default_factory=dict)
    valid_from: date | None = None
    valid_to: date | None = None
    moved_to: str | None = None
    source: str | None = None
    note: str | None = None

    @property
    def host(self) -> str:
        """``name`` or ``name:port``, lower case: what is asked, and so what is paced and leased."""
        return urlsplit(asked_url(self.family, self.url, self.params)).netloc.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way of asking for an appointment, with its dates."""

    office: str
    departement: str
    procedure: str
    channel: str
    exclusive: bool = False
    valid_from: date | None = None
    valid_to: date | None = None
    source: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """What ``hosts.toml`` says of one host: a pace slower than the default, or a request to stay away."""

    host: str
    delay_seconds: float | None = None
    forbidden: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A whole, checked catalogue."""

    departements: Mapping[str, Departement]
    desks: tuple[Desk, ...]
    channels: tuple[Channel, ...] = ()
    hosts: tuple[HostRule, ...] = ()
    folder: str = ""  # where it was read, for messages
    version: str = ""  # SHA-256 over the files, in hexadecimal

    def desk(self, desk_id: str) -> Desk | None:
        return next((desk for desk in self.desks if desk.id == desk_id), None)
