"""Desks of mairies, from the list that the API of the ANTS hub gives to whom holds its token.

The list is read from a file: asking for all mairies of France is no visit of a desk, and no spider may. What
comes out is to be reviewed; a desk is a town's postcode, whatever the number of its mairies.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from guichets.catalogue._departements import departements
from guichets.catalogue.urls import entry_key, url_problem
from guichets.errors import ArgumentError

REASONS = {
    "CNI": "Carte nationale d'identité",
    "PASSPORT": "Passeport",
    "CNI-PASSPORT": "Carte nationale d'identité et passeport",
}
"""What an appointment may be asked for, with the words people read."""

SOURCE = "Liste des mairies de l'API de France Titres (getManagedMeetingPoints)"


@dataclass(frozen=True, slots=True)
class Town:
    """A town on the hub: where a search for it is asked."""

    name: str
    zip_code: str
    departement: str
    longitude: float
    latitude: float

    def url(self, api: str, reason: str) -> str:
        where = f"longitude={self.longitude:.6f}&latitude={self.latitude:.6f}&radius_km=20"
        address = quote(f"{self.name} {self.zip_code}", safe="")
        return f"{api}/SlotsFromPosition?{where}&reason={reason}&documents_number=1&address={address}"

    def table(self, api: str, reason: str) -> str:
        """The town's desk, as a catalogue file has it."""
        number = f"{self.departement.lower()}-ants-{_slug(self.name)}-{self.zip_code}-{reason.lower()}"
        values = {
            "id": number,
            "family": "ants",
            "departement": self.departement,
            "office": f"Mairie de {self.name}",
            "procedure": "cni_passeport",
            "label": REASONS[reason],
            "url": self.url(api, reason),
            "source": SOURCE,
        }
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()]
        return "".join(["[[desk]]\n", *lines])


def departement_of_postcode(code: str) -> str | None:
    """The département of a postcode, but for the few communes that have a neighbour's; None for none."""
    if not re.fullmatch(r"[0-9]{5}", code) or code.startswith("99"):  # 99 is abroad
        return None
    if code.startswith("20"):
        found = "2A" if code < "20200" else "2B"
    else:
        found = code[:3] if code.startswith("97") else code[:2]
    return found if found in departements() else None


def read_towns(text: str) -> tuple[list[Town], list[str]]:
    """The towns of the API's answer, by postcode, and one line for each entry that cannot be a desk.

    Raises ArgumentError for what is no such answer.
    """
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise ArgumentError("no JSON: the API's answer is a list of mairies, as it came") from None
    if not isinstance(listed, list):
        raise ArgumentError("no list: the API's answer is a list of mairies, as it came")
    towns: dict[tuple[str, str], Town] = {}
    left_out = []
    for place, entry in enumerate(listed, start=1):
        town = _read_town(entry)
        if town is None:
            left_out.append(f"mairie {place}: without a town, a postcode of a département, or a position")
        else:
            towns.setdefault((town.zip_code, town.name), town)
    return sorted(towns.values(), key=lambda town: (town.zip_code, town.name)), left_out


def _read_town(entry: Any) -> Town | None:
    if not isinstance(entry, dict):
        return None
    name, zip_code = entry.get("city_name"), entry.get("zip_code")
    longitude, latitude = _degrees(entry.get("longitude"), 180), _degrees(entry.get("latitude"), 90)
    if not isinstance(name, str) or not isinstance(zip_code, str):
        return None
    departement = departement_of_postcode(zip_code.strip())
    if departement is None or longitude is None or latitude is None:
        return None
    town = Town(" ".join(name.split()), zip_code.strip(), departement, longitude, latitude)
    return None if url_problem(town.url("https://api.example/api", "CNI"), "ants") else town


def _degrees(value: Any, most: int) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -most <= value <= most else None


def unknown(towns: Iterable[Town], api: str, reason: str, known: Collection[str]) -> list[Town]:
    """The towns that no desk of the catalogue asks for; ``known``: the catalogue's entry keys."""
    return [town for town in towns if entry_key("ants", town.url(api, reason), {}) not in known]


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().replace("œ", "oe")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "ville"
